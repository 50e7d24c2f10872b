"""What questions cost in every store: `python -m benchmarks --queries`.

The stores are real and started here: files of journals, a collector's file, PostgreSQL, VictoriaLogs. One that is not installed is left
out. Times are wall-clock, the best of five; also CPU of this process, because other programs run on a machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.query.reader import Unreadable, files_in
from opentelemetry_instrumentation_authaudit.stores.files import FileStore
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store
from tests.stores import million
from tests.stores.recorded import MIDNIGHT, SECOND

__all__ = ("ask", "files", "main", "postgresql", "victorialogs")

_ROUNDS: Final = 5
_LAST_HOUR: Final = MIDNIGHT - 3600 * SECOND

QUESTIONS: Final[dict[str, Callable[[Store], int]]] = {
    "one account's history": lambda store: sum(1 for _ in store.records(Filters(subject=(million.ACCOUNT,)))),
    "one account's failures": lambda store: sum(
        1 for _ in store.records(Filters(subject=(million.ACCOUNT,), status=("failure",)))
    ),
    "the newest twenty": lambda store: len(store.last(Filters(), 20)),
    "failures of the last hour": lambda store: sum(1 for _ in store.records(Filters(status=("failure",), since=_LAST_HOUR))),
}


@dataclass(frozen=True, slots=True)
class Took:
    """How long an answer took."""

    answer: int
    wall: float
    cpu: float
    """Seconds, of the best round each."""


def ask(store: Store, question: str, rounds: int = _ROUNDS) -> Took:
    """Ask so often; the answer is a number of records."""
    walls, cpus, answer = [], [], 0
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = QUESTIONS[question](store)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Took(answer, min(walls), min(cpus))


def files(place: Path) -> FileStore:
    """Journals, or a collector's file, as a store."""
    return FileStore([place], files_in(place), Unreadable())


@contextmanager
def postgresql(count: int) -> Iterator[Store]:
    """A PostgreSQL of our own with so many records."""
    from tests.stores.postgresql_server import init, running

    with running() as server:
        server.make_database("audit")
        init(server.url("audit"), lifetime=None)
        store = open_store(server.url("audit"))
        _fill(store, count)
        with server.connect("audit") as connection:
            connection.execute("VACUUM ANALYZE")
        yield store
        store.close()


@contextmanager
def victorialogs(count: int) -> Iterator[Store]:
    """A VictoriaLogs of our own with so many records."""
    from tests.stores.victorialogs_server import VictoriaLogs

    with tempfile.TemporaryDirectory() as folder:
        server = VictoriaLogs(Path(folder) / "logs", "single", "-futureRetention=100y")
        with server:
            store = open_store(f"victorialogs://{server.url.partition('://')[2]}")
            _fill(store, count)
            server.flush()
            yield store


def main(count: int) -> None:
    """Measure and print a table."""
    print(
        f"\n{count:,} records of {million.ACCOUNTS:,} accounts in {million.DAYS} days; milliseconds (CPU of the one who asks)\n"
    )
    print(f"| | {' | '.join(QUESTIONS)} |\n| ---{' | ---' * len(QUESTIONS)} |")
    _print("journals", files(million.journal(count)))
    _print("a collector's file", files(million.collected(count)))
    for name, opened in (("PostgreSQL", postgresql), ("VictoriaLogs", victorialogs)):
        with opened(count) as store:
            _print(name, store)


def _print(name: str, store: Store) -> None:
    rounds = 1 if isinstance(store, FileStore) else _ROUNDS
    cells = [
        f"{took.wall * 1000:,.0f} ({took.cpu * 1000:,.0f})" for took in (ask(store, question, rounds) for question in QUESTIONS)
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _fill(store: Store, count: int) -> None:
    sender = store.sender()
    for batch in million.batches(count, 2000):
        answer = sender.send(batch)
        if not answer.verdict.value == "accepted":
            raise RuntimeError(f"{store}: {answer}")
    sender.close()
