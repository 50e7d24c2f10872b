from __future__ import annotations

import pytest

from opentelemetry_instrumentation_authaudit.privacy.redaction import scrub_text
from opentelemetry_instrumentation_authaudit.privacy.shapes import looks_random, mask_credentials, mask_opaque

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (JWT, "jwt"),
        (JWT.rpartition(".")[0] + ".", "jwt"),
        (JWT[:30], "jwt"),
        (PEM, "pem"),
        (PEM[:40], "pem"),
        ("Bearer mF_9.B5f-4.1JqM", "bearer"),
        ("bearer: mF_9.B5f-4.1JqM", "bearer"),
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "bearer"),
    ],
)
def test_a_credential_is_one_wherever_it_stands(text: str, rule: str) -> None:
    """JWT, PEM and Authorization values, whole or cut off, alone or in a sentence."""
    for found in (text, f"sent <{text}>", f"x {text}"):
        removed: set[str] = set()
        masked = mask_credentials(found, "*", removed)
        assert text[-8:] not in masked
        assert removed == {rule}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0123456789abcdef0123456789abcdef", "hex"),
        ("DEADBEEF" * 8, "hex"),
        ("dGhpcyBpcyBhIHNlY3JldCBpbiBiYXNlNjQ=", "base64"),
        ("c5k1ab-1f3870be274f6c49b3e31a0c6728957f", "hex"),
        ("k7x92mf8q1zz6w3v5h0p4t2r", "base64"),
        ("X" * 64, "base64"),
        ("ImFubkBleGFtcGxlLmNvbSI.ZxYz12.q1W2e3R4t5Y6u7I8o9P0a1S2d3F", "signed"),
        ("MQ:1tAbCd:q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1C", "signed"),
        ("no4111111111111111x", "card"),
        ("4111 1111 1111 1111", "card"),
        ("card 5500-0000-0000-0004!", "card"),
        ("378282246310005", "card"),
    ],
)
def test_what_was_generated_looks_it(text: str, rule: str) -> None:
    """Long hex, base64 and other random runs, signed values, and card numbers that pass Luhn's check."""
    removed: set[str] = set()
    assert text not in mask_opaque(text, "*", removed)
    assert removed == {rule}


@pytest.mark.parametrize(
    "text",
    [
        "django.contrib.auth.backends.ModelBackend",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109 Safari/537.36",
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "openid profile email offline_access",
        "api://4f3d2a1b-aaaa-bbbb-cccc-1234567890ab/access_as_user",
        "urn:ietf:params:oauth:grant-type:device_code",
        "basic authentication failed",
        "a-rather-long-but-readable-slug-of-words",
        "4111 1111 1111 1112",
        "2026-11-24T12:00:00.000000Z",
        "+49 170 1234567",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """Class paths, browsers, UUIDs, scopes, dates and phone numbers are not eaten."""
    removed: set[str] = set()
    assert mask_opaque(mask_credentials(text, "*", removed), "*", removed) == text
    assert not removed


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21A360 [FBAN/FBIOS;FBAV/440.0.0.28.108;FBDV/iPhone14,5]",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Dalvik/2.1.0 (Linux; U; Android 13; SM-S901B Build/TP1A.220624.014)",
        "Boto3/1.28.40 md/Botocore#1.31.40 ua/2.0 os/linux#5.10.184-175.731.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.4 cfg/retry-mode#legacy",
        "Slack/23.09.10 (com.tinyspeck.chatlyio; build:23.09.10; iOS 16.6.1) Alamofire/5.6.4",
    ],
)
def test_a_browser_is_recorded_as_it_calls_itself(agent: str) -> None:
    """User agents go through the whole gate, and real ones pass it."""
    removed: set[str] = set()
    assert scrub_text(agent, removed) == agent
    assert not removed


def test_random_text_mixes_letters_and_digits() -> None:
    """Words and numbers alone do not look random, however long."""
    assert looks_random("aB3dE5gH7j")
    assert not looks_random("abcdefghijklmnop")
    assert not looks_random("1234567890123")
    assert not looks_random("a1b2c3")
