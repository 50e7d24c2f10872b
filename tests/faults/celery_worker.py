"""A Celery worker whose pool of processes is renewed all the time; tasks come from a folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from celery import Celery

from .telling import tell

__all__ = ("work",)


def work(count: int) -> None:
    """Do *count* tasks, each a record, two by a child; then end as an operator ends a worker: by SIGTERM."""
    box = Path(os.environ["HOME"], "tasks")
    box.mkdir()
    folders = {name: str(box) for name in ("data_folder_in", "data_folder_out", "control_folder")}
    app = Celery(broker="filesystem://", set_as_current=False)
    app.conf.update(broker_transport_options=folders, worker_hijack_root_logger=False)
    task = app.task(tell, name="tell")
    for _ in range(count):
        task.apply_async()
    threading.Thread(target=_end, args=(count,), daemon=True).start()
    app.worker_main(
        ["worker", "--pool=prefork", "--concurrency=2", "--max-tasks-per-child=2", "--without-gossip", "--without-mingle"]
    )


def _end(count: int) -> None:
    told = Path(os.environ["FAULTS_TOLD"])
    while len(told.read_text().split()) < count:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
