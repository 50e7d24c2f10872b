"""The gate: the second net under the extractors' allow-lists. It removes secrets by the name they go by and by their shape.

It runs over what applications and clients supply (parameters, path, user agent, identifiers), before any hash of ours is added.
Each function adds the rules it applied to `removed`; what was removed is named in the record, its value never is.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from .sanitise import Plain, plain, render
from .shapes import looks_random, mask_credentials, mask_opaque

__all__ = ("MASK", "SECRET_NAMES", "scrub", "scrub_identifier", "scrub_path", "scrub_text", "secret_name")

MASK: Final = "[redacted]"

_SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "motdepasse", "contraseña", "contrasena", "wachtwoord",
    "senha", "пароль", "密码", "密碼", "パスワード", "비밀번호", "secret", "token",
    "cookie", "credential", "authorization", "assertion", "signature", "samlresponse", "sesame", "apikey", "privatekey",
    "accesskey", "sessionid", "sessionkey",
)  # fmt: skip
"""Secret wherever they occur in a name, also run together: `newpassword2`, `SAMLResponse`."""
_SECRET_WORDS = frozenset({
    "pass", "pwd", "pw", "psw", "pin", "otp", "totp", "hotp", "code", "codes", "key", "keys", "nonce", "ticket", "jwt", "bearer",
    "auth", "state", "verifier", "challenge", "csrf", "xsrf", "sig", "hash", "digest", "salt", "seed", "mnemonic", "cvv", "cvc",
    "ssn", "sid", "session", "saml", "proof", "answer", "hint", "cred", "creds", "clave", "geheim", "parola", "hasło", "haslo",
})  # fmt: skip
"""Secret as a word of a name: `otp_code`, `apiKey`; not inside another word (`keyboard`, `country`)."""
SECRET_NAMES: Final = frozenset(_SECRET_PARTS) | _SECRET_WORDS
"""For those who print the rules."""
_HARMLESS_ENDINGS = frozenset({"type", "method", "count", "backend", "provider", "strategy", "enabled", "required"})
"""What is said *about* a secret: `token_type`, `code_challenge_method`."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTERS = re.compile(r"[\W\d_]+")
_NAME_CHARS = 64
_MAX_NESTING = 3

_PAIR_NAME = re.compile(r"([\w.%\[\]-]{1,64})[\"'\]]{0,2}\s{0,8}[=:]\s{0,8}")
_PAIR_VALUE = re.compile(r"\"(?:[^\"\\]|\\.)*(?:\"|\\?$)|'[^']*(?:'|$)|[^&;,]*", re.DOTALL)
_FLAG = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{0,63})\s{1,8}(?=[^\s-])(\S+)")  # of a command line
_FORM_FIELD = re.compile(r"\bname\s{0,8}=\s{0,8}[\"']([^\"']{1,64})")  # HTML, and RFC 7578: the value stands somewhere behind
_XML_NAME = re.compile(r"<\s{0,8}(?:\w{1,32}:)?(\w{1,64})")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s\"'<>()]+")
_QUERY = re.compile(r"[?#;].*", re.DOTALL)


@lru_cache(maxsize=1024)
def secret_name(name: str) -> bool:
    """Whether a field called *name* holds a secret: `new_password1`, `apiKey`, `code_verifier`, `SAMLResponse`, `p%61ssword`."""
    name = unicodedata.normalize("NFKC", unquote(name))
    words = [word.lower() for word in _NO_LETTERS.split(_CAMEL.sub(" ", name)) if word]
    if words and words[-1] in _HARMLESS_ENDINGS:
        return False
    run_together = _NO_LETTERS.sub("", name).lower()
    return any(part in run_together for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(words)


def scrub(value: Plain, removed: set[str], nesting: int = 0) -> Plain:
    """Plain data without its secrets: fields by their names, texts by what they look like."""
    if isinstance(value, str):
        return scrub_text(value, removed, nesting)
    if isinstance(value, list):
        return _scrub_list(value, removed, nesting)
    if isinstance(value, dict):
        hidden = _HELD if any(_names_a_secret(key, item) for key, item in value.items()) else frozenset()
        return {
            scrub_text(key, removed, nesting): _field("secret" if key.lower() in hidden else key, item, removed, nesting)
            for key, item in value.items()
        }
    return _masked(removed, "card") if isinstance(value, int) and mask_opaque(str(value), MASK, set()) == MASK else value


def scrub_text(text: str, removed: set[str], nesting: int = 0) -> str:
    """A text without secrets: JSON and percent-encoding are looked into, URLs lose their query."""
    if nesting > _MAX_NESTING:
        return _masked(removed, "depth")
    parsed = _json(text)
    if parsed is not None:
        shown = plain(parsed)
        scrubbed = scrub(shown, removed, nesting + 1)
        return text if scrubbed == parsed else render(scrubbed)
    if "%" in text and (decoded := unquote(text)) != text and scrub_text(decoded, removed, nesting + 1) != decoded:
        return MASK
    if _secret_element(text) or any(map(secret_name, _FORM_FIELD.findall(text))):
        return _masked(removed, "key")
    text = _URL.sub(lambda match: _scrub_url(match[0], removed), text)
    if text.startswith("/"):
        text = scrub_path(text, removed)
    text = mask_opaque(mask_credentials(text, MASK, removed), MASK, removed)
    if "-" in text:
        text = _FLAG.sub(lambda flag: _scrub_flag(flag, removed), text)
    return _scrub_pairs(text, removed) if "=" in text or ":" in text else text


def scrub_identifier(text: str, removed: set[str]) -> str:
    """An identifier without what is a credential beyond doubt. A long number or hash may be a user's true id, so it stays."""
    return mask_credentials(text, MASK, removed)


def scrub_path(path: str, removed: set[str]) -> str:
    """A path without query and tokens: what follows `reset`, `confirm`, `magic` ..., what looks random, what is an e-mail."""
    bare = _QUERY.sub("", path)
    if bare != path:
        removed.add("query")
    segments, after = [], False
    for segment in bare.split("/"):
        if segment and _is_token(unquote(segment), after=after):
            segments.append(_masked(removed, "path"))
        else:
            segments.append(segment)
            after = after or not _LINK_WORDS.isdisjoint(_words(segment))
    return "/".join(segments)


_LINK_WORDS = frozenset({
    "accept", "activate", "activation", "code", "confirm", "confirmation", "invitation", "invite", "key", "link", "magic",
    "otp", "recover", "recovery", "reset", "sesame", "setup", "share", "token", "unlock", "unsubscribe", "validate",
    "verification", "verify",
})  # fmt: skip
"""What follows such a word of a path is a token, unless it is made of these words and the ones below."""
_PLAIN_WORDS = _LINK_WORDS | frozenset({
    "account", "accounts", "api", "auth", "callback", "change", "complete", "done", "email", "fail", "failed", "form", "from",
    "in", "login", "logout", "mail", "mfa", "new", "out", "password", "phone", "register", "request", "resend", "send", "sent",
    "set", "sign", "signin", "signup", "start", "success", "totp", "up", "user", "users", "webauthn",
})  # fmt: skip
_LONG_SEGMENT = 20
_ORDINARY = re.compile(r"[a-z]+(?:[-_.][a-z]+)*|\d{1,10}")


def _is_token(segment: str, *, after: bool) -> bool:
    if "@" in segment or looks_random(segment):
        return True
    if after:
        return not set(_words(segment)) <= _PLAIN_WORDS or not _ORDINARY.fullmatch(segment.lower())
    return len(segment) >= _LONG_SEGMENT and not _ORDINARY.fullmatch(segment)


def _words(segment: str) -> list[str]:
    return re.split(r"[-_.]", segment.lower())


def _masked(removed: set[str], rule: str) -> str:
    removed.add(rule)
    return MASK


def _field(name: str, value: Plain, removed: set[str], nesting: int) -> Plain:
    """The value of a named field; a bool says nothing about the secret it is named after (`usable_password`)."""
    if secret_name(name[:_NAME_CHARS]) and not isinstance(value, bool):
        return _masked(removed, "key")
    return scrub(value, removed, nesting)


_NAMING = frozenset({"name", "key", "field", "header", "id", "param", "parameter"})
_HELD = frozenset({"value", "values", "val", "content", "data", "text", "raw"})
"""A list of fields may be written `[{"name": "password", "value": ...}]`, as browsers and archives of requests do."""


def _names_a_secret(key: str, item: Plain) -> bool:
    return isinstance(item, str) and key.lower() in _NAMING and secret_name(item[:_NAME_CHARS])


def _scrub_list(items: list[Plain], removed: set[str], nesting: int) -> list[Plain]:
    """The items; of a pair whose first is a secret's name (`("authorization", "Basic ...")`) only that."""
    if len(items) == len(("name", "value")) and isinstance(items[0], str):
        return [scrub(items[0], removed, nesting), _field(items[0], items[1], removed, nesting)]
    return [scrub(item, removed, nesting) for item in items]


def _secret_element(text: str) -> bool:
    """Whether an XML element in *text* is named like a secret (SAML's `Assertion`, SOAP's `Password`)."""
    return "<" in text and any(map(secret_name, _XML_NAME.findall(text)))


def _json(text: str) -> Any:
    """What *text* says in JSON, if it is an object, array or string of it; else None."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        return json.loads(text, object_pairs_hook=_all_pairs)
    except (ValueError, RecursionError):
        return None


def _all_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that keeps the values of doubled names: they must be looked at too."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name if name not in found else f"{name}#{len(found)}"] = value
    return found


def _scrub_url(url: str, removed: set[str]) -> str:
    """Scheme, host and path of a URL: no user, no password, no query, no fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return _masked(removed, "url")
    if host != parts.netloc:
        removed.add("url")
    return f"{parts.scheme}://{host}{scrub_path(parts.path, removed)}{_without_query(parts.query or parts.fragment, removed)}"


def _without_query(query: str, removed: set[str]) -> str:
    if query:
        removed.add("query")
    return ""


def _scrub_flag(flag: re.Match[str], removed: set[str]) -> str:
    """Of a command line, as in `--password hunter2`."""
    return f"{flag[0][: flag.start(2) - flag.start()]}{_masked(removed, 'key')}" if secret_name(flag[1]) else flag[0]


def _scrub_pairs(text: str, removed: set[str]) -> str:
    """`name=value`, `name: value`, `"name":"value"` in any text."""
    kept, at = [], 0
    for match in _PAIR_NAME.finditer(text):
        if match.start() < at or not secret_name(match[1]):
            continue
        value = _PAIR_VALUE.match(text, match.end())
        if value and value[0] and value[0] != MASK:
            kept += [text[at : match.end()], _masked(removed, "key")]
            at = value.end()
    return "".join([*kept, text[at:]])
