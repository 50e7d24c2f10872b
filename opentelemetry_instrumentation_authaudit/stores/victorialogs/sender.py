"""Batches into VictoriaLogs, by OTLP/protobuf. What it answers is no promise: see the store."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from ...journal.backlog import Batch
from ...journal.canonical import decode, encode
from ...pipeline.answers import Answer, Verdict
from ...pipeline.otlp import NOT_ENCODABLE, UNENCODABLE
from ...pipeline.otlp_http import HttpSender, Target
from .logsql import SERVICE, of_record

__all__ = ("VictoriaLogsSender",)

_ITS_OWN: Final = re.compile(
    r"_msg|_time|_stream|_stream_id|event_name|severity_number|severity_text|trace_id|span_id|scope\..*|service\.name|"
)
"""Fields that it makes itself of resource, scope and record, which become one flat object there."""
_SUSPECT: Final = re.compile(
    rb'"key":"(?:_msg|_time|_stream|_stream_id|event_name|severity_number|severity_text|trace_id|span_id|scope\.|service\.name"|")'
)


class VictoriaLogsSender:
    """See `pipeline.otlp.Sender`. An attribute that would be taken for another is left out: doubled, its stream field makes it panic."""

    def __init__(self, target: Target) -> None:
        self._http = HttpSender(as_json=False, target=target, titled=True)

    def send(self, batch: Batch | None, timeout: float | None = None) -> Answer:
        """See `Sender`."""
        try:
            answer = self._http.send(batch and _storable(batch), timeout)
        except NOT_ENCODABLE:
            return UNENCODABLE
        if answer.verdict is Verdict.REJECTED and self._http.send(None, timeout).verdict is Verdict.REJECTED:
            return replace(answer, verdict=Verdict.MISCONFIGURED)  # vmauth answers 400 to a user who may not write
        return answer

    def close(self) -> None:
        """See `Sender`."""
        self._http.close()


def _storable(batch: Batch) -> Batch:
    """NOT_ENCODABLE for records or a resource that are no OTLP/JSON."""
    records = tuple(_without_its_own(record) if _SUSPECT.search(record) else record for record in batch.records)
    return replace(batch, resource=_resource(batch.resource), records=records)


def _without_its_own(canonical: bytes) -> bytes:
    record = decode(canonical)
    kept = {name: value for name, value in record.attributes.items() if not _ITS_OWN.fullmatch(name)}
    return encode(replace(record, attributes=kept))


@lru_cache(maxsize=64)
def _resource(described: bytes) -> bytes:
    """Without what looks like an attribute of the record, names that come twice, and nested ones: flat, they may be any of these."""
    resource: dict[str, Any] = json.loads(described)
    kept: dict[str, Any] = {}
    for item in resource.get("attributes", []):
        if "kvlistValue" not in item["value"] and (item["key"] == SERVICE or not _taken(item["key"])):
            kept.setdefault(item["key"], item)
    return json.dumps({**resource, "attributes": list(kept.values())}, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def _taken(name: str) -> bool:
    return of_record(name) or _ITS_OWN.fullmatch(name) is not None
