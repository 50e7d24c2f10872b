"""What happened on a recorded day: honest people at work, and attackers, each attack by itself. Raw facts, as hooks tell them.

Every attack keeps to the thresholds of the published rules that `reports/detect.py` names, and away from those of the others, so that
each detection finds its own attack and no other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry_instrumentation_authaudit.model.event import Actor, AuditEvent, Reason, Request, Status, Strategy

MINUTE, HOUR = 60, 3600
OFFICE = "198.51.100.7"
"""The address that everybody in the office has (NAT)."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
SCRIPT = "python-requests/2.32.5"


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    number: int
    name: str
    tenant: str
    home: str
    works_in_the_office: bool
    has_a_second_factor: bool

    @property
    def subject(self) -> str:
        return f"auth.user:{self.number}"

    @property
    def identity(self) -> str:
        return f"{self.name}@example.org"

    @property
    def usual(self) -> str:
        """The address they work from."""
        return OFFICE if self.works_in_the_office else self.home


@dataclass(frozen=True)
class Happening:
    """An event; `second` is of the day, `attack` the label of what it belongs to ("" for honest life)."""

    second: float
    event: AuditEvent
    service: str = "shop"
    attack: str = ""


_NAMES = (
    "ann", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy",
    "mallory", "niaj", "olivia", "peggy", "rupert", "sybil", "trent", "victor", "wendy", "zoe",
)  # fmt: skip
PEOPLE = tuple(
    Person(
        number=number,
        name=name if number <= len(_NAMES) else f"{name}{number}",
        tenant="acme" if number % 3 else "globex",
        home=f"192.0.2.{number}",
        works_in_the_office=number % 2 == 0,
        has_a_second_factor=number % 5 == 0,
    )
    for number, name in enumerate(_NAMES * 3, 1)
)
ANN, BOB, CAROL, DAVE, ERIN = PEOPLE[:5]


def honest() -> Iterator[Happening]:
    """A working day: sign-ins from eight on, a few typos, second factors, resets, API keys, new colleagues, sign-outs."""
    chance = random.Random(20261120)
    for person in PEOPLE:
        at = 8 * HOUR + chance.randrange(90 * MINUTE)
        typos = chance.choice((0, 0, 0, 0, 0, 1, 1, 2))
        for _ in range(typos):
            yield Happening(at, refused(person.identity, person.usual))
            at += chance.randrange(6, 25)
        yield Happening(at, signed_in(person, person.usual, session="morning"))
        if person.has_a_second_factor:
            if chance.random() < 0.3:
                yield Happening(at + 4, second_factor(person, person.usual, Status.FAILURE))
            yield Happening(at + 9, second_factor(person, person.usual))
        yield Happening(16 * HOUR + chance.randrange(2 * HOUR), signed_out(person, person.usual, session="morning"))
    yield from _errands()
    yield from _evening()


def _errands() -> Iterator[Happening]:
    """What else comes up in a day."""
    for number, person in enumerate(PEOPLE[10:14]):
        at = 10 * HOUR + number * 25 * MINUTE
        common: dict[str, Any] = {"strategy": Strategy.PASSWORD, "identity": person.identity, "address": person.usual}
        yield Happening(at, told("password.reset_request", Status.UNKNOWN, **common))
        yield Happening(at + 95, told("password.reset", subject=person.subject, **common))
    for number in range(3):
        name = f"newcomer{number}"
        at = 11 * HOUR + number * 40 * MINUTE
        who: dict[str, Any] = {"identity": f"{name}@example.org", "subject": f"auth.user:{900 + number}", "tenant": "acme"}
        yield Happening(at, told("auth.register", strategy=Strategy.PASSWORD, address=OFFICE, **who))
        yield Happening(at + 30, told("auth.sign_in", strategy=Strategy.PASSWORD, address=OFFICE, **who))
    for hour in range(9, 18):
        key: dict[str, Any] = {
            "strategy": Strategy.API_KEY,
            "address": "203.0.113.5",
            "agent": "sync-job/3",
            "subject": "auth.user:500",
        }
        yield Happening(hour * HOUR + 7, told("api_key.verify", **key), "api")
    yield Happening(13 * HOUR, told("api_key.create", strategy=Strategy.API_KEY, subject=ERIN.subject, address=OFFICE), "api")
    admin = Actor("auth.user:1")
    yield Happening(14 * HOUR, told("password.set", subject=CAROL.subject, actor=admin, address=ANN.usual), "admin")
    yield Happening(14 * HOUR + 300, told("account.role.change", subject=DAVE.subject, actor=admin, address=ANN.usual), "admin")
    github: dict[str, Any] = {"strategy": Strategy.OAUTH2, "provider": "github", "address": OFFICE}
    yield Happening(9 * HOUR + 1800, told("auth.sign_in", subject="auth.user:600", **github))


def _evening() -> Iterator[Happening]:
    """Two of the office sign in from home: a client that is new for each of them."""
    for number, person in enumerate(person for person in PEOPLE[:4] if person.works_in_the_office):
        yield Happening(19 * HOUR + number * 600, signed_in(person, person.home, session="evening"), attack="new_client")


def brute_force() -> Iterator[Happening]:
    """One address guesses the password of one account."""
    for number in range(40):
        yield Happening(2 * HOUR + number * 6, refused(ANN.identity, "203.0.113.66", SCRIPT))


def brute_force_many_sources() -> Iterator[Happening]:
    """Eight addresses guess the password of one account, slowly."""
    for number in range(24):
        yield Happening(3 * HOUR + number * 65, refused(BOB.identity, f"203.0.113.{100 + number % 8}", SCRIPT))


def spraying() -> Iterator[Happening]:
    """One address tries three common passwords on twelve accounts."""
    for number in range(36):
        yield Happening(4 * HOUR + 5 * MINUTE + number * 65, refused(PEOPLE[20 + number % 12].identity, "203.0.113.77", SCRIPT))


def spraying_many_sources() -> Iterator[Happening]:
    """Ten addresses try two common passwords on twenty accounts."""
    for number in range(40):
        who = PEOPLE[35 + number % 20]
        yield Happening(6 * HOUR + 5 * MINUTE + number * 70, refused(who.identity, f"203.0.113.{150 + number % 10}", SCRIPT))


def stuffing() -> Iterator[Happening]:
    """One address tries a leaked list of names and passwords, each once; two of them are still in use."""
    hits = {17: PEOPLE[40], 44: PEOPLE[50]}
    for number in range(60):
        at = 20 * HOUR + number * 9
        if number in hits:
            yield Happening(at, signed_in(hits[number], "203.0.113.99", agent=SCRIPT, session="stuffed"))
        else:
            yield Happening(at, refused(f"leaked{number}@example.net", "203.0.113.99", SCRIPT, known=False))


def success_after_failures() -> Iterator[Happening]:
    """Seven guesses within a minute, and the eighth is right."""
    for number in range(7):
        yield Happening(21 * HOUR + number * 9, refused(CAROL.identity, "203.0.113.88", SCRIPT))
    yield Happening(21 * HOUR + 70, signed_in(CAROL, "203.0.113.88", agent=SCRIPT, session="guessed"))


def mfa_fatigue() -> Iterator[Happening]:
    """Somebody who has the password asks for the second factor until its owner gives in."""
    thief = "203.0.113.55"
    password = told("auth.authenticate", strategy=Strategy.PASSWORD, identity=DAVE.identity, subject=DAVE.subject, address=thief)
    yield Happening(22 * HOUR, password)
    for number in range(8):
        yield Happening(22 * HOUR + 20 + number * 40, second_factor(DAVE, thief, Status.FAILURE))
    yield Happening(22 * HOUR + 360, second_factor(DAVE, thief))


ATTACKS: dict[str, Callable[[], Iterator[Happening]]] = {
    attack.__name__: attack
    for attack in (
        brute_force, brute_force_many_sources, spraying, spraying_many_sources, stuffing, success_after_failures, mfa_fatigue,
    )
}  # fmt: skip
"""By label."""


def happenings(*attacks: str) -> list[Happening]:
    """The honest day with these attacks, in the order of time."""
    malicious = (replace(one, attack=label) for label in attacks for one in ATTACKS[label]())
    return sorted([*honest(), *malicious], key=lambda one: one.second)


def told(
    event: str,
    status: Status = Status.SUCCESS,
    *,
    address: str,
    agent: str = BROWSER,
    session: str | None = None,
    route: str = "/login",
    **facts: Any,
) -> AuditEvent:
    """An event of a Django application; its time is set when it is recorded."""
    request = Request(flow_id="", peer=address, user_agent=agent, method="POST", host="shop.example.org", route=route)
    key = f"{session}:{facts.get('subject')}" if session else None
    return AuditEvent(event=event, status=status, time=0, library="django 6.1.3", request=request, session_key=key, **facts)


def refused(identity: str, address: str, agent: str = BROWSER, *, known: bool = True) -> AuditEvent:
    """A wrong password: Django does not say whose account it was."""
    reason = Reason.WRONG_PASSWORD if known else Reason.UNKNOWN_IDENTITY
    facts: dict[str, Any] = {"strategy": Strategy.PASSWORD, "identity": identity, "identity_known": known, "reason": reason}
    return told("auth.sign_in", Status.FAILURE, address=address, agent=agent, **facts)


def signed_in(person: Person, address: str, *, session: str, agent: str = BROWSER) -> AuditEvent:
    """The right password."""
    who: dict[str, Any] = {"subject": person.subject, "identity": person.identity, "tenant": person.tenant}
    facts = {"strategy": Strategy.PASSWORD, "resource": "auth.User", **who}
    return told("auth.sign_in", address=address, agent=agent, session=session, **facts)


def signed_out(person: Person, address: str, *, session: str) -> AuditEvent:
    """The end of a session."""
    return told("auth.sign_out", subject=person.subject, tenant=person.tenant, address=address, session=session, route="/logout")


def second_factor(person: Person, address: str, status: Status = Status.SUCCESS) -> AuditEvent:
    """A one-time code: of whom is known."""
    reason = Reason.MFA_INVALID if status is Status.FAILURE else None
    facts: dict[str, Any] = {"subject": person.subject, "tenant": person.tenant, "reason": reason}
    return told("mfa.verify", status, strategy=Strategy.TOTP, address=address, route="/verify", **facts)
