"""Legal holds on files: written down so that nothing is lost, found in files however they are split, and failing closed."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry_instrumentation_authaudit.journal.canonical import CanonicalRecord, encode
from opentelemetry_instrumentation_authaudit.journal.holds import (
    HOLDS_FILE,
    HoldsUnreadable,
    changing,
    in_force,
    read_holds,
    touched,
)
from opentelemetry_instrumentation_authaudit.model import names
from opentelemetry_instrumentation_authaudit.model.lifetime import Hold

from .helpers import ENVELOPE, run

SUBJECT = Hold(id="a", subject="auth.user:42", since=1, reason="case 7", by="ann")
TENANT = Hold(id="b", tenant="acme", until=1000)


def hold(folder: Path, *some: Hold) -> None:
    """Write them down."""
    with changing(folder) as found:
        found.extend(some)


def about(path: Path, *attributes: dict[str, str]) -> Path:
    """A journal file with a record of each of these attributes."""
    records = [encode(CanonicalRecord(event="auth.sign_in", time=1, attributes=found)) for found in attributes]
    path.write_bytes(b"".join(ENVELOPE.head + record + ENVELOPE.tail for record in records))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every fact of a hold, in a file for its owner alone; ended holds are remembered and hold nothing."""
    hold(tmp_path, SUBJECT, TENANT)
    assert read_holds(tmp_path) == [SUBJECT, TENANT]
    assert stat.S_IMODE((tmp_path / HOLDS_FILE).stat().st_mode) == 0o600
    assert in_force(tmp_path, 999) == [SUBJECT, TENANT]
    assert in_force(tmp_path, 1000) == [SUBJECT]


def test_a_hold_on_all_services_counts_for_each(tmp_path: Path) -> None:
    """The file above the service's folder, and the one in it."""
    service = tmp_path / "shop"
    service.mkdir()
    hold(tmp_path, SUBJECT)
    hold(service, TENANT)
    assert in_force(service, 0) == [TENANT, SUBJECT]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"holds":[{"subject":"x"}]}', '{"holds":[{"id":"a","colour":"red"}]}'])
def test_a_damaged_file_is_not_taken_for_no_holds(tmp_path: Path, content: str) -> None:
    """Who cannot read what is held must not delete."""
    (tmp_path / HOLDS_FILE).write_text(content)
    with pytest.raises(HoldsUnreadable, match="nothing is deleted"):
        in_force(tmp_path, 0)


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The old holds are there, and nothing lies beside them."""
    hold(tmp_path, SUBJECT)
    with pytest.raises(RuntimeError), changing(tmp_path) as found:
        found.clear()
        raise RuntimeError
    assert read_holds(tmp_path) == [SUBJECT]
    assert [path.name for path in tmp_path.iterdir()] == [HOLDS_FILE]


def test_two_who_change_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each waits for the other: twenty holds by four threads are twenty holds."""

    def add(thread: int) -> None:
        for number in range(5):
            hold(tmp_path, Hold(id=f"{thread}-{number}", subject="x"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({found.id for found in read_holds(tmp_path)}) == 20


def test_a_writer_that_is_killed_leaves_the_old_holds(tmp_path: Path) -> None:
    """`kill -9` between the change and its end."""
    hold(tmp_path, SUBJECT)
    code = """
        from opentelemetry_instrumentation_authaudit.journal.holds import changing
        if not os.fork():
            with changing(Path(sys.argv[1])) as found:
                found.clear()
                os.kill(os.getpid(), signal.SIGKILL)
        os.wait()
    """
    run(code, tmp_path)
    assert read_holds(tmp_path) == [SUBJECT]


def test_subject_actor_and_tenant_are_found(tmp_path: Path) -> None:
    """What was done to the subject and by the subject; somebody whose name only begins alike is somebody else."""
    path = tmp_path / "file.jsonl"
    both = [SUBJECT, TENANT]
    assert touched(about(path, {names.SUBJECT: "auth.user:42"}), both) == [SUBJECT]
    assert touched(about(path, {names.SUBJECT: "auth.user:1"}, {names.ACTOR_ID: "auth.user:42"}), both) == [SUBJECT]
    assert touched(about(path, {names.SUBJECT: "auth.user:42", names.TENANT: "acme"}), both) == both
    assert touched(about(path, {names.SUBJECT: "auth.user:421", names.TENANT: "acme2"}), both) == []
    assert touched(about(path, {names.ACTION: "auth.user:42", names.IDENTITY: "acme"}), both) == []
    assert touched(about(path), both) == []


def test_a_text_cannot_pretend_to_be_an_attribute(tmp_path: Path) -> None:
    """A client that sends the bytes we look for as its user agent has its quotes escaped."""
    needle = '{"key":"user.id","value":{"stringValue":"auth.user:42"}}'
    assert touched(about(tmp_path / "f", {names.USER_AGENT: needle}), [SUBJECT]) == []


@given(st.text(min_size=1, max_size=30), st.integers(1, 200))
def test_any_subject_is_found_wherever_the_file_is_cut(subject: str, chunk: int) -> None:
    """Quotes, control characters, other scripts; and a record that lies across two pieces of what is read."""
    held = Hold(id="a", subject=subject)
    with TemporaryDirectory() as folder:
        path = about(Path(folder) / "file.jsonl", {names.SUBJECT: "y" * chunk}, {names.SUBJECT: subject})
        assert touched(path, [held], chunk) == [held]
