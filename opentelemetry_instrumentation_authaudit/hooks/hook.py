"""What an instrumentor file is made of: rows of data (`Hook`) and small extractors.

An extractor is a generator and never holds the function it watches, so it cannot change what the application sees:

    def login(call: Call) -> Flow:
        before = call.arg("request")           # runs before the library's function
        outcome = yield                        # the library runs; then its result or exception arrives
        if outcome.result is None:
            return Facts(status=Status.FAILURE, fallback=Reason.INVALID_CREDENTIALS)
        return Facts(subject=str(outcome.result.pk))

The same shape serves plain and async functions, methods, signals and requests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from ..model.catalog import Family
from ..model.event import Actor, Reason, Request, Status, Strategy
from .signatures import positions

__all__ = (
    "IDENTITY_FIELDS",
    "SILENCE",
    "SKIP",
    "Call",
    "Closing",
    "Emit",
    "Facts",
    "Flow",
    "Hook",
    "Opening",
    "Outcome",
    "Role",
    "Skip",
)


class Role(Enum):
    """What a watched call means."""

    ATTEMPT = "attempt"
    """Becomes an event, unless an outer attempt or the request takes it."""
    EVIDENCE = "evidence"
    """A low-level check (hash, token, code): never an event while a better one exists."""
    NOTE = "note"
    """Adds facts to the innermost open attempt; never an event."""
    SIGNAL = "signal"
    """The target is a signal (Django, blinker) to connect to: an attempt of no length."""
    HINT = "hint"
    """Facts about the request. With an `event`, they become an inferred one at its end if no better event was seen."""
    REQUEST = "request"
    """Opens the request scope; the extractor yields an `Opening` and returns a `Closing`."""
    RESPONSE = "response"
    """The response starts, before the request's entry point returns: the extractor yields a `Closing`, and the request scope
    closes before the library's code runs."""


class Emit(Enum):
    """Which outcomes of a row become events at all; what is *recorded* of them is the options' business."""

    ALL = "all"
    FAILURES = "failures"
    OFF = "off"


class Skip(Enum):
    """An extractor's verdict: not an event after all."""

    SKIP = "skip"
    """What happened inside is told on its own."""
    SILENCE = "silence"
    """The same, but low-level checks inside were made for show: nothing had been submitted that could be right or wrong."""


SKIP: Final = Skip.SKIP
SILENCE: Final = Skip.SILENCE

IDENTITY_FIELDS: Final = ("username", "email", "login", "user", "identifier")
"""Names under which forms and calls take an identity."""


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """How a call ended: its result, or the exception on its way to the caller. It has no useful `repr`: both may hold secrets."""

    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Facts:
    """What an extractor learnt. None means "nothing to say": the row, the calls inside and the outcome then speak. It has no
    useful `repr`: what it holds is not redacted yet."""

    status: Status | None = None
    event: str | None = None
    action: str | None = None
    strategy: Strategy | None = None
    provider: str | None = None
    reason: Reason | None = None
    """Wins over every reason found deeper."""
    fallback: Reason | None = None
    """The reason if nothing deeper knows a better one."""
    error_type: str | None = None
    subject: str | None = None
    identity: str | None = None
    """What was submitted as the identity."""
    identity_field: str = "username"
    """The field that carried it, one of IDENTITY_FIELDS: a sensitive parameter, which `include_fields` may name."""
    identity_known: bool | None = None
    actor: Actor | None = None
    tenant: str | None = None
    resource: str | None = None
    token_id: str | None = None
    session_key: str | None = None
    claims: Mapping[str, Any] | None = None
    """Verified claims of a token: option `tenant_claim` names the one that holds the tenant. Nothing else is taken from them."""
    via: str | None = None
    """In a row that may be a `relay`: the identity under which the connection looked this one up."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Values by names that the row declares in `Hook.params`; None values are left out, undeclared names are a fault."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How to read the inbound request, called with a flow id, and only if something is recorded in it."""

    read: Callable[[str], Request]
    asgi: bool = False
    """The watched callable is an ASGI application: the scope closes when the response starts or the WebSocket is accepted."""


@dataclass(frozen=True, slots=True)
class Closing:
    """How the request ended: the HTTP status code, None if it ended in an exception. One that stands for a response (aiohttp
    raises its redirects) has a code."""

    status_code: int | None = None


class Call:
    """One call as the library received it. It has no useful `repr`: its arguments may be secrets."""

    __slots__ = ("args", "function", "instance", "kwargs")

    def __init__(self, function: Any, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.function = function
        self.instance = instance
        """The object or class a method was called on (the sender, for a signal), else None."""
        self.args = args  # without the instance
        self.kwargs = kwargs

    def arg(self, name: str, default: Any = None) -> Any:
        """The argument called *name*, however it was passed; *default* where the caller left it out."""
        if name in self.kwargs:
            return self.kwargs[name]
        at = positions(self.function).get(name)
        if at is None:
            return default
        if self.instance is not None:
            at -= 1
        return self.args[at] if 0 <= at < len(self.args) else default


Flow: TypeAlias = Generator[Any, Outcome, "Facts | Closing | Skip | None"]
"""What an extractor returns when called. It yields nothing, but in a row of role REQUEST an `Opening`, of RESPONSE a `Closing`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A place in a library and what a call there means."""

    target: str
    """`defining.module:Class.method`, `defining.module:function` or `defining.module:signal`: never a re-export."""
    extract: Callable[[Call], Flow]
    role: Role = Role.ATTEMPT
    event: str | None = None
    strategy: Strategy | None = None
    params: Mapping[str, bool] = field(default_factory=dict)
    """Parameters this row may record: name -> whether it is sensitive."""
    errors: Mapping[str, Reason] = field(default_factory=dict)
    """Names of exception classes that mean a failure, and why. Any other exception leaves the outcome unknown."""
    defer: bool = False
    """A success waits for a sign-in of the same subject, or for the end of the request."""
    foreign: bool = False
    """The subject is a name in somebody else's directory (an LDAP DN, a SAML NameID): whom the application takes it for says
    nothing against it."""
    relay: bool = False
    """A success is no event if the credentials of another identity are checked after it: a service account looked that one up."""
    overrides: bool = False
    """Watch overriding methods of subclasses too, present and future."""
    nest: bool = True
    """False: look at the outcome, but enclose nothing of what runs inside."""
    establishes_session: bool = False
    """Ask `sink.admit` before the call (option `strict`)."""
    absorbs: frozenset[Family] = frozenset()
    """Further families that this row takes in from inside."""
    emit: Emit = Emit.ALL
    versions: str = ""
    """PEP 440 range of the library's versions that have this target; empty for all."""
    optional: bool = False
    """Absence of the target is no fault."""

    @property
    def module(self) -> str:
        """The defining module, by which the row waits for the import."""
        return self.target.partition(":")[0]

    @property
    def path(self) -> str:
        """The attribute path inside the module."""
        return self.target.partition(":")[2]
