"""What an error of PostgreSQL means for the records that were sent: by its SQLSTATE (PostgreSQL documentation, appendix A)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import psycopg

from ...pipeline.answers import Answer, Verdict

__all__ = ("answer_to",)

_QUERY_CANCELED: Final = "57014"
_BY_STATE: Final = MappingProxyType(
    {
        "25006": Verdict.RETRY,  # read only: this host is no longer the primary
        "42P07": Verdict.RETRY,  # a table is there already: another has made the partition meanwhile
        "42501": Verdict.MISCONFIGURED,  # insufficient privilege
        "54000": Verdict.REJECTED,  # an index entry that is too long
    }
)
_BY_CLASS: Final = MappingProxyType(
    {
        "0A": Verdict.MISCONFIGURED,  # a feature this server does not have
        "22": Verdict.REJECTED,  # data
        "23": Verdict.REJECTED,  # constraints
        "28": Verdict.MISCONFIGURED,  # authorization
        "3D": Verdict.MISCONFIGURED,  # no such database
        "3F": Verdict.MISCONFIGURED,  # no such schema
        "42": Verdict.MISCONFIGURED,  # no such table, column, function
        "54": Verdict.REJECTED,  # limits of the program
    }
)
_NO_ENTRY: Final = (
    "authentication failed",
    "no pg_hba.conf entry",
    "does not exist",
    "no password supplied",
    "certificate",
    "is not permitted",
)
"""libpq gives no SQLSTATE for what happens before the session. A server that speaks another language is taken for one that is away:
it is tried again either way, only more often."""


def answer_to(error: psycopg.Error) -> Answer:
    """What *error* means. Everything that is not known for certain is tried again: no record is set aside for a fault of the server's."""
    state = error.sqlstate
    if state is None:
        wrong = any(phrase in str(error) for phrase in _NO_ENTRY)
        return Answer(Verdict.MISCONFIGURED, "no entry") if wrong else Answer(Verdict.RETRY, "no connection")
    verdict = _BY_STATE.get(state) or _BY_CLASS.get(state[:2], Verdict.RETRY)
    return Answer(verdict, f"SQLSTATE {state}", shrink=state == _QUERY_CANCELED)
