"""The engine: rows become patches, calls become attempts, attempts become exactly one event each."""

from ..model.catalog import Family
from ..model.event import Actor, Reason, Request, Status, Strategy
from .hook import IDENTITY_FIELDS, SILENCE, SKIP, Call, Closing, Emit, Facts, Flow, Hook, Opening, Outcome, Role, Skip

__all__ = (
    "IDENTITY_FIELDS",
    "SILENCE",
    "SKIP",
    "Actor",
    "Call",
    "Closing",
    "Emit",
    "Facts",
    "Family",
    "Flow",
    "Hook",
    "Opening",
    "Outcome",
    "Reason",
    "Request",
    "Role",
    "Skip",
    "Status",
    "Strategy",
)
