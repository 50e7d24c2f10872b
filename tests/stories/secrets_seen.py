"""Remembers every secret that passes through this process, whatever library it passes through.

The interpreter tells of each Python function that begins (`sys.monitoring`, CPython 3.12): an argument, or an item of a mapping among
the arguments, whose name speaks of a secret is one, and so is what a function gives whose own name does (`generate_token`). The
words that speak of secrets are a list of their own, so that the redaction is not examined by its own rules.
"""

from __future__ import annotations

import base64
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

__all__ = ("SUPPORTED", "Secrets")

_monitoring: Any = getattr(sys, "monitoring", None)
SUPPORTED: Final = _monitoring is not None

_NAMES: Final = re.compile(
    r"passw|passphrase|passcode|\bpwd|secret|token|cookie|authorization|credential|assertion|saml_?(request|response)|signature|jwt"
    r"|private_?key|api_?key|session_?(key|id)|otp\b|\bpin\b|verifier|nonce|\bstate\b|\bcode\b|_code\b|\bcode_|recovery|challenge|ticket"
    r"|sesame|\brefresh\b|\baccess\b|\bencoded\b|\bhash(ed)?\b",
    re.IGNORECASE,
)
_PUBLIC: Final = re.compile(r"user|e?mail|login|name\Z|type\Z|field\Z|class\Z", re.IGNORECASE)
"""What stands beside a secret, or is said about it."""
_CONTAINERS: Final = re.compile(
    r"\A_*(data|body|payload|content|json|form|forms|fields|params|values|post|query|query_string|environ|headers|kwargs|kw|options|claims|attrs"
    r"|obj|session|scope|message|response|request)\Z",
    re.IGNORECASE,
)
_MAKERS: Final = re.compile(r"(generate|make|create|get|new|random|encode|sign|hash|build|mint)\w*", re.IGNORECASE)
_WORDS: Final = re.compile(
    r"[A-Za-z_.: /-]*|[A-Z][a-z]+\d{1,3}|(new_?)?password_?[12]|\d{1,5}|1[6-9]\d{8}|\d{13,19}"
    r"|https?://[\w.:-]+(/[a-z._-]*)*|[a-z_][a-z0-9_]*(\.[A-Za-z_]\w{0,30})+|[a-z]+\d?(_[a-z]+)+|[\w.+-]+@[\w-]+(\.\w+)+"
)
"""Error codes, types (`Http404`), names of things (`password2`) and of modules, addresses of people (which have a search of their
own), which go by such names too; small numbers; times."""
_LONGEST_NAME: Final = 40
_SHORTEST: Final = 6
_LONGEST: Final = 100_000
_DEPTH: Final = 3
_SHAPELESS: Final = re.compile(r"[\s\"'{}<>()]")
"""Source text, templates, markup: only under the name of a password may it be a secret."""
_PASSWORD: Final = re.compile(r"pass|pwd|secret", re.IGNORECASE)
_ELSEWHERE: Final = re.compile(
    rf"\A<|\A{re.escape(sysconfig.get_path('stdlib'))}[/\\](?!site-packages)|opentelemetry|[/\\](_?pytest|jinja2)[/\\]"
    r"|[/\\]tests[/\\](canaries|stories[/\\]canary|pipeline[/\\])"
)
"""Tokens of the tokenizer and the like; and what is searched itself."""
_TOOL: Final = 4


class Secrets:
    """A listener. `start` and `stop` it; `seen` is what passed since `clear`: the secret, and under which name."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self._wanted: dict[CodeType, tuple[tuple[str, bool], ...]] = {}

    def clear(self) -> None:
        """Forget what was seen."""
        self.seen.clear()

    def start(self) -> None:
        """Listen to every function that begins or ends."""
        _monitoring.use_tool_id(_TOOL, "authaudit canaries")
        _monitoring.register_callback(_TOOL, _monitoring.events.PY_START, self._begins)
        _monitoring.register_callback(_TOOL, _monitoring.events.PY_RETURN, self._returns)
        _monitoring.set_events(_TOOL, _monitoring.events.PY_START | _monitoring.events.PY_RETURN)

    def stop(self) -> None:
        """Listen no more."""
        _monitoring.set_events(_TOOL, 0)
        _monitoring.free_tool_id(_TOOL)

    def _begins(self, code: CodeType, _offset: int) -> Any:
        if (wanted := self._wanted.get(code)) is None:
            wanted = self._wanted[code] = () if _ELSEWHERE.search(code.co_filename) else tuple(_arguments(code))
        if not wanted:
            return _monitoring.DISABLE
        values = sys._getframe(1).f_locals
        for name, secret in wanted:
            if name in values:
                self._take(name, values[name], secret=secret)
        return None

    def _returns(self, code: CodeType, _offset: int, value: Any) -> Any:
        name = code.co_name
        if not (_MAKERS.fullmatch(name) and _NAMES.search(name)) or _ELSEWHERE.search(code.co_filename):
            return _monitoring.DISABLE
        self._take(name, value, secret=True)
        return None

    def _take(self, name: str, value: Any, *, secret: bool, depth: int = _DEPTH) -> None:
        if isinstance(value, (str, bytes, bytearray)):
            self._take_text(
                name, str(value) if isinstance(value, str) else bytes(value).decode("utf-8", "replace"), secret=secret
            )
        elif depth and isinstance(value, (dict, MappingProxyType)):
            for key, item in tuple(value.items()):
                word = _word(key)
                if word.startswith("audit."):  # a record of ours
                    continue
                inside = bool(_NAMES.search(word)) or (secret and not _PUBLIC.search(word))
                self._take(word or name, item, secret=inside, depth=depth - 1)
        elif depth and isinstance(value, (list, tuple, set, frozenset)):
            pair = len(value) == len(("name", "value")) and isinstance(value, (list, tuple)) and _NAMES.search(_word(value[0]))
            for item in tuple(value):
                self._take(name, item, secret=secret or bool(pair), depth=depth - 1)

    def _take_text(self, name: str, text: str, *, secret: bool) -> None:
        if len(text) > _LONGEST:
            return
        if secret:
            for part in _parts(text, whole="cookie" not in name.lower() or "=" not in text):
                if (
                    len(part) >= _SHORTEST
                    and not _WORDS.fullmatch(part)
                    and (_PASSWORD.search(name) or not _SHAPELESS.search(part))
                ):
                    self.seen.setdefault(part, name)
        elif "=" in text and text.isprintable():
            for key, value in parse_qsl(text, keep_blank_values=False, encoding="utf-8", errors="replace"):
                if _NAMES.search(key):
                    self._take_text(key, value, secret=True)


def _arguments(code: CodeType) -> Iterator[tuple[str, bool]]:
    """The arguments of *code* that are worth a look, and whether their own name speaks of a secret."""
    count = code.co_argcount + code.co_kwonlyargcount
    variable = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    for name in code.co_varnames[: count + variable]:
        if _NAMES.search(name) and not _PUBLIC.search(name):
            yield name, True
        elif _CONTAINERS.fullmatch(name):
            yield name, False
    if code.co_flags & 0x08 and not _CONTAINERS.fullmatch(keywords := code.co_varnames[count + variable - 1]):
        yield keywords, False


def _word(name: Any) -> str:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return str(name) if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""


def _parts(text: str, *, whole: bool) -> Iterable[str]:
    """The secret as it is, and what an `Authorization` or `Cookie` header is made of."""
    if text.startswith(("http://", "https://")):  # of an address, what stands behind the host
        yield from re.split(r"[/?&=#]", text)[3:]
        return
    if whole:
        yield text
    if "%" in text:
        yield unquote(text)
    scheme, _, rest = text.partition(" ")
    if rest and scheme.isalpha():
        yield rest
        if scheme.lower() == "basic":
            yield from _basic(rest)
    if "=" in text and (";" in text or "," in text or " " not in text):
        for pair in re.split(r"[;,]\s*", text):
            yield pair.partition("=")[2].strip('"')


def _basic(rest: str) -> Iterator[str]:
    try:
        yield base64.b64decode(rest + "===").decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return


def frozen(secrets: Mapping[str, str]) -> dict[str, str]:
    """A copy that no other thread adds to."""
    return dict(tuple(secrets.items()))
