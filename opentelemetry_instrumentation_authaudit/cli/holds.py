"""Legal holds: set them, release them, list them; each change is recorded before it is made."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ..config import Config
from ..model.event import Param, Status
from ..model.lifetime import Hold
from ..query.times import moment
from ..stores.errors import StoreError
from ..stores.recorder import operator, recording
from ..stores.retained import OWN, Holding, open_holding
from ..stores.retained_files import FolderHolds
from ..stores.store import is_url
from .main import UNFINISHED, CliError
from .places import places

__all__ = ("COMMANDS", "facts", "line", "moment_of", "when")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where holds are, and where it is told what is done to them."""

    holding: Holding
    journal: Path

    def __str__(self) -> str:
        return str(self.holding)


def facts(hold: Hold) -> dict[str, str]:
    """What is printed of a hold as JSON."""
    found = {
        "id": hold.id,
        "subject": hold.subject,
        "tenant": hold.tenant,
        "since": when(hold.since),
        "until": when(hold.until),
        "reason": hold.reason,
        "by": hold.by,
    }
    return {name: value for name, value in found.items() if value}


def line(hold: Hold) -> str:
    """A hold for people."""
    who = f"subject {hold.subject}" if hold.subject is not None else f"tenant {hold.tenant}"
    ends = f" until {when(hold.until)}" if hold.until is not None else ""
    why = f": {hold.reason}" if hold.reason else ""
    return f"{hold.id}  {who}, since {when(hold.since)}{ends} by {hold.by}{why}"


def when(time: int | None) -> str | None:
    """A time (nanoseconds since the epoch) in RFC 3339, whole seconds of UTC."""
    return None if time is None else f"{datetime.fromtimestamp(time // 1_000_000_000, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def moment_of(text: str, flag: str, *, end: bool = False) -> int:
    """The time that *text* names. CliError."""
    try:
        return moment(text, end=end)
    except ValueError as error:
        raise CliError(f"{flag}: {error}") from None


def _hold(options: argparse.Namespace, config: Config, now: int) -> int:
    until = moment_of(options.until, "--until", end=True) + 1 if options.until else None
    if until is not None and until <= now:
        raise CliError(f"--until: {options.until} is over")
    hold = Hold(
        id=secrets.token_hex(4),
        subject=options.subject,
        tenant=options.tenant,
        since=now,
        until=until,
        reason=options.reason,
        by=operator().id,
    )
    for place in _places(options.store, config):
        _recorded(place, config, hold, now, options.reason)
        _print(place, hold, options.format)
    return 0


def _release(options: argparse.Namespace, config: Config, now: int) -> int:
    found = [(place, hold) for place in _places(options.store, config) for hold in place.holding.holds() if hold.id == options.id]
    if not found:
        raise CliError(f"there is no hold {options.id} here; `authaudit retention list` shows what there is")
    for place, hold in found:
        _recorded(place, config, hold, now, options.reason, release=True)
        if options.format == "json":
            _print(place, hold, options.format)
        else:
            print(f"{place}: released {line(hold)}")
    return 0


def _list(options: argparse.Namespace, config: Config, now: int) -> int:
    for place in _places(options.store, config):
        for hold in place.holding.holds():
            if hold.active(now):
                _print(place, hold, options.format)
    return 0


def _print(place: _Place, hold: Hold, form: str) -> None:
    print(json.dumps({"place": str(place), **facts(hold)}) if form == "json" else f"{place}: {line(hold)}")


def _places(stores: Sequence[str], config: Config) -> Iterator[_Place]:
    """What was named, or every default place that is there. CliError."""
    named = [Path(place.removeprefix("file:")) for place in stores if not is_url(place)]
    if named or not stores:
        folders = [place for place in places(named, config) if place.is_dir()]
        if not folders:
            raise CliError(
                "holds are set on a folder of journals or of a collector, and there is none here: name it with --store"
            )
        yield from (_Place(found, found.journal) for found in map(FolderHolds, folders))
    try:
        yield from (_Place(open_holding(url, config), config.journal_dir / OWN) for url in stores if is_url(url))
    except StoreError as error:
        raise CliError(str(error)) from None


def _recorded(place: _Place, config: Config, hold: Hold, now: int, why: str, *, release: bool = False) -> None:
    """Record it first: what cannot be recorded is not done. Should it then fail, that is recorded too."""
    action = "release_records" if release else "hold_records"
    told: dict[str, Any] = {
        "subject": hold.subject,
        "tenant": hold.tenant,
        "resource": f"hold:{hold.id}",
        "params": {name: Param(value) for name, value in (("reason", why), ("until", when(hold.until))) if value},
    }
    with recording(place.journal, config, config.log_lifetime, now) as recorder:
        if not recorder.change(action, **told):
            raise CliError(f"it cannot be recorded in {place.journal}, so it is not done: run this as its owner", UNFINISHED)
        try:
            (place.holding.release if release else place.holding.hold)(hold)
        except StoreError:
            recorder.change(action, Status.FAILURE, **told)
            raise


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Config, int], int]]] = MappingProxyType(
    {"hold": _hold, "release": _release, "list": _list}
)
"""The commands of `authaudit retention` that are about holds."""
