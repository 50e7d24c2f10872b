"""The configurations as files: each is valid, and made of official parts that are pinned."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from opentelemetry_instrumentation_authaudit.cli.collector import CONFIGS, OVERLAYS
from scripts import collector as made

from ..ports import free_port
from .conftest import post
from .running import Server, needed, until
from .test_outages import stored
from .traffic import record, request
from .vault import LogStore

FOLDER = made.SOURCES
OFFICIAL = {
    "exporters": {"clickhouse", "file", "nop", "otlp_grpc", "otlp_http"},
    "extensions": {"bearertokenauth", "file_storage", "health_check"},
    "processors": {"filter", "memory_limiter", "redaction", "transform"},
    "receivers": {"otlp"},
}
"""What we use, by type. All of it is in the manifest of the official contrib distribution, under these names since v0.144."""


def documents() -> dict[str, dict[str, Any]]:
    """Every configuration of the collector by its name."""
    paths = [*FOLDER.glob("config*.yaml"), *FOLDER.glob("overlays/*.yaml")]
    return {str(path.relative_to(FOLDER)): yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


@pytest.mark.parametrize(("config", "overlays"), made.COMBINATIONS, ids=str)
def test_it_is_valid(config: str, overlays: tuple[str, ...]) -> None:
    """Somebody edits a configuration: the collector itself says whether it and every overlay that fits can still be read."""
    needed("otelcol-authaudit")
    made.validate(config, overlays)


def test_a_fault_is_found(tmp_path: Path) -> None:
    """Somebody mistypes a condition or a name: validation says so, it does not only look at the outline."""
    needed("otelcol-authaudit")
    for wrong in (
        "processors: {filter/only_audit: {logs: {log_record: ['attributes[']}}}",
        "exporters: {file/audit: {patth: x}}",
    ):
        overlay = tmp_path / "wrong.yaml"
        overlay.write_text(wrong, encoding="utf-8")
        with pytest.raises(made.BuildError, match="is not valid"):
            made.validate("embedded", (str(overlay),))


def test_every_file_is_in_use() -> None:
    """No configuration lies about that nothing validates."""
    named = {name for files in CONFIGS.values() for name in files} | {f"overlays/{name}.yaml" for name in OVERLAYS}
    assert set(documents()) == named


@pytest.mark.parametrize("kind", OFFICIAL)
def test_only_official_parts_are_used(kind: str) -> None:
    """Who has the official contrib distribution can use every configuration: it has every part of them."""
    used = {name.partition("/")[0] for document in documents().values() for name in document.get(kind, {})}
    assert used == OFFICIAL[kind]


def test_all_parts_are_of_one_release_and_pinned() -> None:
    """Somebody raises a version in builder.yaml only: what would be built is not what it says."""
    manifest = yaml.safe_load((FOLDER / "builder.yaml").read_text(encoding="utf-8"))
    kinds = ("receivers", "processors", "exporters", "extensions", "providers")
    wanted = {part["gomod"] for kind in kinds for part in manifest[kind]} | {manifest["telemetry"]["gomod"]}
    pinned = set(re.findall(r"^\t(\S+ v\S+)$", (FOLDER / "otelcol" / "go.mod").read_text(encoding="utf-8"), re.MULTILINE))
    assert wanted <= pinned
    assert {name.split()[1] for name in wanted} == {"v0.161.0", "v1.67.0"}
    sums = (FOLDER / "otelcol" / "go.sum").read_text(encoding="utf-8")
    assert [name for name in wanted if f"{name} h1:" not in sums] == []
    assert f"cmd/builder {'v0.161.0'} h1:" in (FOLDER / "builder" / "go.sum").read_text(encoding="utf-8")


def test_both_ways_into_the_store_are_the_same() -> None:
    """The overlay for VictoriaLogs and the production configuration treat a record alike; only production shows a token."""
    overlay, production = documents()["overlays/victorialogs.yaml"], documents()["config.production.yaml"]
    assert overlay["processors"]["transform/victorialogs"] == production["processors"]["transform/victorialogs"]
    assert overlay["extensions"]["file_storage/queue"] == production["extensions"]["file_storage/queue"]
    theirs = dict(production["exporters"]["otlp_http/victorialogs"])
    assert theirs.pop("auth") == {"authenticator": "bearertokenauth/victorialogs"}
    assert overlay["exporters"]["otlp_http/victorialogs"] == theirs


def test_nothing_gives_up_or_forgets() -> None:
    """Every exporter that may have to wait keeps its queue on disk, synced, and retries for ever; files are never cut at a start."""
    for name, document in documents().items():
        for exporter, settings in document.get("exporters", {}).items():
            if exporter.startswith("file/"):
                assert settings["rotation"]["max_backups"] == 0, name
            elif settings is not None:
                assert settings["retry_on_failure"]["max_elapsed_time"] == 0, (name, exporter)
                assert settings["sending_queue"]["storage"] == "file_storage/queue", (name, exporter)
                assert settings["sending_queue"]["block_on_overflow"] is False, (name, exporter)
        assert document.get("extensions", {}).get("file_storage/queue", {"fsync": True})["fsync"] is True, name


def test_the_commands_of_compose(tmp_path: Path) -> None:
    """Somebody runs `docker compose up`: the same commands, as processes of this machine, take a record and give it back."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text)
    services = yaml.safe_load(text)["services"]
    assert services["collector"]["image"].endswith(f":{made_version()}")
    store = LogStore(tmp_path / "store")
    command = [word.replace("/victoria-logs-data", str(tmp_path / "data")) for word in services["victorialogs"]["command"]]
    store.command = [needed("victoria-logs"), *(word.replace(":9428", f"127.0.0.1:{store.port}") for word in command)]
    http, health = free_port(), free_port()
    environ = services["collector"]["environment"] | {
        "AUTHAUDIT_VICTORIALOGS_URL": services["collector"]["environment"]["AUTHAUDIT_VICTORIALOGS_URL"].replace(
            "victorialogs:9428", f"127.0.0.1:{store.port}"
        ),
        "AUTHAUDIT_GRPC": f"127.0.0.1:{free_port()}",
        "AUTHAUDIT_HTTP": f"127.0.0.1:{http}",
        "AUTHAUDIT_HEALTH": f"127.0.0.1:{health}",
        "AUTHAUDIT_METRICS_PORT": str(free_port()),
        "AUTHAUDIT_DIR": str(tmp_path / "files"),
        "AUTHAUDIT_QUEUE_DIR": str(tmp_path / "queue"),
    }
    words = [word.replace("/etc/authaudit", str(FOLDER)) for word in services["collector"]["command"]]
    url = f"http://127.0.0.1:{health}/"
    collector = Server([needed("otelcol-authaudit"), *words], url, tmp_path / "log", **{k: str(v) for k, v in environ.items()})
    with store, collector:
        assert post(f"http://127.0.0.1:{http}/v1/logs", request([record("id-1", at=time.time_ns())])) == 200
        until("the store has it", lambda: stored(store) == ["id-1"])


def made_version() -> str:
    """The release that the collector is built from."""
    version: str = yaml.safe_load((FOLDER / "builder.yaml").read_text(encoding="utf-8"))["dist"]["version"]
    return version
