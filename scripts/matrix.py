"""`make test-all`: the tests on the oldest and newest CPython found, each with the oldest and newest libraries.

The oldest versions are the lower bounds of pyproject.toml (OpenTelemetry, wrapt, ...) and of instrumentors/registry.py
(the watched libraries); `oldest.txt` says what else belongs to that set. Arguments are handed to pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = ROOT / ".cache" / "matrix"
US: Final = "opentelemetry-instrumentation-authaudit"

PINS_OTHERS: Final = (
    "django-allauth", "fastapi-users", "fastapi-users-db-sqlalchemy", "Flask-Security-Too", "social-auth-core",
    "social-auth-app-django==5.4.0",
)  # fmt: skip
"""Old versions that ask for exact versions of other libraries (PyJWT == 2.7.0), or for newer ones than they need (Flask >= 3,
Django >= 4.2.16): installed without what they ask for, which `oldest.txt` has."""
LEFT_OUT: Final = ("Quart",)
"""Needs Flask 3, the oldest version too, and is not there among the oldest: its stories skip themselves."""
STORES: Final = ("postgres", "query")
"""Extras whose lower bounds are tried, too: psycopg with the system's libpq, since the oldest has no wheels for a newer Python."""
OLD_WARNINGS: Final = "-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning"
"""Old libraries on a newer Python, or beside newer libraries, warn: theirs to solve, and solved in newer ones."""
SHOWN: Final = ("opentelemetry-sdk", "wrapt", "Django", "Flask", "fastapi")


@dataclass(frozen=True)
class Cell:
    """One run: an interpreter and a set of libraries (`oldest` or `newest`)."""

    version: str
    python: str
    libraries: str

    @property
    def name(self) -> str:
        """Name of its folder below `.cache/matrix`."""
        return f"{self.version}-{self.libraries}"

    @property
    def bin(self) -> Path:
        """Where its python and pip are."""
        return CACHE / self.name / "bin"


def cells() -> list[Cell]:
    """Oldest and newest CPython found, each with both sets."""
    lines = subprocess.run(
        ["/bin/sh", "scripts/pythons.sh"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    found = [line.split(" ", 1) for line in lines]
    pythons = dict((found[-1], found[0]))
    return [Cell(version, path, libraries) for version, path in pythons.items() for libraries in ("oldest", "newest")]


def lower_bound(specifiers: str) -> str:
    """The oldest version that *specifiers* allow: `>=4.2,<7` gives `4.2`."""
    bound: str = re.findall(r">=\s*([\w.]+)", specifiers)[0]
    return bound


def oldest() -> dict[str, str]:
    """Distribution and oldest version of everything with a declared lower bound."""
    ours = [Requirement(line) for line in metadata.requires(US) or ()]
    pins = {r.name: lower_bound(str(r.specifier)) for r in ours if r.marker is None or _in_extra(r, *STORES)}
    return pins | {library.distributions[-1]: lower_bound(library.versions) for library in LIBRARIES}


def native() -> set[str]:
    """Distributions of the extra of that name: compiled where they are installed, and left out where that cannot be done."""
    ours = [Requirement(line) for line in metadata.requires(US) or ()]
    return {r.name for r in ours if _in_extra(r, "native")}


def _in_extra(requirement: Requirement, *extras: str) -> bool:
    return requirement.marker is not None and any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def install(cell: Cell) -> None:
    """Make the environment of *cell* anew."""
    subprocess.run([cell.python, "-m", "venv", "--clear", cell.bin.parent], check=True)
    pip = [str(cell.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    if cell.libraries == "newest":
        subprocess.run([*pip, "--editable", f"{ROOT}[test]"], check=True)
        subprocess.run([*pip, "--editable", f"{ROOT}[native]"], check=False)
        return
    pins = oldest()
    together = [f"{name}=={version}" for name, version in pins.items() if name not in {*PINS_OTHERS, *LEFT_OUT, *native()}]
    subprocess.run([*pip, *together, "--requirement", ROOT / "scripts" / "oldest.txt", "--editable", ROOT], check=True)
    apart = [f"{name}=={pins[name]}" if name in pins else name for name in PINS_OTHERS]
    subprocess.run([*pip, "--no-deps", *apart], check=True)
    subprocess.run([*pip, *(f"{name}=={pins[name]}" for name in native())], check=False)


def versions(cell: Cell) -> str:
    """What the cell really has of the libraries that decide most."""
    ask = f"from importlib.metadata import version; print(*(f'{{n}} {{version(n)}}' for n in {SHOWN}), sep=', ')"
    return subprocess.run([cell.bin / "python", "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def run(cell: Cell, arguments: list[str]) -> tuple[bool, str]:
    """Run the tests there, showing them; whether they passed, and pytest's closing line."""
    command = [str(cell.bin / "python"), "-m", "pytest", "-o", f"cache_dir={cell.bin.parent / '.pytest_cache'}", *arguments]
    environment = os.environ | {"PATH": f"{cell.bin}{os.pathsep}{os.environ['PATH']}"}
    if cell.libraries == "oldest":
        environment["PYTEST_ADDOPTS"] = OLD_WARNINGS  # for the runs that tests start themselves, too
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode == 0, last


def main(arguments: list[str]) -> int:
    """Run every cell, then print a table; 1 if one of them failed."""
    table = []
    for cell in cells():
        start = time.monotonic()
        print(f"\n=== CPython {cell.version}, {cell.libraries} libraries: installing", file=sys.stderr, flush=True)
        try:
            install(cell)
            passed, closing = run(cell, arguments)
            have = versions(cell)
        except subprocess.CalledProcessError as error:
            passed, closing, have = False, "could not be installed", str(error.cmd[-1])
        table.append((cell, passed, closing, have, time.monotonic() - start))
    print("\nCPython  libraries  result  seconds  closing line; versions")
    for cell, passed, closing, have, seconds in table:
        print(f"{cell.version:<8} {cell.libraries:<10} {'ok' if passed else 'FAILED':<7} {seconds:>7.0f}  {closing}; {have}")
    return 0 if all(row[1] for row in table) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
