"""A line of the journal: a complete OTLP/JSON `resourceLogs` document around one canonical record.

The line is put together and taken apart as bytes: what lies around the record is the same for a whole stream, and the marks
between the parts cannot occur inside them, because a quote within a JSON string is always escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ("Envelope",)

_RESOURCE: Final = b'{"resourceLogs":[{"resource":'
_SCOPE: Final = b',"scopeLogs":[{"scope":'
_RECORD: Final = b',"logRecords":['
_SCHEMA: Final = b'],"schemaUrl":"'
_END: Final = b'"}]}]}'


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a line says around its record."""

    resource: bytes
    """OTLP/JSON `Resource` object."""
    scope: bytes
    """OTLP/JSON `InstrumentationScope` object."""
    schema_url: bytes

    @property
    def head(self) -> bytes:
        """The line up to the record."""
        return b"".join((_RESOURCE, self.resource, _SCOPE, self.scope, _RECORD))

    @property
    def tail(self) -> bytes:
        """The line behind the record, newline included."""
        return b"".join((_SCHEMA, self.schema_url, _END, b"\n"))

    @classmethod
    def split(cls, line: bytes) -> tuple[Envelope, bytes] | None:
        """The envelope and the record of a line (without its newline); None for a torn one."""
        if not (line.startswith(_RESOURCE) and line.endswith(_END)):
            return None
        resource, scoped, rest = line[len(_RESOURCE) :].partition(_SCOPE)
        scope, recorded, rest = rest.partition(_RECORD)
        record, ended, schema_url = rest[: -len(_END)].rpartition(_SCHEMA)
        return (cls(resource, scope, schema_url), record) if scoped and recorded and ended else None
