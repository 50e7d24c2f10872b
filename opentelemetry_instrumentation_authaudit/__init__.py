"""Every authentication event of an application as exactly one structured, redacted audit record."""

from . import audit
from .instrumentor import AuthAuditInstrumentor
from .model.event import Actor, AuditEvent, Reason, RecordingRefused, Status, Strategy

__all__ = ("Actor", "AuditEvent", "AuthAuditInstrumentor", "Reason", "RecordingRefused", "Status", "Strategy", "audit")
