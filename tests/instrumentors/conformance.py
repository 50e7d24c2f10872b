"""Run one library through every order of import, on and off, and check what must hold for every row.

    python -m tests.instrumentors.conformance flask_login orders
    python -m tests.instrumentors.conformance flask_login doctor

Prints one line for each fault; exit code 1 if there is one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import os
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

from packaging.specifiers import SpecifierSet

from opentelemetry_instrumentation_authaudit import guard
from opentelemetry_instrumentation_authaudit.hooks import Hook, Role
from opentelemetry_instrumentation_authaudit.hooks.engine import Engine
from opentelemetry_instrumentation_authaudit.hooks.install import Installation, applies
from opentelemetry_instrumentation_authaudit.hooks.wrapper import find, watched
from opentelemetry_instrumentation_authaudit.instrumentor import listen
from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES, Library
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Status

Place = tuple[Any, str]

ORDERS = (*permutations(("import", "on", "off")), ("on", "off", "on", "import", "off"), ("import", "on", "off", "on", "off"))
"""Every order of importing a library, switching on and switching off; and switching on again."""


class Silent:
    """A sink for rows that are only looked at."""

    def begin(self) -> None:
        """Nothing starts."""

    def wants(self, event: str, status: Status) -> bool:
        """Everything may be recorded."""
        return True

    def admit(self, event: str) -> None:
        """Nothing is refused."""

    def __call__(self, event: AuditEvent) -> None:
        """Nothing is recorded."""


DJANGO: dict[str, tuple[str, ...]] = {
    "django": (),
    "rest_framework": ("rest_framework.authtoken",),
    "djoser": ("rest_framework.authtoken",),
    "knox": ("knox",),
    "rest_framework_simplejwt": ("rest_framework_simplejwt.token_blacklist",),
    "allauth": tuple(f"allauth{name}" for name in ("", ".account", ".socialaccount", ".mfa", ".usersessions", ".headless")),
    "dj_rest_auth": (
        *("django.contrib.sites", "allauth", "allauth.account", "allauth.socialaccount"),
        *("rest_framework", "rest_framework.authtoken", "dj_rest_auth", "dj_rest_auth.registration", "dj_rest_auth.mfa"),
    ),
    "oauth2_provider": ("oauth2_provider",),
    "django_otp": ("django_otp", *(f"django_otp.plugins.otp_{name}" for name in ("static", "totp", "hotp", "email"))),
    "two_factor": ("django_otp", "django_otp.plugins.otp_static", "django_otp.plugins.otp_totp", "two_factor"),
    "axes": ("axes",),
    "sesame": (),
    "hijack": ("hijack",),
    "impersonate": ("impersonate",),
    "loginas": ("django.contrib.admin", "django.contrib.messages", "loginas"),
}
"""Libraries that are Django applications, by trigger: what stands in INSTALLED_APPS beside Django's own, else their models cannot
be imported."""

NOT_YET: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "loginas": ("Django", "< 5", ("django.contrib.auth:aget_user",)),
    "flask_security": (
        *("Flask-Security-Too", "<= 5.5.2"),
        (
            *("flask_security.forms:RegisterFormV2.validate", "flask_security.tokens:RefreshTokenForm.validate"),
            *("flask_security.core:UserMixin.is_locked", "flask_security.signals:username_changed"),
            *("flask_security.signals:user_failed_authn", "flask_security.signals:refresh_tracker_revoked"),
        ),
    ),
    "oauth2_provider": (
        *("django-oauth-toolkit", "<= 2.3.0"),
        ("oauth2_provider.models:AbstractRefreshToken.revoke_family", "oauth2_provider.models:revoke_access_token"),
    ),
    "dj_rest_auth": ("dj-rest-auth", "<= 7.0.1", ("dj_rest_auth.mfa",)),
}
"""What an old version does not have yet, by the name of the library: the distribution, those of its versions that were seen without,
and the targets or packages. In every other version they must be there."""


def not_yet(library: str, name: str) -> bool:
    """Whether the version that is installed is too old to have *name*, a target or a module."""
    distribution, versions, names = NOT_YET.get(library, ("", "", ()))
    if not any(name == other or name.startswith(f"{other}.") for other in names):
        return False
    try:
        return SpecifierSet(versions).contains(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return False  # it comes from a newer distribution of another name


def prepare_django(applications: tuple[str, ...]) -> None:
    """Django's models need settings and loaded applications before they can be imported."""
    django = importlib.import_module("django")
    settings = importlib.import_module("django.conf").settings
    if not settings.configured:
        own = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
        settings.configure(
            INSTALLED_APPS=[*own, *applications],
            MIDDLEWARE=["allauth.account.middleware.AccountMiddleware"],  # allauth insists on it; nothing is served here
            SECRET_KEY="conformance, which needs a key that nobody finds too short",
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()


def import_all(library: Library) -> None:
    """Import everything the rows name, as an application would."""
    importlib.import_module(library.trigger)
    if library.trigger in DJANGO:
        prepare_django(tuple(name for name in DJANGO[library.trigger] if not not_yet(library.name, name)))
    for hook in library.hooks:
        if importlib.util.find_spec(hook.module.partition(".")[0]) is not None:
            try:
                importlib.import_module(hook.module)
            except ModuleNotFoundError:
                if not hook.optional:
                    raise


def places(library: Library) -> Iterator[tuple[Hook, Place]]:
    """Every row of the library that has a target here, and the place of the target."""
    for hook in library.hooks:
        module = sys.modules.get(hook.module)
        found = find(module, hook.path) if module is not None else ""
        if not isinstance(found, str):
            yield hook, found


def entry(hook: Hook, place: Place) -> Any:
    """What stands at *place*: for a signal its receivers, else the entry itself."""
    parent, name = place
    if hook.role is Role.SIGNAL:
        receivers = getattr(parent, name).receivers
        return list(receivers) if isinstance(receivers, list) else dict(receivers)
    return vars(parent).get(name, "absent")


def looks(place: Place) -> list[Any]:
    """How the function at *place* presents itself."""
    function = getattr(*place)
    try:
        signature: Any = inspect.signature(function)
    except (TypeError, ValueError) as error:
        signature = type(error)
    kinds = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)
    asks = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isfunction, inspect.isbuiltin, inspect.ismethod)
    return [
        signature,
        *[ask(function) for ask in asks],
        *[isinstance(function, kind) for kind in kinds],
        inspect.unwrap(getattr(function, "__func__", function)),
        getattr(function, "__qualname__", None),
        getattr(function, "__doc__", None),
        _pickled(function),
    ]


def _pickled(function: Any) -> str:
    try:
        return "same" if pickle.loads(pickle.dumps(function)) == function else "another"
    except Exception as error:
        return type(error).__name__


def run(library: Library, order: tuple[str, ...]) -> list[str]:
    """Go through *order*; returns the faults."""
    faults: list[str] = []
    installation: Installation | None = None
    before: dict[str, tuple[Any, list[Any]]] = {}
    imported = False
    for step in order:
        if step == "import":
            import_all(library)
            imported = True
        elif step == "on":
            before = _state(library) if imported else before
            installation = listen(Engine(Silent()), [library])
        elif step == "off" and installation is not None:
            installation.remove()
            faults += _check_off(library, before) if imported else []
            installation = None
        if imported and installation is not None:
            faults += _check_on(library, installation, before)
    return faults + [f"swallowed {site}: {count}" for site, count in guard.errors.items()]


def _state(library: Library) -> dict[str, tuple[Any, list[Any]]]:
    return {h.target: (entry(h, p), looks(p) if h.role is not Role.SIGNAL else []) for h, p in places(library)}


def _check_on(library: Library, installation: Installation, before: dict[str, tuple[Any, list[Any]]]) -> list[str]:
    hooked = {target for _, target in installation.hooked}
    faults = [f"missing {m.target}: {m.why}" for m in installation.missing]
    for hook, place in places(library):
        if hook.role is Role.SIGNAL or hook.target not in hooked:
            continue
        ours = watched(vars(place[0]).get(place[1]))
        if ours is None or not ours.serves(hook):
            faults.append(f"not watched: {hook.target}")
        if hook.target in before and looks(place) != before[hook.target][1]:
            faults.append(f"looks different: {hook.target}: {looks(place)} != {before[hook.target][1]}")
    return faults


def _check_off(library: Library, before: dict[str, tuple[Any, list[Any]]]) -> list[str]:
    faults = []
    for hook, place in places(library):
        now = entry(hook, place)
        if hook.target in before and hook.role is not Role.SIGNAL and now is not before[hook.target][0]:
            faults.append(f"not the object from before: {hook.target}")
        if hook.role is Role.SIGNAL and hook.target in before and now != before[hook.target][0]:
            faults.append(f"receivers differ: {hook.target}")
        if hook.role is not Role.SIGNAL and watched(now) is not None:
            faults.append(f"still watched: {hook.target}")
    return faults


def every_order(library: Library) -> list[str]:
    """Go through every order, each in a child of its own; those that begin with the import share it."""
    early = [order for order in ORDERS if order[0] != "import"]
    return [*_each(library, early), *_in_a_child("late", partial(_imported_first, library))]


def _each(library: Library, orders: Iterable[tuple[str, ...]]) -> list[str]:
    return [fault for order in orders for fault in _in_a_child(" ".join(order), partial(run, library, order))]


def _imported_first(library: Library) -> list[str]:
    import_all(library)
    return _each(library, (order for order in ORDERS if order[0] == "import"))


def doctor_all(library: Library) -> list[str]:
    """Doctor the library once for every target, each time in a child of its own, which shares the import."""
    import_all(library)
    targets = dict.fromkeys(hook.target for hook in library.hooks)
    return [fault for target in targets for fault in _in_a_child(target, partial(doctor, library, target))]


def _in_a_child(name: str, check: Callable[[], list[str]]) -> list[str]:
    """What *check* finds in a child process, after which everything is as it was."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            found = check()
        except BaseException as error:
            found = [repr(error)]
        os.write(writing, "\n".join(found).encode()[:4000])
        os._exit(bool(found))
    os.close(writing)
    with os.fdopen(reading, errors="replace") as told:
        faults = [f"{name}: {fault}" for fault in told.read().splitlines()]
    _, status = os.waitpid(child, 0)
    return faults if os.waitstatus_to_exitcode(status) >= 0 else [*faults, f"{name}: the process died"]


def doctor(library: Library, target: str) -> list[str]:
    """Remove *target* from the library, then switch on: exactly that row is missing, named in one WARNING, the rest is watched."""
    hook = next(hook for hook in library.hooks if hook.target == target)
    if not applies(hook, library.label):
        return []  # a row for other versions: there is nothing to remove
    if not_yet(library.name, target):
        return [f"is there, though it should not be yet: {target}"] if hook in (other for other, _ in places(library)) else []
    parent, name = next(place for other, place in places(library) if other is hook)
    if inspect.isclass(parent):
        for holder in parent.__mro__[:-1]:
            if name in vars(holder) and holder.__module__ != "builtins":
                delattr(holder, name)
    else:
        delattr(parent, name)
    if hasattr(parent, name) and inspect.isclass(parent) and name.startswith("__"):
        return []  # every object has one
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    installation = listen(Engine(Silent()), [library])
    missing = {m.target for m in installation.missing}
    here = {h.target for h, _ in places(library)}  # removed from a base class, a method is gone from all that inherit it
    gone = {h.target for h in library.hooks if h.target not in here and not h.optional and applies(h, library.label)}
    faults = [f"missing {missing}, expected {gone}"] if missing != gone else []
    if target not in gone and not hook.optional:
        faults.append(f"could not be removed: {target}")
    if target in gone and len([line for line in said if target in line]) != 1:
        faults.append(f"not named in one WARNING: {target}: {said}")
    installation.remove()
    return faults + [f"swallowed {site}" for site in guard.errors]


def main(arguments: list[str]) -> int:
    """Entry point."""
    name, what = arguments
    library = next(library for library in LIBRARIES if library.name == name)
    faults = {"orders": every_order, "doctor": doctor_all}[what](library)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
