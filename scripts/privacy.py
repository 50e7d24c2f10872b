"""The generated parts of the chapter "Privacy" of README.md, and of docs/privacy.md: lists from the rules, records from the pipeline."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from opentelemetry_instrumentation_authaudit.config import load, option
from opentelemetry_instrumentation_authaudit.instrumentor import known_fields
from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.event import AuditEvent, Param, Reason, Request, Status, Strategy
from opentelemetry_instrumentation_authaudit.pipeline.life import Sources
from opentelemetry_instrumentation_authaudit.pipeline.sink import Pipeline
from opentelemetry_instrumentation_authaudit.privacy.redaction import SECRET_NAMES
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, files_in, read

_MOMENT: Final = 1_795_521_600_000_000_000  # 2026-11-24, 12:00 UTC
_EVENT: Final = AuditEvent(
    event="auth.sign_in",
    status=Status.FAILURE,
    time=_MOMENT,
    library="django 6.1",
    strategy=Strategy.PASSWORD,
    reason=Reason.WRONG_PASSWORD,
    subject="auth.user:42",
    identity="ann@example.org",
    identity_known=True,
    session_key="k8n3v0q2x7-session",
    params={
        "email": Param("ann@example.org", sensitive=True),
        "remember": Param(value=True),
        "password": Param("correct-horse-battery-31", sensitive=True),
        "next": Param("/orders?token=83kd-93mx-tok"),
    },
    request=Request(
        flow_id="0123456789abcdef0123456789abcdef",
        peer="203.0.113.9",
        peer_port=47011,
        x_forwarded_for=("198.51.100.7:52100",),
        forwarded=('for="[2001:db8:cafe::17]:4711";proto=https',),
        user_agent="Mozilla/5.0",
        method="POST",
        host="shop.example",
        route="/login/",
    ),
)
"""A wrong password, behind a proxy."""

ADDRESSES: Final = (
    names.CLIENT_ADDRESS,
    names.CLIENT_PORT,
    names.PEER_ADDRESS,
    names.X_FORWARDED_FOR,
    names.FORWARDED,
)
_DEFAULT: Final[dict[str, Any]] = {"hash_key": "k1:a key of yours", "trusted_proxies": "1", "exporter": "none"}
_SWITCHES: Final = (
    "ip_privacy_mode", "ipv4_truncation_mask", "ipv6_truncation_mask", "identity_privacy_mode", "unknown_identity_mode", "include_fields",
    "hash_key", "hash_key_file", "hash_compat", "trusted_proxies", "log_lifetime",
)  # fmt: skip
_MODES: Final = {
    name: option(name).values.split(", ") for name in ("ip_privacy_mode", "identity_privacy_mode", "unknown_identity_mode")
}
_SAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {},
    *({name: mode} for name, modes in _MODES.items() for mode in modes if mode != option(name).default),
    {"ip_privacy_mode": "hash", "hash_compat": "ash"},
    {"include_fields": "email"},
)


def sample(**options: Any) -> dict[str, str]:
    """The record that the pipeline really makes of one failed sign-in, without the chain's own attributes.

    No account matches the identity where the options are about that.
    """
    return dict(_sample(tuple(sorted(options.items())), matched="unknown_identity_mode" not in options))


@cache
def _sample(options: tuple[tuple[str, Any], ...], *, matched: bool) -> dict[str, str]:
    event = _EVENT if matched else replace(_EVENT, subject=None, identity_known=False, reason=Reason.UNKNOWN_IDENTITY)
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder:
        config = load({"OTEL_SERVICE_NAME": "shop"}, raises=True, **{**_DEFAULT, **dict(options)}, journal_dir=folder)
        fixed = Sources(lambda: _MOMENT, lambda: f"01a20d8d-e31a-72d5-b9d8-{next(numbers):012d}", lambda: "d71d8536ed585643")
        pipeline = Pipeline(config, sources=fixed)
        pipeline(event)
        pipeline.shutdown()
        (record,) = (found.flat() for found in read(files_in(Path(folder)), Unreadable()) if found.event == event.event)
    hidden = {"logged_at", "service", "severity", names.LOG, names.SCHEMA}
    return {name: value for name, value in record.items() if name not in hidden and not name.startswith("audit.sequence.")}


def recorded() -> str:
    """The record by default."""
    return f"```json\n{_shown(sample())}\n```"


def addresses() -> str:
    """What each mode leaves of every address."""
    modes = _MODES["ip_privacy_mode"]
    rows = ([f"`{name}`", *(_cell(sample(ip_privacy_mode=mode).get(name)) for mode in modes)] for name in ADDRESSES)
    return _table(("attribute", *(f"`{mode}`" + (" (default)" if mode == "none" else "") for mode in modes)), rows)


def identities() -> str:
    """What each mode leaves of what was typed as the identity."""
    rows = [
        [
            _set({name: mode}) + (" (default)" if option(name).default == mode else ""),
            _cell(sample(**{name: mode}).get(names.IDENTITY)),
        ]
        for name in ("identity_privacy_mode", "unknown_identity_mode")
        for mode in _MODES[name]
    ]
    included = {"include_fields": "email"}
    rows.append([_set(included), f"{_cell(sample(**included)[names.IDENTITY])}, and `audit.params.email` too"])
    return _table(("option", f"`{names.IDENTITY}` of `ann@example.org`"), rows)


def fields() -> str:
    """Every parameter that a library may hand over, by what happens to it."""
    known = known_fields()
    clear = ", ".join(f"`{name}`" for name, sensitive in sorted(known.items()) if not sensitive)
    asked = ", ".join(f"`{name}`" for name, sensitive in sorted(known.items()) if sensitive)
    return f"- **recorded by default**: {clear}\n- **recorded only if `include_fields` names it**: {asked}"


def catalogue() -> str:
    """The same by library."""
    return _table(
        ("library", "recorded by default", "only with `include_fields`"),
        (
            _fields_of(library.distributions[0], library.hooks)
            for library in LIBRARIES
            if any(hook.params for hook in library.hooks)
        ),
    )


def _fields_of(name: str, hooks: Iterable[Any]) -> list[str]:
    known: dict[str, bool] = {}
    for hook in hooks:
        for param, sensitive in hook.params.items():
            known[param] = known.get(param, False) or sensitive
    return [name, *(", ".join(f"`{param}`" for param in sorted(known) if known[param] is wanted) for wanted in (False, True))]


def secret_names() -> str:
    """Names whose values never come out."""
    return ", ".join(f"`{word}`" for word in sorted(SECRET_NAMES))


def switches() -> str:
    """The options of privacy."""
    rows = (
        (f"`{row.name}`", f"`{row.default}`" if row.default else "–", row.values, row.meaning) for row in map(option, _SWITCHES)
    )
    return _table(("switch", "default", "values", "meaning"), rows)


def samples() -> str:
    """A whole record in every mode; after the first only what differs from it."""
    return "\n\n".join(_samples())


def _samples() -> Iterator[str]:
    usual = sample()
    for options in _SAMPLES:
        record = sample(**options)
        title = _set(options) or "By default"
        yield f"### {title}\n\n```json\n{_shown(record)}\n```{_difference(usual, record)}"


def _set(options: dict[str, Any]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in options.items())


def _shown(record: dict[str, str]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)


def _difference(usual: dict[str, str], record: dict[str, str]) -> str:
    gone = ", ".join(f"`{name}`" for name in usual if name not in record)
    return f"\n\nAbsent: {gone}." if gone else ""


def _cell(value: str | None) -> str:
    return "absent" if value is None else f"`{value}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


PARTS: Final = {
    "recorded": recorded,
    "addresses": addresses,
    "identities": identities,
    "fields": fields,
    "catalogue": catalogue,
    "secrets": secret_names,
    "switches": switches,
    "samples": samples,
}
