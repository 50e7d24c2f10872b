"""Patches: every kind of function, in every order, transparent while in place and gone without a trace."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import itertools
import pickle
import sys
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import wrapt

from opentelemetry_instrumentation_authaudit import guard as guard_module
from opentelemetry_instrumentation_authaudit.hooks import SKIP, Call, Facts, Flow, Reason, Status
from opentelemetry_instrumentation_authaudit.hooks.wrapper import Watched, watched
from opentelemetry_instrumentation_authaudit.model.event import RecordingRefused

from .conftest import Bench, load
from .rows import AUTHENTICATE, CHECK, row, subject

PATHS = (
    "authenticate",
    "aauthenticate",
    "from_plain",
    "steps",
    "asteps",
    "kept",
    "Service.plain",
    "Service.coroutine",
    "Service.of_class",
    "Service.static",
    "Service.overridden",
    "Child.inherited",
)


def place(module: ModuleType, path: str) -> tuple[Any, str]:
    """The holder of the last name of *path*, and that name."""
    holder, _, name = path.rpartition(".")
    return (getattr(module, holder) if holder else module), name


@pytest.mark.parametrize("path", PATHS)
def test_off_leaves_the_very_objects_from_before(fakelib: Any, bench: Bench, path: str) -> None:
    """After `remove` the library holds what it held, entry by entry and in the same order."""
    parent, name = place(fakelib, path)
    before = dict(vars(parent))
    bench.install(row(path))
    assert isinstance(watched(vars(parent)[name]), Watched)
    bench.installation.remove()
    assert list(vars(parent)) == list(before)
    assert all(vars(parent)[key] is value for key, value in before.items())


@pytest.mark.parametrize("path", PATHS)
def test_watched_function_looks_like_itself(fakelib: Any, bench: Bench, path: str) -> None:
    """Signature, kind, type, equality, attributes, code: whoever looks sees the library's own function."""
    parent, name = place(fakelib, path)
    plain = getattr(parent, name)
    looks: list[Callable[[Any], Any]] = [
        inspect.signature,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ]
    looks += [inspect.isfunction, inspect.ismethod, inspect.isroutine, inspect.getdoc, callable]
    looks += [lambda f: f.__qualname__, lambda f: f.__module__, lambda f: f.__code__, lambda f: f.__defaults__, hash]
    looks += [lambda f: isinstance(f, types.FunctionType), lambda f: getattr(f, "mark", None), _innermost]
    before = [look(plain) for look in looks]
    bench.install(row(path))
    assert [look(getattr(parent, name)) for look in looks] == before
    assert getattr(parent, name) == plain


def _innermost(function: Any) -> Any:
    return inspect.unwrap(getattr(function, "__func__", function))


@pytest.mark.parametrize("path", [path for path in PATHS if path != "from_plain"])
def test_watched_function_can_be_pickled_copied_and_held_weakly(fakelib: Any, bench: Bench, path: str) -> None:
    """By name, as functions are; what is loaded after `remove` is the library's own."""
    bench.install(row(path))
    parent, name = place(fakelib, path)
    function = getattr(parent, name)
    kept = pickle.dumps(function)
    assert pickle.loads(kept) == function
    assert copy.copy(function) == function
    assert copy.deepcopy(function) == function
    if inspect.ismethod(function):
        assert weakref.WeakMethod(function)() == function
    else:
        assert weakref.ref(function)() is function
    bench.installation.remove()
    assert watched(pickle.loads(kept)) is None


def test_module_behind_a_proxy(fakelib: ModuleType, bench: Bench) -> None:
    """A module that stands behind an object which warns of deprecated names (zope.deprecation) is one for all that."""

    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            return ModuleType if name == "__class__" else getattr(fakelib, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(fakelib, name, value)

    sys.modules["fakelib"] = Proxy()  # type: ignore[assignment]
    plain = fakelib.authenticate
    bench.install(AUTHENTICATE)
    fakelib.authenticate("ann", "ok")
    assert [event.subject for event in bench.events] == ["ann"]
    bench.installation.remove()
    assert fakelib.authenticate is plain


def test_alias_of_a_watched_function_can_be_pickled(fakelib: Any, bench: Bench) -> None:
    """An old name of the same method, with a row of its own."""
    fakelib.Service.alias = fakelib.Service.plain
    bench.install(row("Service.plain"), row("Service.alias"))
    assert pickle.loads(pickle.dumps(fakelib.Service.alias)) == fakelib.Service.alias


def test_bound_method_is_a_real_one(fakelib: Any, bench: Bench) -> None:
    """A signal may be connected to it: weakly held, picklable, comparable, with its instance."""
    bench.install(row("Service.plain"))
    service = fakelib.Service()
    method = service.plain
    held = weakref.WeakMethod(method)
    assert type(method) is types.MethodType
    assert held() == service.plain
    assert method.__self__ is service
    assert copy.deepcopy(method)("x") == "x"
    assert list(inspect.signature(method).parameters) == ["user"]


def test_results_pass_through_every_kind(fakelib: Any, bench: Bench) -> None:
    """Each kind of call returns its own result and is seen with its own argument."""
    bench.install(*(row(path, subject, event="custom.seen") for path in PATHS if path.startswith(("Service", "Child"))))
    service, child = fakelib.Service(), fakelib.Child()
    assert service.plain("a") == "a"
    assert asyncio.run(service.coroutine("b")) == "b"
    assert fakelib.Service.of_class("c") == ("Service", "c")
    assert child.of_class(user="d") == ("Child", "d")
    assert fakelib.Service.static("e") == service.static("e") == "e"
    assert fakelib.Service.plain(service, "f") == "f"
    assert child.inherited("g") == "g"
    assert [e.subject for e in bench.events] == ["a", "b", "c", "d", "e", "e", "f", "g"]


def test_wrong_arguments_raise_where_they_did(fakelib: Any, bench: Bench) -> None:
    """A TypeError of the call is the library's, at once, also for coroutine functions."""
    bench.install(row("aauthenticate"), row("Service.plain"), row("steps"))
    for call in (fakelib.aauthenticate, fakelib.Service.plain, fakelib.steps):
        with pytest.raises(TypeError, match="missing"):
            call()


def test_coroutine_behind_a_plain_function_ends_when_awaited(fakelib: Any, bench: Bench) -> None:
    """A plain `def` around an `async def`: the event waits for the await, in success and failure."""
    bench.install(row("from_plain", errors={"Refused": Reason.PROVIDER_DENIED}))
    made = fakelib.from_plain("ann")
    assert bench.events == []
    assert asyncio.run(made) == "ann"
    with pytest.raises(fakelib.Refused):
        asyncio.run(fakelib.from_plain("bad"))
    assert [(e.status.value, e.reason) for e in bench.events] == [("success", None), ("failure", Reason.PROVIDER_DENIED)]


def test_generator_runs_step_by_step(fakelib: Any, bench: Bench) -> None:
    """What the generator does belongs to its attempt; what its caller does between the steps does not."""
    bench.install(CHECK, AUTHENTICATE, row("steps"))
    flow = fakelib.steps("ann")
    assert inspect.isgenerator(flow) is True
    assert next(flow) == "first"
    fakelib.authenticate("caller", "no")
    assert [e.subject for e in bench.events] == ["caller"]
    assert flow.send("no") == "second"
    assert flow.throw(fakelib.Refused()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value == "ann"
    assert [(e.event, e.subject, e.strategy.value) for e in bench.events][1:] == [("auth.sign_in", "ann", "password")]


def test_generator_that_is_closed_ends_cancelled(fakelib: Any, bench: Bench) -> None:
    """Nobody waited for its end: the outcome is unknown."""
    bench.install(row("steps"))
    flow = fakelib.steps("ann")
    next(flow)
    flow.close()
    assert [(e.status, e.reason) for e in bench.events] == [(Status.UNKNOWN, Reason.CANCELLED)]


def test_async_generator_runs_step_by_step(fakelib: Any, bench: Bench) -> None:
    """As for generators."""
    bench.install(CHECK, AUTHENTICATE, row("asteps"))

    async def scenario() -> list[str]:
        flow = fakelib.asteps("ann")
        assert inspect.isasyncgen(flow) is True
        return [await anext(flow), await flow.asend("ok"), *[item async for item in flow]]

    assert asyncio.run(scenario()) == ["first", "second"]
    assert [(e.event, e.strategy.value) for e in bench.events] == [("auth.sign_in", "password")]


def test_copy_by_name_made_before_is_found(fakelib: Any, bench: Bench) -> None:
    """`from fakelib import authenticate` in a module loaded long ago is pointed at the wrapper, and back."""
    user = ModuleType("application_of_fakelib")
    user.__dict__["authenticate"] = fakelib.authenticate
    sys.modules[user.__name__] = user
    try:
        bench.install(AUTHENTICATE)
        user.__dict__["authenticate"]("ann", "no")
        assert len(bench.events) == 1
        bench.installation.remove()
        assert user.__dict__["authenticate"] is fakelib.authenticate
        assert watched(fakelib.authenticate) is None
    finally:
        del sys.modules[user.__name__]


def test_copy_by_name_made_while_on_is_given_back(fakelib: Any, bench: Bench) -> None:
    """on, the application is imported, off, on again: the copy it took of our wrapper is no blind spot."""
    bench.install(AUTHENTICATE)
    user = ModuleType("application_of_fakelib")
    user.__dict__["authenticate"] = fakelib.authenticate
    sys.modules[user.__name__] = user
    try:
        bench.installation.remove()
        assert watched(user.__dict__["authenticate"]) is None
        again = Bench()
        again.install(AUTHENTICATE)
        user.__dict__["authenticate"]("ann", "no")
        assert len(again.events) == 1
        again.installation.remove()
    finally:
        del sys.modules[user.__name__]


_NUMBERS = itertools.count(1)


@pytest.fixture
def importable(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package on disk that nobody has imported yet, of a name of its own: wrapt 1.14 remembers what was imported once."""
    name = f"latelib{next(_NUMBERS)}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("from .core import authenticate\n")
    (package / "core.py").write_text("def authenticate(user, password):\n    return user if password == 'ok' else None\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in (name, f"{name}.core"):
        sys.modules.pop(module, None)


def late(bench: Bench, package: str) -> None:
    """Install the row of the package on disk."""
    bench.installation.add(
        [row("x").__class__(target=f"{package}.core:authenticate", extract=subject, event="auth.sign_in")],
        library=lambda: "latelib 1.0",
        trigger=package,
    )


def test_row_waits_for_the_import(importable: str, bench: Bench) -> None:
    """Watched before the package copies the function by name."""
    late(bench, importable)
    module = __import__(importable)
    module.authenticate("ann", "ok")
    assert [e.subject for e in bench.events] == ["ann"]


def test_row_removed_before_the_import_stays_out(importable: str, bench: Bench) -> None:
    """on, off, import: nothing happens at the import."""
    late(bench, importable)
    bench.installation.remove()
    module = __import__(importable)
    assert watched(module.authenticate) is None


def test_row_outside_the_package_waits_for_its_trigger(importable: str, fakelib: Any, bench: Bench) -> None:
    """A framework stays untouched in an application without the library that needs the row."""
    bench.installation.add([AUTHENTICATE], library=lambda: "latelib 1.0", trigger=importable)
    assert watched(fakelib.authenticate) is None
    __import__(importable)
    assert watched(fakelib.authenticate) is not None


def test_method_mixed_in_before_the_base(fakelib: Any, bench: Bench) -> None:
    """A method that a class outside the library lends to a subclass is seen there, and only there."""

    class Mixin:
        def overridden(self, user: str) -> str:
            return f"mixed:{user}"

    present = type("Present", (Mixin, fakelib.Service), {})
    bench.install(row("Service.overridden", overrides=True))
    future = type("Future", (Mixin, fakelib.Service), {})
    assert [kind().overridden("a") for kind in (present, future, Mixin)] == ["mixed:a"] * 3
    assert [event.subject for event in bench.events] == ["a", "a"]
    bench.installation.remove()
    assert [vars(kind).get("overridden") for kind in (present, future)] == [None, None]


def test_overriding_subclasses_present_and_future(fakelib: Any, bench: Bench) -> None:
    """A method overridden without `super()` is seen; a chain of supers is one event."""
    present = fakelib.Child
    before = dict(vars(fakelib.Service)), dict(vars(present))
    bench.install(row("Service.overridden", overrides=True))

    class Future(fakelib.Service):  # type: ignore[misc]
        def overridden(self, user: str) -> str:
            return f"future+{super().overridden(user)}"

    class Plain(fakelib.Service):  # type: ignore[misc]
        pass

    assert present().overridden("a") == "child:a"
    assert Future().overridden("b") == "future+base:b"
    assert Plain().overridden("c") == "base:c"
    assert [e.subject for e in bench.events] == ["a", "b", "c"]
    bench.installation.remove()
    assert all(
        vars(cls)[key] is value for cls, was in zip((fakelib.Service, present), before, strict=True) for key, value in was.items()
    )
    assert watched(vars(Future)["overridden"]) is None
    assert "__init_subclass__" not in vars(fakelib.Service)


def test_base_with_its_own_init_subclass_keeps_it(fakelib: Any, bench: Bench) -> None:
    """Options of a class statement arrive where they did."""
    seen: list[str] = []

    class Base(fakelib.Service):  # type: ignore[misc]
        def __init_subclass__(cls, *, tag: str = "", **options: Any) -> None:
            super().__init_subclass__(**options)
            seen.append(tag)

        def overridden(self, user: str) -> str:
            return user

    fakelib.Base = Base
    bench.install(row("Base.overridden", overrides=True))

    class Tagged(Base, tag="blue"):
        def overridden(self, user: str) -> str:
            return user.upper()

    assert Tagged().overridden("x") == "X"
    assert seen == ["blue"]
    assert len(bench.events) == 1


def test_dynamic_subclasses_are_not_kept_alive(fakelib: Any, bench: Bench) -> None:
    """An application that makes classes by the thousand does not leak them through us."""
    bench.install(row("Service.overridden", overrides=True))
    made = type("Made", (fakelib.Service,), {"overridden": lambda _self, user: user})
    ref = weakref.ref(made)
    assert watched(vars(made)["overridden"]) is not None
    del made
    gc.collect()
    assert ref() is None


def test_foreign_wrapper_below_and_above(fakelib: Any, bench: Bench) -> None:
    """Another agent's wrapper keeps its instance; where it sits on top of us we stay, inert, and take nothing of it away."""
    seen: list[tuple[str, Any]] = []

    def agent(name: str) -> Any:
        def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            seen.append((name, instance))
            return wrapped(*args, **kwargs)

        return wrapper

    wrapt.wrap_function_wrapper(fakelib, "Service.plain", agent("below"))
    bench.install(row("Service.plain"))
    wrapt.wrap_function_wrapper(fakelib, "Service.plain", agent("above"))
    service = fakelib.Service()
    assert service.plain("ann") == "ann"
    assert seen == [("above", service), ("below", service)]
    assert len(bench.events) == 1
    bench.installation.remove()
    assert service.plain("ann") == "ann"
    assert len(bench.events) == 1
    assert len(seen) == 4


def test_two_rows_on_one_function_both_hear(fakelib: Any, bench: Bench) -> None:
    """Rows of two libraries may watch the same function of a framework."""
    original = fakelib.kept
    bench.install(row("kept", event="custom.one"), row("kept", event="custom.two"))
    assert fakelib.kept("ann") == "ann"
    assert {e.event for e in bench.events} == {"custom.one", "custom.two"}
    bench.installation.remove()
    assert fakelib.kept is original


def test_rows_added_together_find_every_copy(fakelib: Any, bench: Bench) -> None:
    """One look through the modules for all rows: the copy of a function that two of them watch is heard by both."""
    user = ModuleType("application_of_fakelib")
    user.__dict__.update(kept=fakelib.kept, also=fakelib.kept, authenticate=fakelib.authenticate)
    sys.modules[user.__name__] = user
    originals = dict(user.__dict__)
    try:
        with bench.installation.together():
            bench.install(row("kept", event="custom.one"), AUTHENTICATE)
            bench.install(row("kept", event="custom.two"))
            assert user.__dict__["kept"] is originals["kept"]
        for name in ("kept", "also"):
            bench.events.clear()
            assert user.__dict__[name]("ann") == "ann"
            assert sorted(e.event for e in bench.events) == ["custom.one", "custom.two"]
        user.__dict__["authenticate"]("ann", "no")
        assert len(bench.events) == 3
        bench.installation.remove()
        assert user.__dict__ == originals
    finally:
        del sys.modules[user.__name__]


@pytest.mark.parametrize("path", ["gone", "Service.gone", "Gone.method", "SOURCE"])
def test_missing_target_costs_its_own_row(fakelib: Any, bench: Bench, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A renamed method or a changed type is named in one WARNING; the rest is watched."""
    fakelib.SOURCE = "a string"
    bench.install(row(path), AUTHENTICATE)
    fakelib.authenticate("ann", "no")
    assert len(bench.events) == 1
    assert [m.target for m in bench.installation.missing] == [f"fakelib:{path}"]
    assert [r.levelname for r in caplog.records if f"fakelib:{path}" in r.getMessage()] == ["WARNING"]


def test_optional_and_out_of_range_rows_are_no_fault(fakelib: Any, bench: Bench) -> None:
    """A row for another version, or one that may be absent, is neither installed nor missed."""
    bench.install(row("gone", optional=True), row("kept", versions=">=2"), row("login", versions=">=1,<2"))
    assert bench.installation.missing == []
    assert [target for _, target in bench.installation.hooked] == ["fakelib:login"]
    assert watched(fakelib.kept) is None


def test_traceback_frames_hold_no_argument(fakelib: Any, bench: Bench) -> None:
    """Error pages print the locals of every frame: none of ours holds the password, on any kind of call."""
    bench.install(row("raises"), row("from_plain"), row("aauthenticate"))
    secret = "c4n4ry-of-the-frames"
    frames = traceback.StackSummary.extract(traceback.walk_tb(_trace(fakelib.raises, secret)), capture_locals=True)
    ours = [f for f in frames if "opentelemetry_instrumentation_authaudit" in f.filename]
    assert ours
    assert not [f for f in ours if secret in str(f.locals)]


def _trace(function: Any, secret: str) -> types.TracebackType:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- made here, with nothing to match
        function(secret, ValueError())
    return caught.tb


def test_strict_refusal_comes_before_the_call(fakelib: Any, bench: Bench) -> None:
    """Where the sink refuses, the session-making function is never entered, and the refusal reaches the application."""
    calls: list[str] = []
    fakelib.login = lambda user: calls.append(user)  # noqa: PLW0108 -- a plain function, as libraries have
    bench.install(row("login", establishes_session=True), row("aauthenticate", establishes_session=True))
    bench.events.refuse = True
    with pytest.raises(RecordingRefused):
        fakelib.login("ann")
    with pytest.raises(RecordingRefused):
        asyncio.run(fakelib.aauthenticate("ann", "ok"))
    assert calls == []
    assert guard_module.errors == {}


def test_extractor_that_returns_before_its_yield_watches_nothing(fakelib: Any, bench: Bench) -> None:
    """The cheap way out of a hot path: what runs inside is on its own."""
    bench.install(AUTHENTICATE, row("outer", _not_now))
    fakelib.outer("ann", "no")
    assert [e.event for e in bench.events] == ["auth.authenticate"]


def _not_now(call: Call) -> Flow:
    if call.arg("user") == "ann":
        return SKIP
    yield
    return Facts()


def test_reload_of_the_library_is_watched_again(bench: Bench) -> None:
    """A module imported anew holds new functions; a second installation finds them."""
    first = load()
    bench.install(AUTHENTICATE)
    again = load()
    other = Bench()
    other.install(AUTHENTICATE)
    first.authenticate("ann", "no")
    again.authenticate("bob", "no")
    assert [e.subject for e in bench.events] == ["ann"]
    assert [e.subject for e in other.events] == ["bob"]
    other.installation.remove()
    sys.modules.pop("fakelib")
