"""Retention of an audit table in PostgreSQL: the owner's functions do it, by a lifetime and by holds that stand in the owner's tables.

The rule is that of `model.lifetime`; whole partitions are dropped, or made again with what a hold keeps.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from psycopg import errors
from psycopg.errors import InsufficientPrivilege

from ...config import Config
from ...model.lifetime import Decision, Fate, Hold, Plan, Unit
from ..retained import Applied, Database, Standing, Wish
from ..store import Address
from .connection import Connection, Target, statement

__all__ = ("PostgresRetained", "retained")

_NS: Final = 1_000_000_000
_HOLD: Final = "id, subject, tenant, extract(epoch FROM since) * 1000000, extract(epoch FROM until) * 1000000, reason, placed_by"
_SIZE: Final = """
SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = to_regclass(%s)"""


class PostgresRetained(Database):
    """See `Retained` and `Holding`. Needs the role of retention; a writer may only apply what is due now."""

    waits_to_be_asked = True

    def __init__(self, address: Address, config: Config, wish: Wish) -> None:
        super().__init__(address, config, wish)
        self._target = Target(address)

    def standing(self, now: int) -> Standing:
        """See `Retained`."""
        with self._target.connected() as connection:
            lifetime = self._lifetime(connection)
            rows = connection.execute(self._sql("SELECT * FROM {expire}(%s, true)"), [_moment(now)]).fetchall()
            oldest, newest = self._ends(connection)
            size = connection.execute(_SIZE, [str(self._target.table)]).fetchone()
            holds = tuple(hold for hold in self._holds(connection) if hold.active(now))
        kept = sum(row[2] for row in rows)
        notes = []
        if lifetime != self.wish.lifetime:
            notes.append(f"the table keeps {Wish(lifetime)}, log_lifetime says {self.wish}: retention apply --lifetime sets it")
        if kept:
            notes.append(f"{kept} records in these partitions stay: held, or within their lifetime")
        return Standing(
            place=str(self),
            kind="PostgreSQL",
            lifetime=lifetime,
            oldest=oldest,
            newest=newest,
            size=int(size[0]) if size and size[0] is not None else None,
            plan=Plan(tuple(Decision(_unit(row), Fate.LIFETIME) for row in rows)),
            holds=holds,
            notes=tuple(notes),
        )

    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """See `Retained`. The lifetime becomes what was explicitly asked for; else it stays, for its owner set it."""
        changed = ""
        with self._target.connected() as connection:
            lifetime = self._lifetime(connection)
            if self.wish.explicit and lifetime != self.wish.lifetime:
                with self.recorder(now) as recorder, connection.transaction():
                    connection.execute(self._sql("UPDATE {settings} SET lifetime_days = %s"), [self.wish.lifetime])
                    self.tell_lifetime(recorder, self.wish.lifetime)
                changed, lifetime = f"keeps records {self.wish} from now on, not {Wish(lifetime)}", self.wish.lifetime
            rows = self._expire(connection, now, lifetime)
        return Applied(place=str(self), deleted=tuple(_unit(row).name for row in rows), changed=changed)

    def holds(self) -> list[Hold]:
        """See `Holding`. A hold that was released has ended, and stays in the table."""
        with self._target.connected() as connection:
            now = int(datetime.now(timezone.utc).timestamp() * 1_000_000) * 1000
            return [hold for hold in self._holds(connection) if hold.active(now)]

    def hold(self, hold: Hold) -> None:
        """See `Holding`."""
        values = [hold.id, hold.subject, hold.tenant, hold.reason, _moment(hold.since), _ending(hold.until)]
        question = "INSERT INTO {holds} (id, subject, tenant, reason, since, until) VALUES (%s, %s, %s, %s, %s, %s)"
        with self._target.connected() as connection:
            connection.execute(self._sql(question), values)

    def release(self, hold: Hold) -> None:
        """See `Holding`: it ends now."""
        with self._target.connected() as connection:
            connection.execute(self._sql("UPDATE {holds} SET until = clock_timestamp() WHERE id = %s"), [hold.id])

    def _expire(self, connection: Connection, now: int, lifetime: int | None) -> list[tuple[Any, ...]]:
        """Delete, when it is told; in one transaction, so that what is told is what is done."""
        with connection.transaction():
            try:
                with connection.transaction():
                    rows = connection.execute(self._sql("SELECT * FROM {expire}(%s, false)"), [_moment(now)]).fetchall()
            except InsufficientPrivilege:  # a writer may, by the clock of the server alone
                rows = connection.execute(self._sql("SELECT * FROM {apply_retention}()")).fetchall()
            if rows:
                with self.recorder(now) as recorder:
                    self.tell_expired(recorder, now, lifetime, sum(row[1] for row in rows))
        return rows

    def _lifetime(self, connection: Connection) -> int | None:
        row = connection.execute(self._sql("SELECT lifetime_days FROM {settings}")).fetchone()
        return row[0] if row else None

    def _holds(self, connection: Connection) -> list[Hold]:
        found = connection.execute(self._sql(f"SELECT {_HOLD} FROM {{holds}} ORDER BY since, id"))  # names of ours
        return [
            Hold(
                id=row[0],
                subject=row[1],
                tenant=row[2],
                since=int(row[3]) * 1000,
                until=None if row[4] is None else int(row[4]) * 1000,
                reason=row[5],
                by=row[6],
            )
            for row in found
        ]

    def _ends(self, connection: Connection) -> tuple[int | None, int | None]:
        """Times of the oldest and the newest record; nothing where the user may not read them."""
        question = (
            "SELECT extract(epoch FROM min(logged_at)) * 1000000, extract(epoch FROM max(logged_at)) * 1000000 FROM {table}"
        )
        try:
            row = connection.execute(self._sql(question)).fetchone()
        except errors.InsufficientPrivilege:
            return None, None
        return (int(row[0]) * 1000, int(row[1]) * 1000) if row and row[0] is not None else (None, None)

    def _sql(self, text: str) -> Any:
        table = self._target.table
        things = ("settings", "holds", "expire", "apply_retention")
        return statement(text.format(table=table.with_name(), **{thing: table.with_name(thing) for thing in things}))


def retained(address: Address, config: Config, wish: Wish) -> PostgresRetained:
    """The retention of the audit table at *address*. StoreError for an option that nobody knows."""
    return PostgresRetained(address, config, wish)


def _unit(row: tuple[Any, ...]) -> Unit:
    """A partition that is dropped, or made again without some of its records."""
    name, removed, kept, dropped = row
    return Unit(name=name if dropped else f"{name}: {removed} of {removed + kept} records", newest=None)


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time // _NS, timezone.utc).replace(microsecond=time % _NS // 1000)


def _ending(time: int | None) -> datetime | None:
    return None if time is None else _moment(time)
