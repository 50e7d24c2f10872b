"""The policy: from the raw attributes of a record to those that may be stored. This is the place where a record is redacted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from ..config import Config, IdentityPrivacy, IpPrivacy
from ..guard import guard
from ..model import names
from ..model.event import AuditEvent, Param
from .addresses import AddressPrivacy
from .forwarded import rebuild_forwarded, rebuild_host, rebuild_list
from .identity import IdentityRules
from .pseudonyms import Keyring
from .redaction import MASK, scrub, scrub_identifier, scrub_path, scrub_text, secret_name
from .sanitise import CUT, MAX_ATTRIBUTES, MAX_CHARS, SCANNED_CHARS, cap, clean, parameter_name, plain, render
from .shapes import mask_credentials, mask_opaque

__all__ = ("Policy", "minimal")

_CHAIN_ATTRIBUTES = 4  # stream, number, previous hash, end: added behind the policy
_LIMIT = MAX_ATTRIBUTES - _CHAIN_ATTRIBUTES - len((names.REDACTED, names.TRUNCATED))
_DIGITS_OF_A_TOKEN = 4
_SHORTEST_ECHO = 8  # characters: a shorter user name may be a common word

_EXCEPTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}(?:Error|Exception)")
_PUBLIC_PARAMS: Final = frozenset({"client_id", "scope"})
"""May look like secrets (`0123abcd...`, `token:read`) and are none (RFC 6749, 2.2 and 3.3)."""

_OURS: Final = frozenset({
    names.RECORD_ID, names.LOG, names.STRATEGY, names.OUTCOME, names.REASON, names.INFERRED, names.ATTEMPTS, names.REPEATS,
    names.CLIENT_SOURCE, names.METHOD, names.FLOW_ID, names.SCHEMA,
})  # fmt: skip
"""Words and numbers of ours: nobody outside chose them, so there is nothing to redact."""

_RECURRING: Final = frozenset({
    names.ACTION, names.PROVIDER, names.ERROR_TYPE, names.SUBJECT, names.ACTOR_ID, names.ACTOR_TYPE, names.TENANT, names.LIBRARY,
    names.CLIENT_ADDRESS, names.PEER_ADDRESS, names.SERVER_ADDRESS, names.ROUTE, names.USER_AGENT,
})  # fmt: skip
"""Attributes of which the same few values come again and again, and whose treatment depends on nothing but the value."""
_ECHOING: Final = frozenset({names.ERROR_TYPE, names.USER_AGENT})
"""Those of them that may repeat the identity, which every event has another of."""
_NOTHING: Final[frozenset[str]] = frozenset()
_TEXT_OR_NONE: Final = frozenset({str, type(None)})
_MEMORY, _MEMORABLE_CHARS = 1024, 256  # values of an attribute, and their length

_MINIMAL: Final = (names.RECORD_ID, names.LOG, names.ACTION, names.STRATEGY, names.OUTCOME, names.LIBRARY, names.SCHEMA)


def minimal(attributes: Mapping[str, Any]) -> dict[str, str]:
    """What a record keeps when redaction itself crashed: that something happened, and how it ended, and nothing from outside."""
    kept = {name: cap(clean(value)) for name in _MINIMAL if type(value := attributes.get(name)) is str and value}
    return {**kept, names.REDACTED: "*:failed"}


@dataclass(slots=True)
class _Record:
    """One record on its way through the policy, and what it lost there."""

    event: AuditEvent
    identity_mode: IdentityPrivacy
    sensitive: frozenset[str]
    """Parameters that their extractor declared so."""
    redacted: set[str] = field(default_factory=set)
    truncated: set[str] = field(default_factory=set)

    def echoed_in(self, text: str) -> bool:
        """Whether *text* repeats the identity as submitted, where that may not be recorded in clear."""
        identity = self.event.identity
        if not identity or self.identity_mode is IdentityPrivacy.NONE:
            return False
        wanted, where = identity.casefold(), unquote(text).casefold()
        return wanted in where and (wanted == where or "@" in wanted or len(wanted) >= _SHORTEST_ECHO)

    def surely_not_echoed_in(self, text: str) -> bool:
        """The same question about *text* that was stored before; an identity that is no text is looked at under a guard, so not here."""
        return type(self.event.identity) in _TEXT_OR_NONE and not self.echoed_in(text)


@dataclass(slots=True)
class _Field:
    """One attribute of it."""

    name: str
    value: Any
    record: _Record
    removed: set[str] = field(default_factory=set)
    """Rules that removed something of the value."""

    @property
    def text(self) -> str:
        """The value as text, cut to what is looked at; not yet redacted."""
        return self.value[:SCANNED_CHARS] if type(self.value) is str else render(plain(self.value))

    def without_echo(self, text: str) -> str:
        """*text* without the identity as submitted, where that may not be recorded in clear."""
        if not self.record.echoed_in(text):
            return text
        self.removed.add("identity")
        without, found = re.subn(re.escape(self.record.event.identity or ""), MASK, text, flags=re.IGNORECASE)
        return without if found else MASK


@dataclass(frozen=True, slots=True)
class Policy:
    """What the options allow to be recorded. Holds the hash keys, and shows none of them in its `repr`."""

    addresses: AddressPrivacy
    identities: IdentityRules
    keys: Keyring
    include_fields: frozenset[str]
    unchanged: Mapping[str, set[str]] = field(
        default_factory=lambda: {name: set() for name in _RECURRING}, repr=False, compare=False
    )
    """Values that the policy once let pass as they are, by attribute: it would again. What it changes is never remembered here, so
    there is nothing in it that does not stand in clear in a record."""

    @classmethod
    def of(cls, config: Config) -> Policy:
        """The policy of *config*; loads or generates the hash key. ValueError for options that contradict each other."""
        keys = Keyring.of(config)
        return cls(AddressPrivacy.of(config, keys), IdentityRules.of(config, keys), keys, config.include_fields)

    def apply(self, attributes: Mapping[str, Any], event: AuditEvent) -> dict[str, str]:
        """The attributes that may be stored: redacted, pseudonymised, sanitised, capped, none empty.

        A hostile value costs its own attribute, which is then named in `audit.redacted`.
        """
        record = _Record(event, self.identities.mode_for(event), _declared_sensitive(event.params) if event.params else _NOTHING)
        kept: dict[str, str] = {}
        for name, value in attributes.items():
            # In place, not by a function, for what most attributes are: a word of ours, or known from an earlier record.
            if type(value) is str and (
                name in _OURS
                or (value in self.unchanged.get(name, _NOTHING) and (name not in _ECHOING or record.surely_not_echoed_in(value)))
            ):
                kept[name] = value
            elif name.startswith(names.PARAM_PREFIX) and _is_secret(name.removeprefix(names.PARAM_PREFIX)):
                record.redacted.add(f"{names.PARAM_PREFIX}*:name")
            elif text := self._treated(_Field(name, value, record)):
                kept[name] = text
        if len(kept) > _LIMIT:
            kept = dict(islice(kept.items(), _LIMIT))
            record.truncated.add("*")
        if record.redacted:
            kept[names.REDACTED] = cap(",".join(sorted(record.redacted)))
        if record.truncated:
            kept[names.TRUNCATED] = cap(",".join(sorted(record.truncated)))
        return kept

    def _treated(self, item: _Field) -> str | None:
        treatment = _param if item.name.startswith(names.PARAM_PREFIX) else _TREATMENTS.get(item.name, _identifier)
        with guard("privacy.policy") as caught:
            text = treatment(self, item)
        if caught.failed:
            text, item.removed = None, {"failed"}
        if item.removed:
            item.record.redacted.update(f"{item.name}:{rule}" for rule in item.removed)
        if text is None or text == MASK:
            return None
        if len(text) > MAX_CHARS:
            item.record.truncated.add(item.name)
        text = cap(clean(text))
        if item.name in _RECURRING and type(item.value) is str and text == item.value and not item.removed:
            self._remember(item.name, text)
        return text

    def _remember(self, name: str, value: str) -> None:
        if len(value) <= _MEMORABLE_CHARS:
            memory = self.unchanged[name]
            if len(memory) >= _MEMORY:
                memory.clear()
            memory.add(value)


def _declared_sensitive(params: Mapping[str, Param]) -> frozenset[str]:
    """Under which names they would be recorded."""
    return frozenset(parameter_name(name) for name, param in params.items() if param.sensitive)


def _identifier(policy: Policy, item: _Field) -> str | None:
    return policy.addresses.within(_versions(policy, item))


def _versions(_policy: Policy, item: _Field) -> str:
    """An identifier in which four numbers are a version, not an address."""
    return scrub_identifier(item.text, item.removed)


def _free_text(_policy: Policy, item: _Field) -> str:
    return item.without_echo(scrub_text(item.text, item.removed))


def _error_type(policy: Policy, item: _Field) -> str | None:
    """The name of an exception class may be long and hold a digit (`OAuth2AuthorizeCallbackError`); another's code may be anything."""
    return item.text if _EXCEPTION.fullmatch(item.text) else policy.addresses.within(_free_text(policy, item))


def _path(policy: Policy, item: _Field) -> str | None:
    return policy.addresses.within(item.without_echo(scrub_path(item.text, item.removed)))


def _server(policy: Policy, item: _Field) -> str | None:
    """The host that the client asked for: a name, or an address like any other."""
    text = _versions(policy, item)
    return text if policy.addresses.mode is IpPrivacy.NONE else rebuild_host(text, policy.addresses)


def _param(policy: Policy, item: _Field) -> str | None:
    name = item.name.removeprefix(names.PARAM_PREFIX)
    if name in policy.include_fields:
        return render(plain(item.value))
    if name in item.record.sensitive:
        return None
    if secret_name(name) and type(item.value) is not bool:
        item.removed.add("key")
        return None
    if name in _PUBLIC_PARAMS:
        return scrub_identifier(item.text, item.removed)
    return policy.addresses.within(item.without_echo(render(scrub(plain(item.value), item.removed))))


def _address(policy: Policy, item: _Field) -> str | None:
    return policy.addresses(item.text)


def _port(policy: Policy, item: _Field) -> str | None:
    """Behind a carrier's NAT a port and a time name one subscriber (RFC 6302), so it goes with the address."""
    return item.text if policy.addresses.mode is IpPrivacy.NONE else None


def _header(policy: Policy, item: _Field) -> str | None:
    """All lines as one, in every mode but none rebuilt from what was understood; a long one keeps its last whole elements."""
    mode, lines = policy.addresses.mode, [line for line in item.value if type(line) is str]
    if mode is IpPrivacy.EXCLUDE:
        return None
    rebuild = rebuild_forwarded if item.name == names.FORWARDED else rebuild_list
    text = ", ".join(lines) if mode is IpPrivacy.NONE else rebuild(lines, policy.addresses)
    if len(text) <= MAX_CHARS:
        return text
    item.record.truncated.add(item.name)
    return f"{CUT},{text[len(CUT) + 1 - MAX_CHARS :].partition(',')[2]}"


def _identity(policy: Policy, item: _Field) -> str | None:
    recorded = policy.identities.apply(item.text, item.record.identity_mode)
    if recorded and item.record.identity_mode is IdentityPrivacy.NONE:
        return policy.addresses.within(scrub_identifier(recorded, item.removed))
    return recorded


def _session(policy: Policy, item: _Field) -> str | None:
    return policy.keys.session(item.text)


def _token(policy: Policy, item: _Field) -> str | None:
    return policy.keys.token(item.text)


_TREATMENTS: Final[Mapping[str, Callable[[Policy, _Field], str | None]]] = {
    names.CLIENT_ADDRESS: _address,
    names.CLIENT_PORT: _port,
    names.PEER_ADDRESS: _address,
    names.X_FORWARDED_FOR: _header,
    names.FORWARDED: _header,
    names.IDENTITY: _identity,
    names.SESSION_ID: _session,
    names.TOKEN_ID: _token,
    names.PATH: _path,
    names.SERVER_ADDRESS: _server,
    names.LIBRARY: _versions,
    names.USER_AGENT: _free_text,
    names.ERROR_TYPE: _error_type,
}
"""What is done to an attribute; to a parameter `_param`, to everything else `_identifier`."""


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    """Whether an application named a parameter by a secret; class and module names are long and hold few digits."""
    opaque = mask_opaque if sum(map(str.isdigit, name)) >= _DIGITS_OF_A_TOKEN else mask_credentials
    return opaque(mask_credentials(name, MASK, set()), MASK, set()) != name
