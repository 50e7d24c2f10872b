from __future__ import annotations

import base64
import json
import time
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.privacy.redaction import (
    MASK,
    scrub,
    scrub_identifier,
    scrub_path,
    scrub_text,
    secret_name,
)
from opentelemetry_instrumentation_authaudit.privacy.sanitise import Plain, plain, render

from .hostile import nested
from .test_shapes import JWT

CANARY = "correct horse battery staple"


def scrubbed(value: Any) -> tuple[str, set[str]]:
    """What is recorded of a parameter, and the rules that took something."""
    removed: set[str] = set()
    return render(scrub(plain(value), removed)), removed


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "PASSWORD", "passwd", "pwd", "new_password1", "old-password", "user.password", "password_confirmation", "passwordConfirm", "raw_password",
        "secret", "client_secret", "clientSecret", "token", "access_token", "refreshToken", "csrfmiddlewaretoken", "otp", "otp_code", "code", "key", "api_key", "apikey",
        "apiKey", "X-API-Key", "signature", "cookie", "Set-Cookie", "authorization", "Authorization", "client_assertion", "SAMLResponse", "code_verifier", "nonce", "sesame",
        "ticket", "credential", "credentials", "state", "pass", "pin", "recovery_codes", "session_key", "totp", "password_hint", "p%61ssword", "pass\u200bword", "\uff50assword",
        "PASSWORT", "user[password]", "JWTToken",
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """Any case, any joiner, digits behind, look-alike letters, percent-encoding."""
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "remember",
        "scope",
        "grant_type",
        "client_id",
        "backend",
        "connection",
        "token_type",
        "code_challenge_method",
        "keyboard",
        "country",
        "username",
        "email",
        "monkey",
        "compass",
        "redirect_uri",
        "monkeys",
        "author",
        "",
        "opinion",
    ],
)
def test_an_ordinary_name_is_not_secret(name: str) -> None:
    """What libraries call their harmless parameters; and words that only contain such a word."""
    assert not secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        {"password": CANARY},
        {"a": {"b": [{"newPassword1": CANARY}]}},
        [{"token": CANARY}],
        {"password": {"nested": CANARY}},
        {"password": [CANARY, CANARY]},
        {b"password": CANARY.encode()},
        json.dumps({"a": {"password": CANARY}}),
        json.dumps([1, json.dumps({"secret": CANARY})]),
        json.dumps({"p\u0061ssword": CANARY}).replace("password", r"p\u0061ssword"),
        f'{{"password": "{CANARY}", "password": "x"}}',
        f'{{"a": {{"password": "{CANARY}"}}, "a": 1}}',
        f'cut off {{"password": "{CANARY}',
        f"password={CANARY}",
        f"user=ann&password={CANARY}",
        f"Password: {CANARY}",
        f"password = '{CANARY}'",
        quote(f"password={CANARY}"),
        quote(quote(f"password={CANARY}")),
        quote(json.dumps({"password": CANARY})),
        f"https://app.example/login?x={quote(CANARY)}",
        f"https://app.example/login#{CANARY.replace(' ', '-')}",
        f"https://ann:{CANARY.replace(' ', '-')}@app.example/",
        f"http://[{CANARY.replace(' ', '-')}/",
        f"see https://app.example/reset/{CANARY.replace(' ', '-')}/ now",
        f"/login?next={CANARY}",
        f"/login password={CANARY}",
        ["authorization", CANARY],
        [[b"authorization", CANARY.encode()], ("x-api-key", CANARY)],
        f"<soap:Body><wsse:Password>{CANARY}</wsse:Password></soap:Body>",
        f"<saml:Assertion ID='1'>{CANARY}</saml:Assertion>",
        f"Cookie: a={CANARY}; sessionid={CANARY}",
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_secret_goes_wherever_it_is(value: Any) -> None:
    """Mappings, sequences, bytes, JSON in strings, JSON in JSON, forms, headers, URLs, percent-encoding."""
    text, removed = scrubbed(value)
    for piece in ("horse", "staple", "battery"):
        assert piece not in text
    assert removed


class Login(NamedTuple):
    """What an application calls its arguments together."""

    user: str
    password: str


class Kind(Enum):
    """Names of fields."""

    PASSWORD = "password"


@pytest.mark.parametrize(
    "value",
    [
        Login("ann", CANARY),
        {"login": Login("ann", CANARY)},
        {Kind.PASSWORD: CANARY},
        {("password",): CANARY},
        {"пароль": CANARY},
        {"密码": CANARY},
        {"nueva_clave": CANARY},
        [{"name": "password", "value": CANARY}],
        {"fields": [{"id": "otp", "Content": CANARY}, {"name": "user", "value": "ann"}]},
        '[{"key":"token","value":"correct horse battery staple"}]',
        f'Content-Disposition: form-data; name="password"\r\n\r\n{CANARY}\r\n--x',
        f'<input type=hidden name="csrfmiddlewaretoken" value="{CANARY}">',
    ],
)
def test_a_secret_is_known_by_the_name_beside_it(value: Any) -> None:
    """Named tuples, lists of fields, forms and pages; members of enumerations as names; other languages."""
    recorded, removed = scrubbed(value)
    assert not any(word in recorded for word in CANARY.split())
    assert removed == {"key"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("login --password hunter2 --user ann", f"login --password {MASK} --user ann"),
        ("-otp 482913", f"-otp {MASK}"),
        ("tool --token --verbose", "tool --token --verbose"),
        ("a - password of mine", "a - password of mine"),
        ("Token 9944b09199c62bcf9418ad", MASK),
        ("token expired yesterday", "token expired yesterday"),
    ],
)
def test_a_secret_behind_a_word(text: str, left: str) -> None:
    """A flag of a command line; a scheme that is an ordinary word too."""
    assert scrubbed(text)[0] == left


def test_what_was_removed_is_named_by_its_rule() -> None:
    """The rules say why, and never what."""
    assert scrubbed({"otp": "482913"})[1] == {"key"}
    assert scrubbed(JWT) == (MASK, {"jwt"})
    assert scrubbed("https://u:p@h/a?b")[1] == {"query", "url"}
    assert scrubbed(4111111111111111) == (MASK, {"card"})
    assert scrubbed(b"4111111111111111") == (MASK, {"card"})


@pytest.mark.parametrize(
    "value",
    [
        "openid profile",
        {"a": 1},
        '{"a": 1}',
        "[1,2]",
        "[not json",
        "50% off",
        "a=b",
        "1.5",
        True,
        ["a", "b"],
        "key",
        "https://app.example/",
        "https://app.example/callback",
        "urn:ietf:params:oauth:token-type:jwt",
        '{"a":1,"a":2}',
    ],
)
def test_harmless_values_stay_as_they_are(value: Any) -> None:
    """The gate changes nothing that holds no secret, not even the blanks of a JSON text."""
    assert scrubbed(value) == (render(plain(value)), set())


def test_a_bool_under_a_secret_name_stays() -> None:
    """`usable_password` says whether there is one, which is what an auditor asks."""
    assert scrubbed({"usable_password": False}) == ('{"usable_password":false}', set())


def test_the_keys_of_a_mapping_are_looked_at_too() -> None:
    """A mapping from tokens to users must not tell the tokens."""
    assert JWT not in scrubbed({JWT: "ann"})[0]


def test_depth_hides_nothing() -> None:
    """What lies deeper than is looked at is left out, in data and in JSON."""
    deep = json.dumps({"a": nested(50)}).replace("bottom", CANARY)
    assert CANARY not in scrubbed(deep)[0]
    boxed = json.dumps({"password": CANARY})
    for _ in range(5):
        boxed = json.dumps([boxed])
    assert "horse" not in scrubbed(boxed)[0]


def test_an_identifier_keeps_what_may_be_an_id() -> None:
    """A user's id may be a long hash; a JWT is never an id."""
    removed: set[str] = set()
    assert scrub_identifier("auth.user:0123456789abcdef0123456789abcdef", removed) == "auth.user:0123456789abcdef0123456789abcdef"
    assert scrub_identifier(f"auth.user:{JWT}", removed) == f"auth.user:{MASK}"
    assert removed == {"jwt"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/accounts/login/", "/accounts/login/"),
        ("/api/v1/auth/login", "/api/v1/auth/login"),
        ("/users/42/sessions", "/users/42/sessions"),
        ("/reset/MQ/c5k1ab-1f3870be274f6c49b3e31a0c6728957f/", f"/reset/{MASK}/{MASK}/"),
        ("/accounts/password/reset/done/", "/accounts/password/reset/done/"),
        ("/accounts/password/reset/key/1-set-password/", f"/accounts/password/reset/key/{MASK}/"),
        ("/password-reset/confirm/abc", f"/password-reset/confirm/{MASK}"),
        ("/magic/hunter2", f"/magic/{MASK}"),
        ("/verify/482913", f"/verify/{MASK}"),
        ("/verify-email/MjA6MTIz/", f"/verify-email/{MASK}/"),
        ("/u/ann@example.com/", f"/u/{MASK}/"),
        ("/u/ann%40example.com/", f"/u/{MASK}/"),
        ("/o/aB3dE5gH7jK9/x", f"/o/{MASK}/x"),
        (f"/t/{JWT}", f"/t/{MASK}"),
        ("/login?password=x", "/login"),
        ("/login;jsessionid=x", "/login"),
        ("/login#access_token=x", "/login"),
    ],
)
def test_a_path_loses_its_tokens_and_its_query(path: str, shown: str) -> None:
    """Where there is no route template: reset, confirmation and magic links keep their shape, not their secret."""
    assert scrub_path(path, set()) == shown


values: st.SearchStrategy[Plain] = st.recursive(
    st.just(CANARY) | st.text(max_size=10) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "next", "data"]), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(["password", "access_token", "otpCode", "client-secret"]), st.integers(0, 3))
def test_a_canary_under_a_secret_name_never_comes_out(value: Plain, name: str, wrapping: int) -> None:
    """Fuzz: whatever the shape below a secret name, and however often the whole is packed into JSON."""
    packed: Any = {"outer": [{name: value}]}
    for _ in range(wrapping):
        packed = {"data": json.dumps(packed)}
    assert "horse" not in scrubbed(packed)[0]


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_raises(text: str) -> None:
    """Fuzz: any text through each of the gate's doors."""
    for door in (scrub_text, scrub_path, scrub_identifier):
        door(text, set())


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "4 ",
        "a=",
        '"',
        'key="',
        "key=",
        '\\"',
        "bearer ",
        "eyJ",
        "-----BEGIN ",
        "[",
        '{"a":',
        "%25",
        "/reset/",
        "http://",
        "a.b+",
        "key   ",
        "@",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    """No pattern of ours runs away on what an attacker repeats (ReDoS): four times the text takes about four times as long."""

    def seconds(characters: int) -> float:
        text = (piece * 5000)[:characters]
        taken = []
        for _ in range(3):
            started = time.process_time()
            for _ in range(4096 // characters):
                scrubbed(text)
                scrub_path(text, set())
            taken.append(time.process_time() - started)
        return min(taken)

    assert (
        seconds(4096) < 3 * seconds(1024) + 0.001
    )  # the same number of characters: a quadratic pattern would take 4 times as long


def test_base64_of_a_secret_is_long_enough_to_be_seen() -> None:
    """A sentence in base64 is a generated run."""
    assert scrubbed(base64.b64encode(CANARY.encode()).decode())[0] == MASK
