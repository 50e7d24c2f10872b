"""What a command does to a folder of records is recorded there, in a stream of the command's own."""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..config import Config, Exporter
from ..model import names
from ..model.event import Actor, AuditEvent, RecordingRefused, Status

__all__ = ("CONFIG_CHANGE", "Recorder", "operator", "recording")

CONFIG_CHANGE: Final = "audit.config_change"
_ALWAYS: Final = frozenset({CONFIG_CHANGE, "audit.records_expired"})


class Recorder:
    """Records events. Everything it is told is in the journal before it answers, or it says that it is not."""

    def __init__(self, config: Config, lifetime: int | None, now: int) -> None:
        """The stream begins with the first record; *lifetime* is what it says of itself in its lock file, *now* (nanoseconds since
        the epoch) the time of all its records."""
        from ..pipeline.life import Sources  # noqa: PLC0415
        from ..pipeline.provider import VERSION  # noqa: PLC0415 -- brings the OpenTelemetry SDK, which who tells nothing need not load
        from ..pipeline.sink import Pipeline  # noqa: PLC0415

        self._library = f"authaudit {VERSION}"
        self._now = now
        self._pipeline = Pipeline(config, sources=Sources(now=lambda: now), describe=lambda: {"log_lifetime": lifetime})

    def report(self, event: str, facts: Mapping[str, str]) -> bool:
        """Record what the audit has to say of itself, with *facts* as attributes; whether it is kept."""
        return self._kept(self._made(event), {names.ACTOR_ID: operator().id, **facts})

    def change(self, action: str, status: Status = Status.SUCCESS, **more: Any) -> bool:
        """Record `audit.config_change`, *more* of it by the names of `AuditEvent`; whether it is kept."""
        return self._kept(self._made(CONFIG_CHANGE, action=action, status=status, actor=operator(), **more), {})

    def close(self) -> None:
        """End the stream."""
        self._pipeline.shutdown()

    def _made(self, event: str, *, status: Status = Status.SUCCESS, **more: Any) -> AuditEvent:
        return AuditEvent(event=event, status=status, time=self._now, library=self._library, **more)

    def _kept(self, event: AuditEvent, facts: Mapping[str, str]) -> bool:
        try:
            self._pipeline.admit(event.event)
        except RecordingRefused:
            return False
        return self._pipeline.tell(event, facts) is not None


@contextmanager
def recording(folder: Path, config: Config, lifetime: int | None, now: int) -> Iterator[Recorder]:
    """A recorder whose stream lies in *folder*, the journals of a service, whether it is there yet or not; see `Recorder`.

    It delivers nothing, needs no hash key, and deletes nothing itself. Root acts as the owner of the journals meanwhile: who writes
    them must be able to read and to delete what is recorded.
    """
    own = replace(
        config,
        journal_dir=folder.absolute().parent,
        service_name=folder.absolute().name,
        exporter=Exporter.NONE,
        logger_provider=None,
        hash_key=secrets.token_hex(16),
        hash_key_file=None,
        log_lifetime=None,
        max_journal_bytes=None,
        sdk_disabled=False,
        strict=_ALWAYS,
    )
    recorder = Recorder(own, lifetime, now)
    with _as_owner(folder.absolute()):
        try:
            yield recorder
        finally:
            recorder.close()


@contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    there = next(place for place in (folder, *folder.parents) if place.exists()).stat()
    if os.geteuid() != 0 or there.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(there.st_gid)
    os.seteuid(there.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def operator() -> Actor:
    """Who does it, as the system names them."""
    try:
        return Actor(getpass.getuser())
    except (OSError, KeyError):  # a container under a uid of its own
        return Actor(f"uid:{os.getuid()}")
