"""What each part of a large installation costs: `python -m benchmarks.scale [--records N]`, the figures of docs/scale.md.

CPU is what the processes used, by /proc, so other work on the machine makes a run longer but its figures hardly different. Needs
`make collector`.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from requests.structures import CaseInsensitiveDict

from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.pipeline.otlp import Sender, protobuf_request
from opentelemetry_instrumentation_authaudit.pipeline.otlp_http import HttpSender, Target
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store
from tests.collector.running import Collector, Server, until
from tests.stores import million
from tests.stores.victorialogs_server import SECRETS, VictoriaLogs, cluster, vmauth

TICK: Final = os.sysconf("SC_CLK_TCK")
AT_ONCE: Final = 500
"""Records of a request."""


@dataclass
class Row:
    """What a part used for a number of records."""

    part: str
    records: int
    cpu: float
    memory: int
    disk: int = 0

    def __str__(self) -> str:
        disk = f"{self.disk / self.records:.0f}" if self.disk else ""
        return f"| {self.part} | {self.records / self.cpu:,.0f} | {self.memory / 1024:.0f} | {disk} |"


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=200_000, metavar="N", help="of each measurement (200000)")
    count = parser.parse_args().records
    wire(count)
    print("\n| part | records per second and core | memory, MB | disk, bytes a record |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="authaudit-scale-") as name:
        for measure in (collectors, single, behind_vmauth, clustered):
            for row in measure(Path(name) / measure.__name__, count):
                print(row, flush=True)
    return 0


def wire(count: int) -> None:
    """What travels."""
    batches = list(million.batches(min(count, 20_000), AT_ONCE))
    records = sum(len(batch.records) for batch in batches)
    bodies = [protobuf_request(batch) for batch in batches]
    canonical = sum(len(record) for batch in batches for record in batch.records)
    packed = sum(len(gzip.compress(body, 6)) for body in bodies)
    print(
        f"a record: {canonical / records:.0f} bytes canonical, {sum(map(len, bodies)) / records:.0f} OTLP/protobuf, "
        f"{packed / records:.0f} with gzip in requests of {AT_ONCE}"
    )


def collectors(folder: Path, count: int) -> Iterator[Row]:
    """The collector: into files; with a queue before them; into files and VictoriaLogs."""
    folder.mkdir()
    for config, overlays in (("embedded", ()), ("queued", ())):
        with Collector(folder / config, config, *overlays) as collector, used(collector) as cpu:
            feed(to(f"{collector.http}/v1/logs"), count)
            until("all is in files", lambda: size(collector.files) > count * 600)
            yield Row(f"collector, {config}", count, cpu(), memory(collector), size(collector.files))
    store = VictoriaLogs(folder / "store", "single", "-futureRetention=100y")
    both = Collector(folder / "both", "embedded", "victorialogs", AUTHAUDIT_VICTORIALOGS_URL=store.url)
    with store, both, used(both) as cpu:
        feed(to(f"{both.http}/v1/logs"), count)
        asked = open_store(f"victorialogs://127.0.0.1:{store.port}")
        until("all is stored", lambda: asked.size() >= count, 120)
        yield Row("collector, embedded, and VictoriaLogs behind its queue", count, cpu(), memory(both), size(both.files))


def single(folder: Path, count: int) -> Iterator[Row]:
    """VictoriaLogs on one machine; then how long questions take."""
    server = VictoriaLogs(folder, "single", "-futureRetention=100y")
    with server, used(server) as cpu:
        store = open_store(f"victorialogs://127.0.0.1:{server.port}")
        feed(store.sender(), count)
        server.flush()
        time.sleep(5)
        yield Row("VictoriaLogs, single", count, cpu(), memory(server), size(folder / "data"))
        asking(store, count)


def behind_vmauth(folder: Path, count: int) -> Iterator[Row]:
    """What vmauth adds."""
    server = VictoriaLogs(folder, "single", "-futureRetention=100y")
    with server, vmauth(folder, server) as auth, used(auth) as cpu:
        feed(open_store(f"victorialogs://:{SECRETS['AUTHAUDIT_WRITER_TOKEN']}@127.0.0.1:{auth.port}").sender(), count)
        yield Row("vmauth", count, cpu(), memory(auth))


def clustered(folder: Path, count: int) -> Iterator[Row]:
    """A cluster of two nodes: its front, and both nodes together."""
    folder.mkdir()
    with cluster(folder, "-futureRetention=100y") as parts, ExitStack() as stack:
        front, *nodes = (stack.enter_context(used(part)) for part in (parts.insert, *parts.nodes))
        feed(open_store(f"victorialogs://127.0.0.1:{parts.insert.port}").sender(), count)
        time.sleep(5)
        parts.flush()
        yield Row("cluster: front for writers", count, front(), memory(parts.insert))
        disk = sum(size(folder / f"node{number}") for number in range(2))
        yield Row("cluster: storage nodes", count, sum(node() for node in nodes), max(map(memory, parts.nodes)), disk)


def asking(store: Store, count: int) -> None:
    """How long questions take, the fastest of five."""
    questions: dict[str, Callable[[], object]] = {
        "one account's history": lambda: list(store.records(Filters(subject=(million.ACCOUNT,)))),
        "the newest 20": lambda: store.last(Filters(), 20),
        "the newest 20 failures": lambda: store.last(Filters(status=("failure",)), 20),
        "how many there are": store.size,
    }
    for what, ask in questions.items():
        seconds = []
        for _ in range(5):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
        print(f"{what}, of {count:,}: {min(seconds) * 1000:.0f} ms", file=sys.stderr)


def feed(sender: Sender, count: int) -> None:
    """Send *count* records."""
    for batch in million.batches(count, AT_ONCE):
        accepted(sender, batch)
    sender.close()


def accepted(sender: Sender, batch: Batch) -> None:
    """Send *batch* until it is accepted."""
    while sender.send(batch).verdict is not Verdict.ACCEPTED:
        time.sleep(0.1)


def to(url: str) -> Sender:
    """Who sends OTLP/protobuf with gzip to *url*."""
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(
        {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    )
    return HttpSender(as_json=False, target=Target(url, headers, verify=True, cert=None, timeout=30.0))


@contextmanager
def used(server: Server) -> Iterator[Callable[[], float]]:
    """Seconds of CPU that *server* has used since."""
    begun = cpu_of(server)
    yield lambda: cpu_of(server) - begun


def cpu_of(server: Server) -> float:
    """Seconds of CPU that *server* has used."""
    words = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICK


def memory(server: Server) -> int:
    """KiB that it needed at most."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def size(folder: Path) -> int:
    """Bytes of all files in *folder*."""
    return sum(path.stat().st_size for path in files(folder.rglob("*")))


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that are files, still."""
    return (path for path in paths if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
