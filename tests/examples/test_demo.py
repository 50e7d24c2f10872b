"""`make demo` shows what is there, and notices what is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from examples import demo
from examples.demo import App
from examples.demo_steps import ADMIN, BETTER, GOOD, WRONG, Record, Step
from tests.canaries import found_in

ROOT = Path(__file__).parents[2]

APP = App(
    "shop",
    (),
    (
        Step("sign in", lambda _: 200, 200, (Record("auth.sign_in", "success", subject="{ann}"),)),
        Step("look around", lambda _: 200, 200),
        Step("sign out", lambda _: 200, 200, (Record("auth.sign_out", "success"),)),
    ),
)
SIGN_IN = {"event": "auth.sign_in", "audit.outcome": "success", "user.id": "42"}
SIGN_OUT = {"event": "auth.sign_out", "audit.outcome": "success"}


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        ([SIGN_IN, SIGN_OUT], []),
        ([SIGN_IN], ["is missing"]),
        ([SIGN_IN, SIGN_OUT, SIGN_OUT], ["too many"]),
        ([SIGN_IN | {"user.id": "43"}, SIGN_OUT], ["sign in: expected"]),
        ([SIGN_IN | {"audit.outcome": "failure"}, SIGN_OUT], ["sign in: expected"]),
        ([SIGN_IN | {"audit.reason": "unknown"}, SIGN_OUT], ["sign in: expected"]),
        ([SIGN_OUT, SIGN_IN], ["sign in: expected", "sign out: expected"]),
        ([], ["is missing", "is missing"]),
    ],
)
def test_a_record_missing_doubled_or_wrong_is_noticed(found: list[dict[str, str]], faults: list[str]) -> None:
    """The trail is compared record by record: what is not exactly what was done is a fault of its own."""
    said = demo.compare(APP, {"ann": "42"}, found)
    assert len(said) == len(faults)
    assert all(fault in line for fault, line in zip(faults, said, strict=True))


@pytest.fixture
def marked() -> dict[str, str]:
    """An environment that marks a process and all its descendants."""
    return os.environ | {"AUTHAUDIT_TEST": uuid.uuid4().hex}


def descendants(environment: dict[str, str]) -> set[int]:
    """Processes alive that carry the mark."""
    mark = f"AUTHAUDIT_TEST={environment['AUTHAUDIT_TEST']}".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue
    return found


def test_the_demo_passes_and_leaves_nothing_behind(marked: dict[str, str]) -> None:
    """A newcomer runs `make demo`: every step has its record, the trail is on stdout, and no process stays."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, env=marked, text=True, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "sign_in_with_password" in done.stdout
    assert "exactly one record" in done.stderr
    secrets = (GOOD, BETTER, WRONG, ADMIN[1])
    assert [form for secret in secrets for form in found_in((done.stdout + done.stderr).encode(), secret)] == []
    assert descendants(marked) == set()


def test_ctrl_c_ends_every_application(marked: dict[str, str]) -> None:
    """The newcomer has seen enough and presses Ctrl-C in the middle: the demo ends, and with it all that it started."""
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, env=marked, text=True, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "sign up" in line)
        assert len(descendants(marked)) > 1
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    assert descendants(marked) == set()
