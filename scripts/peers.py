"""The libraries' own tests, run without us and with us: no outcome may differ, and our guard may have swallowed nothing.

    python scripts/peers.py            every library below
    python scripts/peers.py --fast     those that CI runs
    python scripts/peers.py django     one of them

The tests come from the source distribution of the very version installed here, fetched once through pip into `.cache/peers`. The
second run has `peers_plugin.py` loaded and is the same otherwise. Exit code 1 on any difference, 3 where tests could not be run at all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = ROOT / ".cache" / "peers"
PLUGIN: Final = ROOT / "scripts" / "peers_plugin.py"


@dataclass(frozen=True)
class Peer:
    """A library whose tests we run. In `arguments`, `{report}` is the file that the runner may write its own report to."""

    name: str
    distribution: str
    start: str
    """Script below `folder`, or a module (`pytest`)."""
    arguments: tuple[str, ...]
    folder: str = "."
    """Where the tests run, seen from the top of the source distribution."""
    results: Callable[[Path, dict[str, str]], dict[str, str]] = lambda _report, by_unittest: by_unittest
    """Outcome of each test, from the runner's own report or from what `unittest` was heard to say."""
    needs: tuple[str, ...] = ()
    """What only its tests import, on PyPI: installed beside the source, seen by nobody else."""
    fast: bool = False
    """Whether CI runs it: some seconds for the value it has."""

    def command(self, mode: str, report: Path) -> list[str]:
        """Arguments of Python that run the tests, `plain` or `watched`."""
        arguments = [argument.format(report=report) for argument in self.arguments]
        if self.start != "pytest":
            return [str(PLUGIN), mode, self.start, *arguments]
        return ["-m", "pytest", *(("-p", PLUGIN.stem) if mode == "watched" else ()), *arguments]


def junit(report: Path, _by_unittest: dict[str, str]) -> dict[str, str]:
    """Outcomes in the report of `pytest --junit-xml`. Parameters may be random (salted hashes): a number stands for them."""
    results: dict[str, str] = {}
    if not report.exists():
        return results
    numbers: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it a moment ago
        name, bracket, _ = f"{case.get('classname')}.{case.get('name')}".partition("[")
        numbers[name] += 1
        told = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        results[f"{name}[{numbers[name]}]" if bracket else name] = told[0] if told else "success"
    return results


def by_pytest(name: str, distribution: str, *arguments: str, needs: tuple[str, ...] = (), fast: bool = False) -> Peer:
    """A library that tests itself with pytest, under its own configuration (warnings are often errors there)."""
    options = ("-c", "pyproject.toml", "-o", "addopts=", "-p", "no:cacheprovider", "--junit-xml={report}", *arguments)
    return Peer(name, distribution, "pytest", options, results=junit, needs=needs, fast=fast)


_FLASK_SECURITY: Final = (
    *(
        "basic",
        "changeable",
        "change_email",
        "change_username",
        "cli",
        "confirmable",
        "csrf",
        "datastore",
        "misc",
        "passwordless",
    ),
    *("recoverable", "recovery_codes", "registerable", "response", "tokens", "trackable", "two_factor"),
    *("unified_signin", "webauthn", "oauthglue"),
)
PEERS: Final = (
    Peer(
        "django",
        "Django",
        "runtests.py",
        ("auth_tests", "async", "handlers", "middleware", "sessions_tests", "signals", "--parallel=1", "--noinput"),
        "tests",
    ),
    Peer("django-axes", "django-axes", "django", ("test", "--settings=tests.settings", "tests")),
    Peer("django-impersonate", "django-impersonate", "django", ("test", "--settings=peers_impersonate", "impersonate")),
    Peer("django-loginas", "django-loginas", "django", ("test", "--settings=loginas.tests.settings", "loginas")),
    Peer(
        "django-otp",
        "django-otp",
        "django",
        ("test", "--settings=test_project.settings", "--pythonpath=../src", "django_otp"),
        "test",
        needs=("freezegun", "python-dateutil", "six"),
    ),
    Peer("flask-login", "Flask-Login", "unittest", ("discover", "-s", "tests"), needs=("semantic-version",), fast=True),
    by_pytest("flask-jwt-extended", "Flask-JWT-Extended", "tests", "-c", "tox.ini", fast=True),
    Peer("flask-httpauth", "Flask-HTTPAuth", "unittest", ("discover", "-s", "tests"), fast=True),
    by_pytest(
        "webauthn",
        "webauthn",
        "tests",
        "--ignore=tests/test_validate_certificate_chain.py",  # it and those below use a file that the distribution lacks
        *(
            f"--ignore=tests/test_verify_registration_response_{kind}.py"
            for kind in ("android_key", "android_safetynet", "apple")
        ),
        fast=True,
    ),
    by_pytest(
        "flask-security",
        "Flask-Security",
        *(f"tests/test_{part}.py" for part in _FLASK_SECURITY),
        *("-k", "not mongo and not peewee and not cl-sql", "-p", "no:randomly"),  # one datastore
        needs=(
            *(
                "Flask-SQLAlchemy",
                "Flask-SQLAlchemy-Lite",
                "Flask-Babel",
                "Babel",
                "pytz",
                "authlib",
                "freezegun",
                "python-dateutil",
            ),
            *("peewee", "zxcvbn"),
        ),
    ),
    by_pytest("flask", "Flask", "tests", needs=("pytest<9",)),  # its tests import what pytest 9 has no more
    by_pytest(
        "starlette",
        "starlette",
        "tests",
        "--ignore=tests/test_testclient.py",
        "-p",
        "anyio",
        needs=("httpx2", "httpcore2", "truststore", "sniffio"),
    ),
    by_pytest(
        "fastapi-users",
        "fastapi-users",
        "tests",
        "--ignore=tests/test_authentication_strategy_redis.py",
        "-p",
        "asyncio",
        "-p",
        "pytest_mock",
        needs=("asgi-lifespan", "pytest-mock", "sniffio"),
    ),
    Peer("python-ldap", "python-ldap", "unittest", ("discover", "-s", "Tests", "-p", "t_*.py")),  # starts servers: needs slapd
    by_pytest("pyjwt", "PyJWT", "tests", fast=True),
    by_pytest("pwdlib", "pwdlib", "tests", fast=True),
    Peer("pyotp", "pyotp", "test.py", (), fast=True),
    by_pytest("argon2", "argon2-cffi", "tests"),
    by_pytest("oauthlib", "oauthlib", "tests", "-c", "setup.cfg", fast=True),  # the last `-c` counts
    by_pytest("bcrypt", "bcrypt", "tests"),
    by_pytest(
        "aiohttp",
        "aiohttp",
        *(
            f"tests/test_web_{part}.py"
            for part in ("app", "exceptions", "middleware", "request", "response", "urldispatcher", "websocket_functional")
        ),
        *("-p", "asyncio", "-p", "pytest_mock"),
        needs=("pytest-mock", "trustme", "re-assert"),
    ),
    Peer(
        "tornado",
        "tornado",
        "tornado.test.runtests",
        tuple(f"tornado.test.{part}_test" for part in ("auth", "httpserver", "routing", "web", "websocket")),
        fast=True,
    ),
    by_pytest("pyramid", "pyramid", "tests", needs=("zope.component", "zope.hookable", "zope.event")),
    Peer(
        "allauth",
        "django-allauth",
        "pytest",
        (
            *("-c", "pytest.ini", "--ds=tests.projects.regular.settings", "-p", "pytest_django.plugin", "-p", "no:cacheprovider"),
            *("--junit-xml={report}", "--continue-on-collection-errors"),  # one test needs psycopg
            *(f"tests/apps/{app}" for app in ("account", "core", "headless", "mfa", "usersessions", "socialaccount/internal")),
            *(f"tests/apps/socialaccount/test_{part}.py" for part in ("adapter", "connect", "login", "phone", "signup")),
        ),
        results=junit,
        needs=("pytest-django", "django-ninja"),
    ),
    Peer(
        "dj-rest-auth",
        "dj-rest-auth",
        "pytest",
        (
            *("-c", "setup.cfg", "-p", "pytest_django.plugin", "-p", "no:cacheprovider", "-o", "pythonpath=. dj_rest_auth"),
            *("--ds=dj_rest_auth.tests.settings", "--junit-xml={report}", "dj_rest_auth/tests"),
        ),
        results=junit,
        needs=("pytest-django", "responses"),
    ),
    by_pytest(
        "djangorestframework",
        "djangorestframework",
        "tests",
        "--no-migrations",
        "-p",
        "pytest_django.plugin",
        needs=("pytest-django", "dj-database-url"),
    ),
    by_pytest(
        "knox",
        "django-rest-knox",
        *("tests", "--ds=peers_knox.settings", "-p", "pytest_django.plugin"),
        needs=("pytest-django", "freezegun", "python-dateutil", "six"),
        fast=True,
    ),
    by_pytest(
        "simplejwt",
        "djangorestframework_simplejwt",
        *("tests", "-c", "pytest.ini", "-p", "pytest_django.plugin"),
        needs=("pytest-django", "freezegun", "python-dateutil", "python-jose", "ecdsa", "rsa", "pyasn1", "six"),
        fast=True,
    ),
    by_pytest(
        "social-auth-core",
        "social-auth-core",
        *("social_core/tests/actions", "social_core/tests/test_pipeline.py", "social_core/tests/test_partial.py"),
        *(f"social_core/tests/backends/test_{name}.py" for name in ("dummy", "email", "github", "google", "saml")),
        needs=("responses",),
    ),
    Peer("social-auth-app-django", "social-auth-app-django", "manage.py", ("test",)),
)


@dataclass(frozen=True)
class Run:
    """What one run told."""

    seconds: float
    results: dict[str, str]
    records: dict[str, int] = field(default_factory=dict)
    """Number of records by event and status."""
    swallowed: dict[str, int] = field(default_factory=dict)
    """Number of exceptions by place in the guard."""

    @classmethod
    def of(cls, peer: Peer, source: Path, *, watched: bool) -> Run:
        """Run the tests of *peer* in a process of their own."""
        mode = "watched" if watched else "plain"
        ours, theirs, output = (source.parent / f"{mode}.{kind}" for kind in ("json", "xml", "txt"))
        for old in (ours, theirs):
            old.unlink(missing_ok=True)
        command = [sys.executable, *peer.command(mode, theirs)]
        environment = {
            **os.environ,
            "PEERS_REPORT": str(ours),
            "PYTHONPATH": os.pathsep.join([str(source.parent / "needs"), str(PLUGIN.parent)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        begun = time.monotonic()
        with output.open("wb") as file:
            subprocess.run(command, cwd=source / peer.folder, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
        told = json.loads(ours.read_text()) if ours.exists() else {}
        results = peer.results(theirs, told.pop("results", {}))
        if "success" not in results.values():
            give_up(f"The tests of {peer.name} did not run; see {output}.")
        return cls(time.monotonic() - begun, results, **told)


def fetch(peer: Peer) -> Path:
    """The unpacked source distribution of the installed version of *peer*."""
    version = metadata.version(peer.distribution)
    place = CACHE / f"{peer.name}-{version}"
    if not (place / "source").is_dir():
        place.mkdir(parents=True, exist_ok=True)
        wanted = ["--no-deps", "--no-binary", peer.distribution, "--dest", str(place), f"{peer.distribution}=={version}"]
        if not pip("download", *wanted):
            give_up(f"pip could not fetch the source distribution of {peer.distribution} {version}.")
        if peer.needs and not pip("install", "--no-deps", "--target", str(place / "needs"), *peer.needs):
            give_up(f"pip could not install what the tests of {peer.name} need: {', '.join(peer.needs)}.")
        unpack(next(place.glob("*.tar.gz")), place)
    return place / "source"


def pip(command: str, *arguments: str) -> bool:
    """Run pip; whether it did it."""
    start = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    return not subprocess.run([*start, *arguments], check=False).returncode


def unpack(archive: Path, place: Path) -> None:
    """Unpack *archive* to `source` below *place*, in one step, so that a broken attempt is begun anew."""
    with tempfile.TemporaryDirectory(dir=place) as aside:
        shutil.unpack_archive(archive, aside, filter="data")
        (top,) = Path(aside).iterdir()
        top.rename(place / "source")


def differences(plain: Run, watched: Run) -> Iterator[str]:
    """Every test whose outcome is not the same in both runs."""
    for test in sorted({*plain.results, *watched.results}):
        before, after = plain.results.get(test, "absent"), watched.results.get(test, "absent")
        if before != after:
            yield f"{test}: {before} without us, {after} with us"


def compare(peer: Peer) -> bool:
    """Run *peer* both ways and print what came of it; whether nothing differs and nothing was swallowed."""
    source = fetch(peer)
    print(f"{peer.name} {metadata.version(peer.distribution)}: its tests without us ...", flush=True)
    plain = Run.of(peer, source, watched=False)
    print(f"  {plain.seconds:.0f} s; and with us ...", flush=True)
    watched = Run.of(peer, source, watched=True)
    different = list(differences(plain, watched))
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(watched.results.values()).items()))
    print(f"  {watched.seconds:.0f} s; {len(watched.results)} tests ({outcomes}), {len(different)} differences")
    for line in different:
        print(f"    {line}")
    for title, counts in (("records", watched.records), ("swallowed", watched.swallowed)):
        print(f"  {title}: {sum(counts.values())}")
        for name, count in sorted(counts.items()):
            print(f"    {count:6} {name}")
    return not different and not watched.swallowed


def give_up(message: str) -> NoReturn:
    """Say why there is nothing to compare, and end."""
    print(message, file=sys.stderr)
    raise SystemExit(3)


def main() -> int:
    """Compare the libraries named on the command line, or all."""
    known = {peer.name: peer for peer in PEERS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("libraries", nargs="*", metavar="library", help=f"which ones (all: {', '.join(known)})")
    parser.add_argument("--fast", action="store_true", help="only those that CI runs")
    asked = parser.parse_args()
    names = asked.libraries or [name for name, peer in known.items() if peer.fast or not asked.fast]
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no tests are known of {', '.join(unknown)}; there are: {', '.join(known)}")
    good = [compare(known[name]) for name in names]  # every one, also after a bad one
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
