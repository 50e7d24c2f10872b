"""What the audit has to say of itself besides its chain: records that retention deleted, records that the receiver refused.

Without these words in the evidence a verifier would take an honest deletion for tampering.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from ..journal.backlog import Batch
from ..journal.canonical import digest, number_of
from ..journal.retention import Expired
from ..model import names
from .stream import EXPIRED, REFUSED

__all__ = ("Evidence",)

_OWN: Final = f'"eventName":"{REFUSED}"'.encode()
"""That the news of a refusal was refused is no news: else it would go on for ever."""

Report = Callable[[str, Mapping[str, str]], bool]


class Evidence:
    """News until they are told. `refused` may be called from any thread, the rest from one."""

    def __init__(self, expired: list[Expired]) -> None:
        """*expired* is filled by the retention."""
        self._expired = expired
        self._news: deque[tuple[str, Mapping[str, str]]] = deque()

    def refused(self, batch: Batch) -> None:
        """The receiver refuses these records for good, and they were set aside."""
        for record in batch.records:
            if _OWN not in record:
                facts = {
                    names.REFUSED_STREAM: batch.stream,
                    names.REFUSED_NUMBER: str(number_of(record)),
                    names.REFUSED_HASH: digest(record),
                }
                self._news.append((REFUSED, facts))

    def tell(self, report: Report) -> bool:
        """Hand everything new to *report* (event and facts), which says whether it was kept; what was not is told again later.

        Whether everything is told.
        """
        taken = [self._expired.pop(0) for _ in range(len(self._expired))]
        self._news.extend((EXPIRED, _facts(item)) for item in taken if item.for_room or not item.whole)
        whole = sum(item.whole and not item.for_room for item in taken)
        if whole:
            self._news.append((EXPIRED, {names.RECORDS_EXPIRED: str(whole), names.EXPIRED_CAUSE: "log_lifetime"}))
        while self._news and report(*self._news[0]):
            self._news.popleft()
        return not self._news


def _facts(item: Expired) -> Mapping[str, str]:
    begin = {names.EXPIRED_FIRST: str(item.first)} if item.first > 1 else {}
    return {
        **begin,
        names.EXPIRED_STREAM: item.stream,
        names.EXPIRED_NUMBER: str(item.number),
        names.EXPIRED_HASH: item.hash,
        names.EXPIRED_CAUSE: "max_journal_bytes" if item.for_room else "log_lifetime",
    }
