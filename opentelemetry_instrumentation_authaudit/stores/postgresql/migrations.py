"""The schema as numbered migrations: SQL with the names filled in. What was released once is never changed; a new one is added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from .names import Roles, Table, quoted

__all__ = ("MIGRATIONS", "Migration", "Schema", "apart", "together")

_FOLDER: Final = resources.files(__package__) / "sql"
_SLOT: Final = re.compile(r"@([a-z_]+)@")
_THINGS: Final = (
    "append_only", "apply_retention", "build", "copy", "ensure_partition", "entries", "expire", "holds", "migrations", "replace", "rest",
    "settings", "sources",
)  # fmt: skip
"""What belongs to a table, by the end of its name."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.version:04d}_{self.name}.sql"


MIGRATIONS: Final = (Migration(1, "records"), Migration(2, "retention"), Migration(3, "sessions"))
"""In their order, without a gap."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What the templates are filled with."""

    table: Table
    roles: Roles
    partitioning: str
    """`daily` or `monthly`."""
    lifetime: int | None
    """Days; None: for ever."""

    def slots(self) -> Mapping[str, str]:
        """Everything that stands between two `@`."""
        table, roles = self.table, self.roles
        names = {"owner": roles.owner, "writer": roles.writer, "reader": roles.reader, "retention": roles.retention}
        return {
            **{thing: table.with_name(thing) for thing in _THINGS},
            **{role: quoted(name) for role, name in names.items()},
            **{f"{role}_name": name for role, name in names.items()},
            "schema": quoted(table.schema),
            "schema_name": table.schema,
            "table": table.with_name(),
            "table_name": table.name,
            "rest_name": f"{table.name}_rest",
            "partitioning": self.partitioning,
            "lifetime": "NULL" if self.lifetime is None else str(self.lifetime),
        }

    def prepare(self) -> str:
        """What comes before migrations: roles, the schema, and to become the owner."""
        return self._filled("prepare.sql")

    def migration(self, migration: Migration) -> str:
        """One migration, and the note that it was applied."""
        note = f"INSERT INTO @migrations@ (version, name) VALUES ({migration.version}, '{migration.name}');\n"
        return self._fill((_FOLDER / migration.file).read_text(encoding="utf-8") + note)

    def finish(self) -> str:
        """What comes after them: to be oneself again."""
        return self._filled("finish.sql")

    def _filled(self, file: str) -> str:
        return self._fill((_FOLDER / file).read_text(encoding="utf-8"))

    def _fill(self, text: str) -> str:
        slots = self.slots()
        return _SLOT.sub(lambda match: slots[match[1]], text)


def together(schema: Schema, migrations: tuple[Migration, ...]) -> str:
    """One script that applies them all; run it in one transaction."""
    bodies = [f"-- {migration.file}\n{schema.migration(migration)}" for migration in migrations]
    return "\n".join([schema.prepare(), *bodies, schema.finish()])


def apart(schema: Schema, migrations: tuple[Migration, ...]) -> dict[str, str]:
    """A script for each, by its file name; each is run in one transaction."""
    return {migration.file: together(schema, (migration,)) for migration in migrations}
