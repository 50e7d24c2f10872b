"""What the tables, functions and roles of an audit table are called. Only plain names, so that nothing needs escaping anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import StoreError

__all__ = ("DEFAULT_TABLE", "Roles", "Table", "quoted")

DEFAULT_TABLE: Final = "audit.auth_audit"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}", re.ASCII)
"""PostgreSQL cuts names at 63 bytes; the longest ending of ours has 17."""
_NO_SCHEMAS: Final = ("pg_", "information_schema")


@dataclass(frozen=True, slots=True)
class Table:
    """An audit table. What belongs to it stands in the same schema, and begins with its name."""

    schema: str
    name: str

    @classmethod
    def named(cls, text: str) -> Table:
        """`audit.auth_audit`, or a name alone, which stands in `public`. StoreError for anything else."""
        schema, dot, name = text.rpartition(".")
        schema = schema if dot else "public"
        if not (_NAME.fullmatch(schema) and _NAME.fullmatch(name)) or schema.startswith(_NO_SCHEMAS):
            raise StoreError(
                f"{text!r} is no name for an audit table: write [schema.]table, each of a-z, 0-9 and _, not beginning with a digit, "
                f"at most 40 characters, like {DEFAULT_TABLE} or account_audit_logs"
            )
        return cls(schema, name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def with_name(self, ending: str = "") -> str:
        """What of this table ends in `_ending`, or itself, as SQL names it."""
        return f"{quoted(self.schema)}.{quoted(f'{self.name}_{ending}' if ending else self.name)}"


@dataclass(frozen=True, slots=True)
class Roles:
    """Four group roles, none of which can log in: what logs in is made a member of one."""

    prefix: str

    @classmethod
    def named(cls, prefix: str) -> Roles:
        """StoreError for a prefix that is no plain name."""
        if not _NAME.fullmatch(prefix) or prefix.startswith("pg_"):
            raise StoreError(f"{prefix!r} is no beginning for names of roles: write a-z, 0-9 and _, like audit")
        return cls(prefix)

    @property
    def owner(self) -> str:
        """Owns everything; nobody is a member of it."""
        return f"{self.prefix}_owner"

    @property
    def writer(self) -> str:
        """May only add records."""
        return f"{self.prefix}_writer"

    @property
    def reader(self) -> str:
        """May only read."""
        return f"{self.prefix}_reader"

    @property
    def retention(self) -> str:
        """May say how long records are kept, and place legal holds."""
        return f"{self.prefix}_retention"


def quoted(name: str) -> str:
    """A plain name as SQL, whatever word it is."""
    return f'"{name}"'
