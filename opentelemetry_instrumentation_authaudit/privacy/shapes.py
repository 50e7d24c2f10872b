"""What secrets look like, whatever they are called: two nets, one for what is a credential beyond doubt, one for what may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ("looks_random", "mask_credentials", "mask_opaque")

_Shape: TypeAlias = "tuple[str, re.Pattern[str], Callable[[str], bool]]"

_MANY_DIGITS = 5
_SHORTEST = 24  # characters: 144 bits in base64
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PART = r"[A-Za-z0-9_+/=-]{2,}"
_JOINED = rf"(?<![A-Za-z0-9_+/=-]){_PART}(?:[.:~]{_PART})+"
_RUN = r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_+/=-]{%d,}"


def looks_random(text: str) -> bool:
    """Whether *text* mixes letters and digits as only generated text does."""
    digits = sum(map(str.isdigit, text))
    if len(text) < len("0123456789") or digits == 0 or digits == len(text):
        return False
    mixed = any(map(str.isupper, text)) and any(map(str.islower, text))
    return mixed or digits >= _MANY_DIGITS


def _always(_text: str) -> bool:
    return True


def _generated(text: str) -> bool:
    """Whether *text* is long and random; UUIDs, which are ids, do not count."""
    rest = _UUID.sub("", text)
    return len(rest) >= _SHORTEST and looks_random(rest)


def _signed(text: str) -> bool:
    """Whether a payload, a time and a signature are joined: itsdangerous, django.core.signing, PASETO, macaroons."""
    return any(map(_generated, re.split("[.:~]", text)))


def _card(text: str) -> bool:
    """Whether *text* is a payment card number (ISO/IEC 7812-1: Luhn's check digit)."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = (digit if at % 2 == 0 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


_AUTHORIZATION = r"(?i:\b(?:bearer|basic|negotiate|ntlm|digest|apikey))[ :=]\s{0,8}(?=\S*[A-Z0-9=_])[\w+/=.~:-]{6,}"

# A scheme that is an ordinary word too (Django REST framework): only before what looks generated.
_WORDED = r"(?i:\b(?:token|jwt|key)) (?=\S{0,64}\d)(?=\S{0,64}[A-Za-z])[\w+/=.~:-]{16,}"

_CREDENTIALS: tuple[_Shape, ...] = (
    ("pem", re.compile(r"-----BEGIN .*?(?:-----END [^-]*-----|$)", re.DOTALL), _always),
    ("jwt", re.compile(r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*)*"), _always),
    ("bearer", re.compile(_AUTHORIZATION), _always),
    ("bearer", re.compile(_WORDED), _always),
)
_OPAQUE: tuple[_Shape, ...] = (
    ("card", re.compile(r"(?<![0-9.])[2-6](?:[ -]?[0-9]){12,18}(?![0-9.])"), _card),
    ("hex", re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32,}(?![0-9A-Za-z])"), _always),
    ("signed", re.compile(_JOINED), _signed),
    ("base64", re.compile(_RUN % _SHORTEST), _generated),
    ("base64", re.compile(_RUN % 64), _always),
)
_CREDENTIAL_HINT = re.compile(r"-----BEGIN|eyJ|bearer|basic|negotiate|ntlm|digest|apikey|token|jwt|key", re.IGNORECASE)
_OPAQUE_HINT = re.compile(r"[A-Za-z0-9_+/=-]{24}|[0-9][0-9 -]{11}")


def mask_credentials(text: str, mask: str, removed: set[str]) -> str:
    """*text* without JWTs, PEM blocks and the credentials of an Authorization header (RFC 9110, 11.6.2)."""
    return _mask(text, _CREDENTIALS, mask, removed) if _CREDENTIAL_HINT.search(text) else text


def mask_opaque(text: str, mask: str, removed: set[str]) -> str:
    """*text* without long hex, base64 and other generated runs, and without card numbers. UUIDs are ids, and stay."""
    return _mask(text, _OPAQUE, mask, removed) if _OPAQUE_HINT.search(text) else text


def _mask(text: str, shapes: tuple[_Shape, ...], mask: str, removed: set[str]) -> str:
    for rule, pattern, holds in shapes:

        def replaced(match: re.Match[str], rule: str = rule, holds: Callable[[str], bool] = holds) -> str:
            if not holds(match[0]):
                return match[0]
            removed.add(rule)
            return mask

        text = pattern.sub(replaced, text)
    return text
