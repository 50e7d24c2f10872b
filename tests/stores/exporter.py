"""Files as a collector's file exporter writes them: a request a line, the newline by itself, renamed when they are full."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.query.trail import canonical, envelope

OTHERS = {"timeUnixNano": "1", "body": {"stringValue": "an ordinary log"}, "attributes": []}
"""A record that is not ours."""


class FileExporter:
    """Writes `audit.jsonl` in *folder*."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "audit.jsonl"
        self.rotations = 0

    def write(self, *requests: bytes, end: bytes = b"\n") -> None:
        """Append these documents."""
        with self.path.open("ab") as file:
            for document in requests:
                file.write(document)
                file.write(end)

    def rotate(self) -> Path:
        """Rename the file, as timberjack does; the next write begins a new one."""
        self.rotations += 1
        aside = self.path.with_name(f"audit-2026-11-24T12-00-{self.rotations:02}.000-size.jsonl")
        self.path.rename(aside)
        return aside


def request(*numbers: int, stream: str = "a" * 16, service: str = "shop", more: Iterable[dict[str, Any]] = ()) -> bytes:
    """A request with those records of a stream, as the collector prints it: it adds to records and resource."""
    around = envelope(service)
    records = [
        {"observedTimeUnixNano": "0", "body": {}, **json.loads(canonical(number, stream=stream)), "flags": 0}
        for number in numbers
    ]
    scope_logs = {"scope": json.loads(around.scope), "logRecords": [*more, *records], "schemaUrl": around.schema_url.decode()}
    resource_logs = {"resource": json.loads(around.resource), "scopeLogs": [scope_logs]}
    return json.dumps({"resourceLogs": [resource_logs]}, separators=(",", ":")).encode()


def ids(*numbers: int, stream: str = "a" * 16) -> list[str]:
    """The ids of those records."""
    return [f"{stream[:4]}-{number:04d}" for number in numbers]
