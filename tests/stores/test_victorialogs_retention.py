"""Retention of VictoriaLogs: the real one is asked what it runs with, and said to be wrong where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.journal.canonical import decode
from opentelemetry_instrumentation_authaudit.stores.errors import StoreError
from opentelemetry_instrumentation_authaudit.stores.retained import Wish, open_holding, open_retained
from opentelemetry_instrumentation_authaudit.stores.victorialogs.retention import flag_for
from tests.cli.command import authaudit
from tests.pipeline.telling import config

from .recorded import recorded
from .victorialogs_server import VictoriaLogs, vmauth


def url(server: VictoriaLogs) -> str:
    """For `--store`."""
    return f"victorialogs://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("flag", "lifetime"),
    [("90", 90), ("infinity", None), ("13w", 91), ("2160h", 90), ("3", 93)],
)
def test_what_it_runs_with_is_what_is_shown(tmp_path: Path, flag: str, lifetime: int | None) -> None:
    """However the flag is written; `run.sh` makes it of our variable, the other forms are given to the program itself."""
    ours = {"OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME": flag} if flag in {"90", "infinity"} else {}
    more = () if ours else (f"-retentionPeriod={flag}",)
    with VictoriaLogs(tmp_path, "single", *more, **ours) as server:
        assert isinstance(server, VictoriaLogs)
        standing = open_retained(url(server), config(tmp_path), Wish(lifetime)).standing(0)
        assert (standing.lifetime, standing.notes, standing.oldest) == (lifetime, (), None)
        done = open_retained(url(server), config(tmp_path), Wish(30)).apply(0)
        assert "start it again with -retentionPeriod=30d" in done.failure
    assert flag_for(lifetime) == ("-retentionPeriod=100y" if lifetime is None else f"-retentionPeriod={lifetime}d")


def test_show_and_apply_from_the_command_line(victorialogs: VictoriaLogs, tmp_path: Path) -> None:
    """Times and size of what is there; a difference is named, exit code 3; holds are refused with a way out."""
    tenant = victorialogs.tenant()
    tenant.put(recorded().batches())
    shown = authaudit("retention", "show", "--store", tenant.store, home=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for part in ("(VictoriaLogs)", "kept     for ever", "bytes", "start it again with -retentionPeriod=90d"):
        assert part in shown.stdout
    times = [decode(record).time for batch in recorded().batches() for record in batch.records]
    standing = open_retained(tenant.store, config(tmp_path), Wish(None)).standing(0)
    assert (standing.oldest, standing.newest) == (min(times), max(times))
    applied = authaudit("retention", "apply", "--store", tenant.store, home=tmp_path)
    assert (applied.returncode, "NOT DONE" in applied.stdout) == (3, True)
    fine = authaudit("retention", "apply", "--store", tenant.store, "--lifetime", "infinity", home=tmp_path)
    assert fine.returncode == 0, fine.stdout
    held = authaudit("retention", "hold", "--subject", "x", "--store", tenant.store, home=tmp_path)
    assert (held.returncode, "in the files of the collector" in held.stderr) == (2, True), held.stderr


def test_behind_vmauth_it_says_whom_to_ask(victorialogs: VictoriaLogs, tmp_path: Path) -> None:
    """An auditor may ask for records, not for flags."""
    with vmauth(tmp_path, victorialogs) as front:
        address = f"victorialogs://auditor:the%20password%20of%20auditors@127.0.0.1:{front.port}"
        with pytest.raises(StoreError, match="ask the store itself, not vmauth"):
            open_retained(address, config(tmp_path), Wish(90)).standing(0)


def test_it_knows_no_holds(tmp_path: Path) -> None:
    """Said before anything is tried."""
    with pytest.raises(StoreError, match="knows no holds"):
        open_holding("victorialogs://localhost", config(tmp_path))
