"""`authaudit report` as people run it, on the recorded day: what it says, how it ends, what its page does in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ..lacking import lacking
from ..query.trail import canonical, write
from ..stores.recorded import honest_day, recorded
from .command import authaudit

HOSTILE = "\x1b[31m</td><script>alert(1)</script>\"'><img src=http://192.0.2.1/x onerror=alert(2)>"
KINDS = ("summary", "failures", "bruteforce", "spraying", "stuffing", "new-client", "inactive")
ATTACKED = {
    "bruteforce": {"brute_force", "brute_force_many_sources", "success_after_failures", "mfa_fatigue"},
    "spraying": {"spraying", "spraying_many_sources"},
    "stuffing": {"stuffing"},
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The day with every attack, as a collector's file."""
    return recorded().collected(tmp_path_factory.mktemp("recorded"))


def answer(kind: str, store: Path, *flags: str) -> dict[str, Any]:
    """The report as JSON."""
    done = authaudit("report", kind, "--store", str(store), "--format", "json", *flags, home=store.parent)
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ATTACKED)
def test_attacks_are_the_bad_answer(day: Path, kind: str) -> None:
    """A job that runs every hour takes exit code 1 as its alarm."""
    done = authaudit("report", kind, "--store", str(day), home=day.parent)
    assert done.returncode == 1
    assert done.stdout.startswith(("Brute force: 4", "Password spraying: 2", "Credential stuffing: 1"))
    assert {attack["rule"] for attack in answer(kind, day)["attacks"]} == ATTACKED[kind]


def test_an_honest_day_is_no_bad_answer(tmp_path: Path) -> None:
    """No attack found, exit code 0, from every report."""
    store = honest_day().journal(tmp_path / "journal")
    for kind in KINDS:
        done = authaudit("report", kind, "--store", str(store), home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "attacks found" not in done.stdout


def test_thresholds_are_options(day: Path) -> None:
    """Somebody expects more failures than others do."""
    everything = ("--failures", "100", "--before-success", "100", "--denials", "100")
    assert authaudit("report", "bruteforce", "--store", str(day), *everything, home=day.parent).returncode == 0
    assert authaudit("report", "bruteforce", "--store", str(day), "--window", "10s", home=day.parent).returncode == 1
    only = answer("bruteforce", day, "--since", "2026-11-20T20:30", "--until", "2026-11-20T21:30")["attacks"]
    assert [attack["rule"] for attack in only] == ["success_after_failures"]


def test_failures_by_reason_account_and_client(day: Path) -> None:
    """The sums are those of the trail, and an identity that is stored as a hash is called by its account where that is known."""
    found = {section["title"]: section["rows"] for section in answer("failures", day, "--top", "2")["sections"]}
    assert found["Reasons of failures"] == [{"label": "wrong_password", "count": 177}, {"label": "unknown_identity", "count": 58}]
    assert found["Accounts with the most failures"][0] == {"label": "auth.user:1", "count": 41}
    assert [row["label"] for row in found["Clients with the most failures"]] == ["203.0.113.99", "203.0.113.66"]


def test_new_clients_need_what_was_before(day: Path) -> None:
    """Asked for the evening alone: the sign-ins of the morning are what makes the evening's new."""
    rows = answer("new-client", day, "--since", "2026-11-20T18:00", "--until", "2026-11-20")["sections"][0]["rows"]
    assert [(row["subject"], row["new address"]) for row in rows[:2]] == [
        ("auth.user:2", "192.0.2.2"),
        ("auth.user:4", "192.0.2.4"),
    ]
    assert {row["subject"] for row in rows[2:]} == {"auth.user:3", "auth.user:4", "auth.user:41", "auth.user:51"}
    assert answer("new-client", day, "--until", "2026-11-20T12:00")["sections"][0]["rows"] == []


def test_inactive_accounts(day: Path) -> None:
    """Two months later nobody was there again; the account that others made changes to was not active by that."""
    rows = answer("inactive", day, "--until", "2027-01-20", "--days", "61")["sections"][0]["rows"]
    assert len(rows) == 65
    assert rows[0] == {"subject": "auth.user:600", "last used": "2026-11-20 09:30:00", "days ago": 61, "signed in": "yes"}
    assert answer("inactive", day, "--until", "2026-12-20")["sections"][0]["rows"] == []


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_bars_in_every_terminal(day: Path, encoding: str) -> None:
    """Blocks where the terminal has them, plain signs where not."""
    done = authaudit("report", "summary", "--store", str(day), home=day.parent, PYTHONIOENCODING=encoding, COLUMNS="100")
    assert "#####" in done.stdout if encoding == "ascii" else "█████" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--window", "soon"), "write 90s, 15m, 2h, 7d"),
        (("--failures", "many"), "write 0 or more"),
        (("--since", "yesterday"), "write 2026-11-24"),
        (("--fail", "3"), "unrecognized arguments"),
    ],
)
def test_used_wrongly(day: Path, arguments: tuple[str, ...], says: str) -> None:
    """The message says what is understood; exit code 2."""
    done = authaudit("report", "bruteforce", "--store", str(day), *arguments, home=day.parent)
    assert done.returncode == 2
    assert says in done.stderr


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(folder: Path) -> Path:
    """A trail in which everything that a client chooses is an attack on who looks at it."""
    found = [
        canonical(
            number,
            audit__outcome="failure" if number < 20 else "success",
            audit__identity=HOSTILE,
            audit__reason=HOSTILE,
            user__id=HOSTILE,
            client__address=f"{HOSTILE}{number // 30}",
            user_agent__original=HOSTILE,
            audit__action=HOSTILE,
            audit__strategy=HOSTILE,
            event=HOSTILE if number == 5 else "auth.sign_in",
        )
        for number in range(1, 40)
    ]
    return write(folder, found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_shows_hostile_text_as_text(tmp_path: Path, kind: str) -> None:
    """An identity, an address, a user agent that are HTML: the page has no tag and no attribute but its own, and fetches nothing."""
    path = tmp_path / "report.html"
    store = hostile(tmp_path)
    done = authaudit("report", kind, "--store", str(store), "--html", str(path), home=tmp_path)
    assert done.returncode in {0, 1}, done.stderr
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "a", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name in {"style", "src", "href", "srcset"}}
    assert "\x1b" not in text
    assert "default-src 'none'; style-src 'sha256-" in text
    if kind in {"failures", "new-client", "inactive"}:
        assert "<script>alert(1)</script>" in page.text


def test_bars_of_hostile_text_stay_on_their_line(tmp_path: Path) -> None:
    """Escape sequences in an identity do not drive the terminal."""
    done = authaudit("report", "failures", "--store", str(hostile(tmp_path)), home=tmp_path)
    assert "\x1b" not in done.stdout
    assert "\\u001b" in done.stdout


@pytest.mark.parametrize("width", [390, 1400])
def test_a_page_fits_the_screen(day: Path, tmp_path: Path, width: int) -> None:
    """In a real browser, on a telephone and on a wide screen: the policy lets the style in, and nothing is cut off at the side."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        lacking("browser", "no Chromium: apt-get install chromium")
    path = tmp_path / "report.html"
    assert authaudit("report", "summary", "--store", str(day), "--html", str(path), home=tmp_path).returncode == 0
    probe = "<script>document.title=[innerWidth,document.documentElement.scrollWidth,getComputedStyle(document.body).maxWidth].join()</script>"
    # The page itself allows no script; the probe is let in beside its policy, which else stays as it is.
    text = path.read_text(encoding="utf-8").replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    path.write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [*command, f"--window-size={width},900", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    match = re.search(r"<title>(\d+),(\d+),(\w+)</title>", done.stdout)
    assert match is not None, done.stdout[:500]
    assert int(match[2]) <= int(match[1])
    assert match[3] == "1440px"


def test_a_report_of_a_page_is_said(day: Path, tmp_path: Path) -> None:
    """The page goes to its file, a sentence to stderr, nothing to stdout."""
    done = authaudit("report", "summary", "--store", str(day), "--html", "page.html", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("page.html: 422 events")
