"""Retention of VictoriaLogs: it deletes whole days by a flag that it is started with, so it can only be looked at from here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ...config import Config
from ...query.times import moment
from ..errors import StoreError
from ..retained import Applied, Database, Standing, Wish
from ..store import Address
from .connection import Connection

__all__ = ("VictoriaLogsRetained", "flag_for", "retained")

_FLAG: Final = re.compile(r'^flag\{name="([\w.]+)", ?value="([^"]*)", ?is_set="\w+"\} 1$', re.MULTILINE)
_SIZE: Final = re.compile(r"^vl_data_size_bytes\{[^}]*\} (\S+)$", re.MULTILINE)
_PERIOD: Final = re.compile(r"(\d+(?:\.\d+)?)([hdwy]?)")
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24, "": 31 * 24}
"""Of each unit; a number alone is months."""
_FOR_EVER: Final = 100 * 365
"""Days; there is no word for infinity."""
_BY_SIZE: Final = ("retention.maxDiskSpaceUsageBytes", "retention.maxDiskUsagePercent")


class VictoriaLogsRetained(Database):
    """See `Retained`."""

    def standing(self, now: int) -> Standing:
        """See `Retained`."""
        connection = Connection(self.address)
        try:
            page = connection.page("/metrics")
            flags = dict(_FLAG.findall(page))
            if "retentionPeriod" not in flags or flags.get("storageNode", ""):
                raise StoreError(f"{self} keeps no records itself: name each storage node of the cluster with --store")
            lifetime = _days(flags["retentionPeriod"])
            oldest, newest = self._ends(connection)
            return Standing(
                place=str(self),
                kind="VictoriaLogs",
                lifetime=lifetime,
                oldest=oldest,
                newest=newest,
                size=sum(int(float(size)) for size in _SIZE.findall(page)),
                notes=(*self._wrong(lifetime), *_also(flags)),
            )
        finally:
            connection.close()

    def apply(self, now: int, *, archive_in: Path | None = None) -> Applied:
        """See `Retained`: it can only be said what is wrong."""
        standing = self.standing(now)
        wrong = " ".join(self._wrong(standing.lifetime))
        return Applied(place=str(self), changed=f"keeps records {Wish(standing.lifetime)} by itself", failure=wrong)

    def _wrong(self, lifetime: int | None) -> tuple[str, ...]:
        if lifetime == self.wish.lifetime:
            return ()
        return (
            f"it runs with {Wish(lifetime)}: start it again with {flag_for(self.wish.lifetime)}, it cannot be changed while it runs",
        )

    def _ends(self, connection: Connection) -> tuple[int | None, int | None]:
        """Times of the oldest and the newest record, of this tenant."""
        question = "* | stats min(_time) as oldest, max(_time) as newest"
        found = next(connection.objects(question, 0, 1 << 62), {})
        return _time(found.get("oldest", "")), _time(found.get("newest", ""))


def retained(address: Address, config: Config, wish: Wish) -> VictoriaLogsRetained:
    """The retention of the store at *address*."""
    return VictoriaLogsRetained(address, config, wish)


def flag_for(lifetime: int | None) -> str:
    """The flag by which VictoriaLogs keeps records for *lifetime* days; None is infinity."""
    return f"-retentionPeriod={'100y' if lifetime is None else f'{lifetime}d'}"


def _days(period: str) -> int | None:
    """The days of a period as the flag has it, whole ones; None for a century and more. StoreError."""
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise StoreError(f"-retentionPeriod={period} is not understood")
    days = int(float(match[1]) * _HOURS[match[2]] / 24)
    return days if days < _FOR_EVER else None


def _also(flags: dict[str, str]) -> list[str]:
    by_size = [f"-{name}={flags[name]}" for name in _BY_SIZE if flags.get(name, "0") not in {"", "0"}]
    return [f"{flag} deletes records before their time when the disk fills" for flag in by_size]


def _time(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time; None for none."""
    return moment(text) if text else None
