"""Retention of ClickHouse: the table's TTL, which the server applies in the background, a day's part at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...config import Config
from ..errors import StoreError
from ..retained import Applied, Database, Standing, Wish
from ..store import Address
from .store import ClickHouseStore

__all__ = ("ClickHouseRetained", "retained")

_NANOSECONDS: Final = "toString(toUnixTimestamp64Nano({0}(Timestamp)))"
_ENDS: Final = f"SELECT count(), {_NANOSECONDS.format('min')}, {_NANOSECONDS.format('max')} FROM {{table}}"  # noqa: S608 -- a name of ours
_SIZE: Final = (
    "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} AND table = {table:String}"
)
_HOLDS: Final = (
    "it knows no legal holds: a record can only be kept with all others (retention apply --lifetime infinity), "
    "or in the files of the collector, where holds are"
)


class ClickHouseRetained(Database):
    """See `Retained`. Needs the role audit_retention; sizes and times only where the user may see them."""

    def __init__(self, address: Address, config: Config, wish: Wish) -> None:
        super().__init__(address, config, wish)
        self._store = ClickHouseStore(address)

    def standing(self, now: int) -> Standing:
        """See `Retained`."""
        try:
            lifetime = self._store.lifetime()
            count, oldest, newest = self._asked(_ENDS.format(table=self._store.table), 3)
            (size,) = self._asked(_SIZE, 1)
            there = bool(count and int(count))
            differs = f"the table keeps {Wish(lifetime)}, log_lifetime says {self.wish}: retention apply --lifetime sets it"
            return Standing(
                place=str(self),
                kind="ClickHouse",
                lifetime=lifetime,
                oldest=int(oldest) if there and oldest else None,
                newest=int(newest) if there and newest else None,
                size=int(size) if size else None,
                notes=((differs,) if lifetime != self.wish.lifetime else ()) + (_HOLDS,),
            )
        finally:
            self._store.close()

    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """See `Retained`: the TTL becomes what was explicitly asked for; else it stays, for its owner set it."""
        try:
            before = self._store.lifetime()
            if not self.wish.explicit or before == self.wish.lifetime:
                return Applied(place=str(self), changed=f"keeps records {Wish(before)} by itself")
            with self.recorder(now) as recorder:
                self.tell_lifetime(recorder, self.wish.lifetime)
                self._store.keep(self.wish.lifetime)
            return Applied(place=str(self), changed=f"keeps records {self.wish} from now on, not {Wish(before)}")
        finally:
            self._store.close()

    def _asked(self, question: str, columns: int) -> list[str | None]:
        """The one row of the answer; nothing where the user may not ask."""
        table = self._store.table
        try:
            rows = list(self._store.connection.rows(question, {"database": table.database, "table": table.name}))
        except StoreError:
            return [None] * columns
        return [None if value is None else str(value) for value in rows[0]] if rows else [None] * columns


def retained(address: Address, config: Config, wish: Wish) -> ClickHouseRetained:
    """The retention of the table at *address*."""
    return ClickHouseRetained(address, config, wish)
