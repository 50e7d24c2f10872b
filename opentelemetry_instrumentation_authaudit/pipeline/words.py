"""What a delivery tells the operator; each sentence takes the cause."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("Words",)


@dataclass(frozen=True, slots=True)
class Words:
    """Of a delivery to an OTLP receiver; `to_store` has those for another one."""

    failed: str = "Audit records could not be delivered (%s). The journal keeps them and they are sent again."
    refused: str = (
        "The OTLP receiver takes no audit records from this process (%s): check the OTEL_EXPORTER_OTLP_* variables. "
        "The journal keeps them and they are sent again."
    )
    buried: str = (
        "The OTLP receiver refuses an audit record for good (%s). It is set aside in its stream's .dead.jsonl file in the journal "
        "folder; the others go on."
    )
    not_noted: str = (
        "Audit records have arrived, but that cannot be noted in the journal folder (%s): the next process may send them again. "
        "Make room, or let this process write there."
    )

    @classmethod
    def to_store(cls, store: str) -> Words:
        """Of a delivery into *store*, an address without a password."""
        name = store.replace("%", "%%")
        return cls(
            failed=f"Audit records could not be written into {name} (%s). They stay where they are and are written again.",
            refused=f"{name} takes no audit records (%s). They stay where they are and are written again.",
            buried=f"{name} refuses an audit record for good (%s). It is set aside in a .dead.jsonl file below `targets`.",
            not_noted=f"Audit records are in {name}, but that cannot be noted (%s): they may be written again. Make room.",
        )
