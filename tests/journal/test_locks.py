from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from opentelemetry_instrumentation_authaudit.journal.locks import HeldLock

from .helpers import line_of, process

HOLD = """
    from opentelemetry_instrumentation_authaudit.journal.locks import HeldLock
    lock = HeldLock.create(Path(sys.argv[1]))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_living_process_is_not_robbed_and_a_dead_one_is_succeeded(tmp_path: Path) -> None:
    """While it lives nobody gets its lock; after a kill -9 the next one does, at once."""
    path = tmp_path / "s.lock"
    with process(HOLD, path) as owner:
        assert line_of(owner) == "held"
        assert HeldLock.take(path) is None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert HeldLock.take(path) is not None


def test_one_of_many_heirs_takes_over(tmp_path: Path) -> None:
    """Eight threads see the same dead process: exactly one is the heir."""
    path = tmp_path / "s.lock"
    HeldLock.create(path).forget()
    start, taken = threading.Barrier(8), []

    def reach() -> None:
        start.wait()
        lock = HeldLock.take(path)
        if lock is not None:
            taken.append(lock)

    threads = [threading.Thread(target=reach) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_a_new_lock_is_never_free(tmp_path: Path) -> None:
    """The moment between making and locking cannot be caught: a robber that tries all the time gets none of 200."""
    done, robbed = threading.Event(), []

    def rob() -> None:
        while not done.is_set():
            for path in tmp_path.glob("*.lock"):
                lock = HeldLock.take(path)
                if lock is not None:
                    robbed.append(lock)

    robber = threading.Thread(target=rob)
    robber.start()
    locks = [HeldLock.create(tmp_path / f"{number}.lock") for number in range(200)]
    done.set()
    robber.join()
    assert robbed == []
    for lock in locks:
        lock.release(done=True)
    assert list(tmp_path.iterdir()) == []


def test_who_locked_a_deleted_file_has_nothing(tmp_path: Path) -> None:
    """The file went while we waited for it: that lock keeps nobody out, so it does not count."""
    path = tmp_path / "s.lock"
    first = HeldLock.create(path)
    waiter: list[HeldLock | None] = []
    thread = threading.Thread(target=lambda: waiter.append(HeldLock.take(path, wait=True)))
    thread.start()
    time.sleep(0.05)  # now it waits
    path.unlink()
    first.forget()
    thread.join()
    assert waiter == [None]
    assert HeldLock.take(path) is None


def test_a_deleted_lock_is_noticed(tmp_path: Path) -> None:
    """Somebody emptied the folder: the holder can tell that it holds nothing any more."""
    lock = HeldLock.create(tmp_path / "s.lock")
    assert not lock.lost()
    lock.path.unlink()
    assert lock.lost()
    lock.release(done=True)


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """The child closes its copy and lives on; when the parent goes, the lock is free."""
    path = tmp_path / "s.lock"
    code = """
        from opentelemetry_instrumentation_authaudit.journal.locks import HeldLock
        lock = HeldLock.create(Path(sys.argv[1]))
        if not os.fork():
            lock.forget()
            print(os.getpid(), flush=True)
        signal.pause()
    """
    with process(code, path) as parent:
        child = int(line_of(parent))
        assert HeldLock.take(path) is None
        parent.kill()
        parent.wait()
        assert HeldLock.take(path) is not None
        os.kill(child, signal.SIGKILL)


def test_a_lock_says_whose_it_is(tmp_path: Path) -> None:
    """`authaudit doctor` reads it; a shorter text leaves nothing of a longer one behind."""
    lock = HeldLock.create(tmp_path / "s.lock")
    lock.describe({"pid": 1, "hooked": ["flask_login", "django_auth"]})
    lock.describe({"pid": 2})
    assert json.loads(lock.path.read_bytes()) == {"pid": 2}
    assert lock.path.stat().st_mode & 0o777 == 0o600


def test_a_stream_that_is_not_delivered_stays_to_be_taken_over(tmp_path: Path) -> None:
    """Released as not done, the file remains for an heir; released as done, it goes."""
    path = tmp_path / "s.lock"
    HeldLock.create(path).release(done=False)
    heir = HeldLock.take(path)
    assert heir is not None
    heir.release(done=True)
    assert not path.exists()
