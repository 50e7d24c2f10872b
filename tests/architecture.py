"""The rules of the house, read off the syntax tree: each rule yields `(line, what is wrong)` for a module.

`tests/test_architecture.py` applies them to the package and feeds each a small bad source, so that no rule sleeps.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES
from opentelemetry_instrumentation_authaudit.model import names

PACKAGE: Final = "opentelemetry_instrumentation_authaudit"

FLOORS: Final = {
    "model": 0,
    "config": 1,
    "guard": 1,
    "privacy": 2,
    "journal": 2,
    "hooks": 3,
    "pipeline": 3,
    "query": 3,
    "instrumentors": 4,
    "audit": 4,
    "reports": 4,
    "stores": 4,
    "instrumentor": 5,
    "cli": 6,
    "testing": 6,
    "__init__": 6,
    "__main__": 7,
}
"""Every room and its floor. An import only goes down, and rooms of one floor are strangers."""

LISTENING: Final = {"hooks", "instrumentors", "audit"}
TELLING: Final = {"pipeline", "query", "reports", "stores"}

OUTSIDE: Final = {
    "wrapt": {"hooks"},
    "packaging": {"hooks", "instrumentors"},
    "platformdirs": {"config"},
    "pytest": {"testing"},
    "google": {"pipeline"},
    "grpc": {"pipeline"},
    "requests": {"pipeline", "stores"},
    "psycopg": {"stores"},
    "duckdb": {"query"},
    "yaml": {"config"},
    "typing_extensions": {"instrumentor"},
    "opentelemetry": {"hooks", "pipeline", "audit", "instrumentor", "guard", "config", "cli", "testing"},
    "opentelemetry.sdk": {"pipeline", "testing"},
    "opentelemetry.exporter": {"pipeline", "testing"},
    "opentelemetry.proto": {"pipeline"},
    "opentelemetry.instrumentation": {"instrumentor", "pipeline"},
}
"""Packages of others and the rooms they may enter; the longest name that fits decides. The standard library goes everywhere."""

WATCHED: Final = {library.name: library.trigger.partition(".")[0] for library in LIBRARIES}
"""An instrumentor file and the package it watches, which it may import, but only inside a function."""

STANDS_ON: Final = {
    "allauth_facts": {"allauth", "django"},
    "allauth_headless": {"django"},
    "django_facts": {"django"},
    "flask_facts": {"flask"},
    "flask_jwt_extended": {"flask"},
    "flask_login": {"flask"},
    "flask_security": {"flask"},
    "flask_security_forms": {"flask"},
    "fastapi": {"starlette"},
    "fastapi_users": {"fastapi", "starlette"},
    "rest_facts": {"django"},
    "simplejwt": {"django"},
}
"""An instrumentor file and what its library is itself built on: there whenever the library is."""

LOGGERS: Final = {"guard", "config", "pipeline/delivery"}
"""Modules, and whole rooms, that have a logger."""
THROWN_IN: Final = "hooks/drivers.py"
"""Passes an exception thrown in by the caller on to the library's generator, which it was meant for."""
DELIVERY: Final = "pipeline/delivery.py"
"""Its thread must outlive whatever is raised in it."""

MAX_MODULE: Final = 300
MAX_FUNCTION: Final = 40

_ATTRIBUTES: Final = {
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and re.fullmatch(r"[a-z_]+\.[a-z_.]+", value)
}
_COMMENT: Final = re.compile(r"#\s*(noqa|type:\s*ignore)(?!\s*(:\s*[A-Z]+\d+|\[[a-z-]))")


@dataclass(frozen=True)
class Module:
    """A source file of the package; *path* is relative to the package, with slashes."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        """The room it is in, or is: `hooks` of `hooks/scope.py`, `guard` of `guard.py`."""
        return self.path.partition("/")[0].removesuffix(".py")

    @property
    def public(self) -> bool:
        """Whether it offers names to others: not `__main__`, not a room's `__init__` that only says what the room is.

        `model/names.py` is nothing but public constants, and used as `names.SUBJECT`.
        """
        return self.path not in {"__main__.py", "model/names.py"} and len(self.tree.body) > 1

    @cached_property
    def imports(self) -> list[tuple[ast.stmt, str, bool]]:
        """(statement, absolute dotted name, whether it waits inside a function) of every import."""
        found: list[tuple[ast.stmt, str, bool]] = []
        lazy = {id(n) for f in _functions(self.tree) for n in ast.walk(f)}
        lazy |= {
            id(n)
            for i in ast.walk(self.tree)
            if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
            for n in ast.walk(i)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node, alias.name, id(node) in lazy) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found += [(node, f"{base}.{alias.name}", id(node) in lazy) for alias in node.names]
        return found

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folders = [PACKAGE, *self.path.split("/")[:-1]]
        return ".".join([*folders[: len(folders) - node.level + 1], *([node.module] if node.module else [])])


Rule: TypeAlias = Callable[[Module], Iterator[tuple[int, str]]]


def modules(root: Path) -> list[Module]:
    """Every module below *root*, the package's folder."""
    return [Module(p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")) for p in sorted(root.rglob("*.py"))]


def faults(module: Module) -> list[str]:
    """What every rule has to say about *module*, as `path:line: rule: what is wrong`."""
    return [f"{module.path}:{line}: {rule.__name__}: {what}" for rule in RULES for line, what in rule(module)]


def lengths(module: Module) -> list[int]:
    """Lines of each function of *module*."""
    return [(f.end_lineno or f.lineno) - f.lineno + 1 for f in _functions(module.tree)]


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _docstrings(tree: ast.AST) -> set[int]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, holders)]
    return {id(s.value) for body in bodies for s in body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)}


def placed(module: Module) -> Iterator[tuple[int, str]]:
    """A module has a floor, or says which it wants."""
    if module.room not in FLOORS:
        yield 1, f"{module.room} has no floor: place it in FLOORS of tests/architecture.py"


def downward(module: Module) -> Iterator[tuple[int, str]]:
    """Imports go down; rooms of one floor are strangers; those who listen never meet those who tell."""
    own = FLOORS.get(module.room, 0)
    for node, name, _ in module.imports:
        if name.partition(".")[0] != PACKAGE:
            continue
        target = [*name.split(".")[1:], "__init__"][0]
        target = target if target in FLOORS else "__init__"
        strangers = {module.room, target}
        if target != module.room and FLOORS[target] >= own:
            yield node.lineno, f"{module.room} must not import {target}: it is not below"
        elif strangers & LISTENING and strangers & TELLING:
            yield node.lineno, f"{module.room} must not import {target}: one listens, the other tells"


def outsiders(module: Module) -> Iterator[tuple[int, str]]:
    """A package of others enters only the rooms it is meant for; a watched library waits for the application to import it."""
    for node, name, lazy in module.imports:
        top = name.partition(".")[0]
        if top == PACKAGE or top in sys.stdlib_module_names:
            continue
        file = module.path.removeprefix("instrumentors/").removesuffix(".py")
        if module.room == "instrumentors" and top in {WATCHED.get(file), *STANDS_ON.get(file, ())}:
            if not lazy:
                yield node.lineno, f"{top} is imported with our package: import it inside the function that needs it"
            continue
        prefixes = [".".join(name.split(".")[:n]) for n in range(name.count(".") + 1, 0, -1)]
        rooms = next((OUTSIDE[p] for p in prefixes if p in OUTSIDE), set())
        if module.room not in rooms:
            yield node.lineno, f"{name} has no business in {module.room}"


def one_guard(module: Module) -> Iterator[tuple[int, str]]:
    """Only the guard swallows; a handler that ends by raising again swallows nothing."""
    blind = {"Exception", "BaseException"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"BaseException"}
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            allowed = {"guard.py": {"Exception"}, DELIVERY: {"BaseException"}, THROWN_IN: {"BaseException"}}.get(
                module.path, set()
            )
            if caught & blind - allowed and not raises_again:
                yield node.lineno, "a second guard: wrap our own code in `with guard(site)`"
        elif isinstance(node, ast.Call) and "suppress" in ast.dump(node.func):
            caught = {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
            if caught & blind:
                yield node.lineno, "a second guard: wrap our own code in `with guard(site)`"


def one_reader_of_the_environment(module: Module) -> Iterator[tuple[int, str]]:
    """`os.environ` is read in `config`, once."""
    if module.room == "config":
        return
    used = [(n.lineno, f"{ast.unparse(n.value)}.{n.attr}") for n in ast.walk(module.tree) if isinstance(n, ast.Attribute)]
    used += [(node.lineno, name) for node, name, _ in module.imports]
    for line, name in used:
        if name in {"os.environ", "os.environb", "os.getenv", "os.getenvb"}:
            yield line, f"{name} outside config"


def few_loggers(module: Module) -> Iterator[tuple[int, str]]:
    """Everybody else tells the operator by `guard.warn`."""
    if {module.room, module.path.removesuffix(".py")} & LOGGERS:
        return
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Attribute | ast.Name)
            and (node.attr if isinstance(node, ast.Attribute) else node.id) == "getLogger"
        ):
            yield node.lineno, "getLogger: use guard.warn"


def names_in_one_place(module: Module) -> Iterator[tuple[int, str]]:
    """Attribute names are spelled in `model/names.py` alone."""
    if module.path == "model/names.py":
        return
    prose = _docstrings(module.tree)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in prose:
            continue
        if node.value in _ATTRIBUTES or node.value.startswith(names.PARAM_PREFIX):
            yield node.lineno, f"{node.value!r} is spelled here: take it from model/names.py"


def small(module: Module) -> Iterator[tuple[int, str]]:
    """A reader sees the whole of a module in a minute and the whole of a function at once."""
    lines = len(module.source.splitlines())
    if lines > MAX_MODULE:
        yield 1, f"{lines} lines, at most {MAX_MODULE}"
    for function in _functions(module.tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > MAX_FUNCTION:
            yield function.lineno, f"{function.name} has {length} lines, at most {MAX_FUNCTION}"


def extractors(module: Module) -> Iterator[tuple[int, str]]:
    """An instrumentor never touches a function it watches, and an extractor is a generator with exactly one `yield`."""
    if module.room != "instrumentors" or module.path in {"instrumentors/__init__.py", "instrumentors/registry.py"}:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"__wrapped__", "function"}:
            yield node.lineno, f"{node.attr}: an extractor never holds the function it watches"
    for function in _functions(module.tree):
        flows = isinstance(function.returns, ast.Name) and function.returns.id == "Flow"
        yields = sum(isinstance(n, ast.Yield) for n in ast.walk(function))
        passes_on = any(
            isinstance(n, ast.YieldFrom | ast.Call) for s in function.body if isinstance(s, ast.Return) for n in ast.walk(s)
        )
        if isinstance(function, ast.AsyncFunctionDef):
            yield function.lineno, f"{function.name} is async: the engine does that"
        elif flows and yields != 1 and not (yields == 0 and passes_on):
            yield function.lineno, f"{function.name} has {yields} yields: exactly one stands for the library's call"


def exports(module: Module) -> Iterator[tuple[int, str]]:
    """What is public is said in `__all__`: a sorted tuple, and everything in it exists."""
    if not module.public:
        return
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            if not isinstance(node.value, ast.Tuple):
                yield node.lineno, "__all__ is not a tuple"
                return
            said = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
            if said != sorted(said, key=_export_order):
                yield node.lineno, "__all__ is not sorted"
            return
    yield 1, "__all__ is missing"


def _export_order(name: object) -> tuple[int, str]:
    """As ruff sorts (RUF022): constants, classes, functions."""
    word = str(name)
    return (0 if word.isupper() and len(word) > 1 else 1 if word[:1].isupper() else 2, word)


def comments(module: Module) -> Iterator[tuple[int, str]]:
    """A silenced checker is named."""
    for number, line in enumerate(module.source.splitlines(), 1):
        if _COMMENT.search(line):
            yield number, "say which: `noqa: CODE`, `type: ignore[code]`"


def future_annotations(module: Module) -> Iterator[tuple[int, str]]:
    """Where anything is annotated, `from __future__ import annotations` comes first: 3.10 reads newer types then."""
    code = [s for s in module.tree.body if not isinstance(s, ast.Expr)]
    annotated = any(isinstance(n, ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(module.tree))
    if annotated and not (isinstance(code[0], ast.ImportFrom) and code[0].module == "__future__"):
        yield code[0].lineno, "`from __future__ import annotations` first"


RULES: Final[tuple[Rule, ...]] = (
    placed,
    downward,
    outsiders,
    one_guard,
    one_reader_of_the_environment,
    few_loggers,
    names_in_one_place,
    small,
    extractors,
    exports,
    comments,
    future_annotations,
)


def told(test_module: Module) -> Iterator[tuple[int, str]]:
    """A test tells its story in a docstring and works on the real thing."""
    for function in _functions(test_module.tree):
        if function.name.startswith("test_") and not ast.get_docstring(function):
            yield function.lineno, f"{function.name} has no docstring"
    for node, name, _ in test_module.imports:
        if "mock" in name.lower():
            yield node.lineno, f"{name}: tests use the real thing"
    for word in (n for n in ast.walk(test_module.tree) if isinstance(n, ast.Name)):
        if word.id in {"MagicMock", "Mock", "AsyncMock", "mocker"}:
            yield word.lineno, f"{word.id}: tests use the real thing"
