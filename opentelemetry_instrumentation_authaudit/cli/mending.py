"""Repair of a store: ship what it lacks, and look whether it is there."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Final

from ..pipeline.answers import ACCEPTED, Verdict
from ..pipeline.delivery import Delivery
from ..pipeline.words import Words
from ..query.comparison import Comparison
from ..query.filters import Filters
from ..query.reader import Record, Unreadable
from ..stores.errors import StoreError
from ..stores.repair import Repair
from ..stores.shipping import Outspoken
from ..stores.store import Store
from .delivering import LOOK, once
from .telling import Telling

__all__ = ("deliver_own", "mend")

_AGAIN: Final = 1.0  # seconds between questions
_AT_ONCE: Final = 512


def mend(
    comparison: Comparison,
    records: Iterator[Record],
    *,
    store: Store,
    writer: Store,
    span: Filters,
    unreadable: Unreadable,
    options: argparse.Namespace,
) -> None:
    """Ship *records*, which *store* lacks, through *writer*; *comparison* knows afterwards what is there. StoreError.

    *span* is from when to when the records are.
    """
    sender = Outspoken(writer.sender())
    answer = sender.send(None)
    if answer.verdict is Verdict.MISCONFIGURED:
        raise StoreError(answer.detail)
    repair = Repair(records, comparison.missing(), unreadable)
    delivery = Delivery(repair, sender, max_size=_AT_ONCE, interval=LOOK, words=Words.to_store(str(store)))
    once([(repair, delivery)], options.wait)
    delivery.shutdown()
    if repair.refused:
        print(f"{repair.refused} refused for good by {store}", file=sys.stderr)
    patience = 0.0 if repair.left or repair.refused else options.wait
    _look(comparison, store, span, patience)
    settle = store.settling if options.settle is None else options.settle
    if settle > 0 and comparison.missing(taken=True) == 0:
        time.sleep(settle)
        comparison.doubt()
        _look(comparison, store, span, patience)


def deliver_own(telling: Telling, writer: Store) -> None:
    """Ship what this command itself recorded."""
    batch = telling.batch()
    sender = Outspoken(writer.sender())
    try:
        answer = sender.send(batch) if batch is not None else ACCEPTED
    finally:
        sender.close()
    if answer.verdict is not Verdict.ACCEPTED:
        print(f"what this run recorded is not in the store yet ({answer.detail}); the next repair brings it", file=sys.stderr)


def _look(comparison: Comparison, store: Store, span: Filters, patience: float) -> None:
    """Ask the store until it shows everything that was sent, or *patience* seconds are over."""
    deadline = time.monotonic() + patience
    while True:
        for record in store.copies(span):
            comparison.recheck(record)
        if comparison.missing(taken=True) == 0 or time.monotonic() > deadline:
            return
        time.sleep(_AGAIN)
