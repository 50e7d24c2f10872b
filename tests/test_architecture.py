"""The house stands as drawn, and every rule that says so bites."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from . import architecture
from .architecture import Module

ROOT = Path(__file__).parents[1]
MODULES = architecture.modules(ROOT / architecture.PACKAGE)
TESTS = architecture.modules(ROOT / "tests")

HEAD = "from __future__ import annotations\n__all__ = ()\n"

BAD: list[Any] = [
    pytest.param("placed", "attic.py", HEAD, id="a module without a floor"),
    pytest.param("downward", "model/event.py", HEAD + "from ..hooks import Hook", id="an import that goes up"),
    pytest.param("downward", "guard.py", HEAD + "from .config import Config", id="an import of a room on the same floor"),
    pytest.param("downward", "instrumentors/flask.py", HEAD + "from ..pipeline.sink import Pipeline", id="a listener that tells"),
    pytest.param("downward", "hooks/scope.py", HEAD + "from .. import instrumentor", id="an import by way of the package"),
    pytest.param(
        "downward",
        "hooks/scope.py",
        HEAD + "def f():\n    from ..cli import main",
        id="an upward import that hides in a function",
    ),
    pytest.param("outsiders", "pipeline/sink.py", HEAD + "import wrapt", id="wrapt outside hooks"),
    pytest.param(
        "outsiders", "hooks/scope.py", HEAD + "from opentelemetry.sdk._logs import LoggerProvider", id="the SDK outside pipeline"
    ),
    pytest.param("outsiders", "hooks/scope.py", HEAD + "from opentelemetry import sdk", id="the SDK by its parent"),
    pytest.param("outsiders", "query/reader.py", HEAD + "import requests", id="a package that nobody let in"),
    pytest.param("outsiders", "instrumentors/flask.py", HEAD + "import flask", id="a watched library imported with our package"),
    pytest.param("outsiders", "instrumentors/flask.py", HEAD + "def f():\n    import django", id="the library of another file"),
    pytest.param("one_guard", "hooks/scope.py", HEAD + "try:\n    f()\nexcept Exception:\n    pass", id="except Exception"),
    pytest.param("one_guard", "hooks/scope.py", HEAD + "try:\n    f()\nexcept:\n    pass", id="a bare except"),
    pytest.param(
        "one_guard", "hooks/scope.py", HEAD + "try:\n    f()\nexcept (ValueError, BaseException):\n    g()", id="among others"
    ),
    pytest.param("one_guard", "hooks/scope.py", HEAD + "with contextlib.suppress(Exception):\n    f()", id="suppress"),
    pytest.param("one_reader_of_the_environment", "hooks/scope.py", HEAD + "import os\nos.environ['A']", id="os.environ"),
    pytest.param("one_reader_of_the_environment", "hooks/scope.py", HEAD + "from os import getenv", id="getenv"),
    pytest.param("few_loggers", "hooks/scope.py", HEAD + "import logging\nlogging.getLogger()", id="a logger"),
    pytest.param("names_in_one_place", "pipeline/record.py", HEAD + "key = 'user.id'", id="an attribute name spelled again"),
    pytest.param(
        "names_in_one_place", "pipeline/record.py", HEAD + "key = f'audit.params.{name}'", id="a parameter's name spelled again"
    ),
    pytest.param("small", "hooks/scope.py", HEAD + "x = 1\n" * 300, id="a long module"),
    pytest.param("small", "hooks/scope.py", HEAD + "def f():\n" + "    x = 1\n" * 41, id="a long function"),
    pytest.param(
        "extractors", "instrumentors/flask.py", HEAD + "def f(call) -> Flow:\n    call.x.__wrapped__\n    yield", id="__wrapped__"
    ),
    pytest.param(
        "extractors",
        "instrumentors/flask.py",
        HEAD + "def f(call) -> Flow:\n    call.function()\n    yield",
        id="the function called",
    ),
    pytest.param("extractors", "instrumentors/flask.py", HEAD + "def f(call) -> Flow:\n    yield\n    yield", id="two yields"),
    pytest.param("extractors", "instrumentors/flask.py", HEAD + "async def f(call) -> Flow:\n    yield", id="an async extractor"),
    pytest.param("exports", "hooks/scope.py", "from __future__ import annotations\nx = 1", id="no __all__"),
    pytest.param("exports", "hooks/scope.py", "from __future__ import annotations\n__all__ = ('b', 'a')", id="unsorted __all__"),
    pytest.param("exports", "hooks/scope.py", "from __future__ import annotations\n__all__ = ['a']", id="__all__ as a list"),
    pytest.param("comments", "hooks/scope.py", HEAD + "x = 1  # noqa", id="noqa without a code"),
    pytest.param("comments", "hooks/scope.py", HEAD + "x = 1  # type: ignore", id="type: ignore without a code"),
    pytest.param("future_annotations", "hooks/scope.py", "import os\n__all__ = ()\nx: int = 1", id="no future annotations"),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.path)
def test_a_module_keeps_the_rules_of_the_house(module: Module) -> None:
    """Floors, rooms of outside packages, one guard, one reader of the environment, names in one place, small and typed."""
    assert architecture.faults(module) == []


@pytest.mark.parametrize("module", TESTS, ids=lambda m: m.path)
def test_a_test_tells_its_story(module: Module) -> None:
    """Every test has a docstring, no test a mock, and a silenced checker is named in tests too."""
    assert [*architecture.told(module), *(architecture.comments(module) if module.path != "test_architecture.py" else ())] == []


def test_functions_are_short() -> None:
    """Half of all functions have ten lines or fewer."""
    assert statistics.median(length for m in MODULES for length in architecture.lengths(m)) <= 10


@pytest.mark.parametrize(("rule", "path", "source"), BAD)
def test_a_rule_bites(rule: str, path: str, source: str) -> None:
    """A small bad source breaks exactly the rule that is about it."""
    assert {fault.split(": ")[1] for fault in architecture.faults(Module(path, source))} == {rule}


def test_every_rule_has_prey() -> None:
    """A rule without a bad source of its own would be a rule nobody has seen at work."""
    assert {rule.__name__ for rule in architecture.RULES} == {param.values[0] for param in BAD}


def test_a_handler_that_raises_again_is_no_guard() -> None:
    """An exception may be looked at on its way to the caller."""
    source = HEAD + "try:\n    f()\nexcept BaseException as error:\n    look(error)\n    raise"
    assert architecture.faults(Module("hooks/scope.py", source)) == []


@pytest.mark.parametrize(
    "source", ["def test_x():\n    pass", "from unittest import mock", "def test_x(mocker):\n    'Story.'\n    mocker.patch('a')"]
)
def test_the_rules_for_tests_bite(source: str) -> None:
    """A test without a story, and one with a mock, are found."""
    assert list(architecture.told(Module("test_x.py", source)))
