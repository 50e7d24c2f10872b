"""The real VictoriaLogs, started as `collector/victorialogs/run.sh` does it: single, as a cluster, behind vmauth."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from opentelemetry_instrumentation_authaudit.journal.backlog import Batch
from opentelemetry_instrumentation_authaudit.pipeline.answers import Verdict
from opentelemetry_instrumentation_authaudit.stores.store import Store, open_store

from ..collector.running import Server, needed
from ..ports import free_port

__all__ = ("SECRETS", "SETTINGS", "Cluster", "Tenant", "VictoriaLogs", "cluster", "send", "vmauth")

SETTINGS: Final = Path(__file__).parents[2] / "collector" / "victorialogs"
SECRETS: Final = {
    "AUTHAUDIT_WRITER_TOKEN": "the token of writers",
    "AUTHAUDIT_AUDITOR_PASSWORD": "the password of auditors",
    "AUTHAUDIT_ACME_PASSWORD": "the password of acme",
    "AUTHAUDIT_SHOP_PASSWORD": "the password of the shop",
    "AUTHAUDIT_VMALERT_PASSWORD": "the password of vmalert",
}
_ACCOUNTS: Final = itertools.count(1)


class VictoriaLogs(Server):
    """One of the roles of `run.sh`. It keeps records of any time, so that recorded ones never grow too old."""

    def __init__(self, folder: Path, role: str, *flags: str, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        program = {"auth": "vmauth", "alert": "vmalert"}.get(role, "victoria-logs")
        settings = {
            "AUTHAUDIT_VICTORIALOGS_BIN": str(needed(program).parent),
            "AUTHAUDIT_VICTORIALOGS_DIR": str(folder / "data"),
            "AUTHAUDIT_VICTORIALOGS_LISTEN": f"127.0.0.1:{self.port}",
            "OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": "infinity",
            **environ,
        }
        health = self.port
        if role == "auth":
            health = free_port()
            settings["AUTHAUDIT_VICTORIALOGS_INTERNAL"] = f"127.0.0.1:{health}"
        command: list[str | Path] = [SETTINGS / "run.sh", role, *flags]
        super().__init__(command, f"http://127.0.0.1:{health}/health", folder / f"{role}.log", **settings)

    @property
    def url(self) -> str:
        """Its address over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def flush(self) -> None:
        """Let it show what it took, and write it to disk."""
        httpx.get(f"{self.url}/internal/force_flush", timeout=30).raise_for_status()

    def tenant(self) -> Tenant:
        """A tenant that nobody else has."""
        return Tenant(self, next(_ACCOUNTS))


@dataclass(frozen=True)
class Tenant:
    """Records that are kept apart from those of other tests."""

    server: VictoriaLogs
    account: int

    @property
    def store(self) -> str:
        """Its URL for `--store`."""
        return f"victorialogs://127.0.0.1:{self.server.port}?account={self.account}"

    def open(self) -> Store:
        """Its store."""
        return open_store(self.store)

    def put(self, batches: Iterable[Batch]) -> None:
        """Send *batches* and let them be seen."""
        send(self.open(), batches)
        self.server.flush()


def send(store: Store, batches: Iterable[Batch]) -> None:
    """Send *batches* to *store*, which must accept them."""
    sender = store.sender()
    for batch in batches:
        answer = sender.send(batch)
        assert answer.verdict is Verdict.ACCEPTED, answer
    sender.close()


@contextmanager
def vmauth(folder: Path, store: VictoriaLogs) -> Iterator[VictoriaLogs]:
    """Who lets people in, in front of *store*, with the secrets `SECRETS`."""
    with VictoriaLogs(folder, "auth", AUTHAUDIT_VICTORIALOGS_URL=store.url, **SECRETS) as running:
        assert isinstance(running, VictoriaLogs)
        yield running


@dataclass(frozen=True)
class Cluster:
    """Two storage nodes and the fronts for writers and readers."""

    nodes: tuple[VictoriaLogs, VictoriaLogs]
    insert: VictoriaLogs
    select: VictoriaLogs

    def flush(self) -> None:
        """Let the nodes that live show what they took."""
        for node in self.nodes:
            if node.running:
                httpx.get(f"{node.url}/internal/force_flush", auth=("cluster", "of cluster"), timeout=30).raise_for_status()


@contextmanager
def cluster(folder: Path, *flags: str) -> Iterator[Cluster]:
    """A running cluster, whose parts know each other by a password."""
    password = folder / "password"
    password.write_text("of cluster")
    shared = {"AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE": str(password)}
    nodes = tuple(VictoriaLogs(folder / f"node{number}", "storage", *flags, **shared) for number in range(2))
    shared["AUTHAUDIT_VICTORIALOGS_NODES"] = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    fronts = [VictoriaLogs(folder, role, **shared) for role in ("insert", "select")]
    with ExitStack() as running:
        for server in (*nodes, *fronts):
            running.enter_context(server)
        yield Cluster((nodes[0], nodes[1]), *fronts)
