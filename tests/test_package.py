"""What users install: the wheel, alone, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel and what it declares to need, nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel], check=True, capture_output=True)
    return folder / "bin"


def run(*command: str | Path) -> str:
    """What *command* prints, without anything of OpenTelemetry or Python in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    done = subprocess.run(command, env=environment, cwd="/", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Whoever installs us gets typed sources and the licence: no tests, no examples at the top of site-packages."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"opentelemetry_instrumentation_authaudit"}
    assert "opentelemetry_instrumentation_authaudit/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)


def test_what_it_declares_is_enough(installed: Path) -> None:
    """In an environment with nothing but the declared dependencies, the package and its command load."""
    run(installed / "python", "-m", "pip", "check")
    run(installed / "python", "-W", "error", "-c", "import opentelemetry_instrumentation_authaudit")
    assert "query" in run(installed / "authaudit", "--help")


def test_the_collectors_configurations_are_in_it(installed: Path) -> None:
    """Somebody has no checkout: `authaudit collector run` finds every configuration in the installed package, and they are ours."""
    flags = ("--print", "--binary", sys.executable, "--config", "queued", "--overlay", "victorialogs")
    files = [Path(word) for word in run(installed / "authaudit", "collector", "run", *flags).splitlines()[-1].split()[2::2]]
    assert [path.name for path in files] == ["config.yaml", "config.queued.yaml", "victorialogs.yaml"]
    for path in files:
        assert path.is_relative_to(installed.parent)
        ours = ROOT / "collector" / path.relative_to(next(folder for folder in path.parents if folder.name == "_collector"))
        assert path.read_bytes() == ours.read_bytes()


def test_opentelemetry_instrument_finds_it(installed: Path) -> None:
    """An unchanged program under `opentelemetry-instrument`, without any distro, is instrumented."""
    program = (
        "from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor;"
        "print(AuthAuditInstrumentor().is_instrumented_by_opentelemetry)"
    )
    assert run(installed / "opentelemetry-instrument", installed / "python", "-c", program) == "True"


def test_importing_it_loads_no_library_that_it_watches() -> None:
    """The price of installing us is paid by applications that use a library, not by those that could."""
    program = (
        "import sys; from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES;"
        "import opentelemetry_instrumentation_authaudit as package; hooks = [h for l in LIBRARIES for h in l.hooks];"
        "print(len(hooks) > 0, *sorted({l.trigger for l in LIBRARIES} & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", program) == "True"
