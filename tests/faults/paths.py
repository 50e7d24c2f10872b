"""The ways on which audit records get lost, as data: a program, what happens to it, and what the receiver does meanwhile."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.pipeline.otlp_server import CLOSE, HANG, OK, OtlpServer, Received, Reply, partial_success

__all__ = ("PATHS", "Path_", "Weather")

Weather = Callable[[OtlpServer], Callable[[], None] | None]
"""Prepares the receiver before the program starts; may return what runs beside the program."""


@dataclass(frozen=True)
class Path_:  # noqa: N801 -- `Path` is pathlib's
    """One way to lose records."""

    name: str
    """What happens, as the table says it."""
    program: str = "tell(20)"
    """Python, with `tell` at hand. It prints `ready` where a signal is to come, and waits."""
    command: tuple[str, ...] = ()
    """Instead of *program*: a server, with `{port}`; it gets 20 requests before the signal comes."""
    signal: signal.Signals | None = None
    weather: Weather = lambda _server: None
    protocol: str = "http/protobuf"
    environ: dict[str, str] = field(default_factory=dict)
    needs: str = ""
    """A module without which the server is not there."""


def _answers(*first: Reply, then: Reply = OK) -> Weather:
    """The first requests are answered so, the rest otherwise."""

    def prepare(server: OtlpServer) -> None:
        rest = list(first)
        server.answer = lambda _asked: rest.pop(0) if rest else then

    return prepare


def _away(seconds: float) -> Weather:
    """Nobody listens for so long."""

    def prepare(server: OtlpServer) -> Callable[[], None]:
        server.stop()

        def come_back() -> None:
            time.sleep(seconds)
            server.start()

        return come_back

    return prepare


def _flapping(server: OtlpServer) -> Callable[[], None]:
    """Now here, now away."""

    def flap() -> None:
        for _ in range(4):
            time.sleep(0.4)
            server.stop()
            time.sleep(0.4)
            server.start()

    return flap


def _slow(server: OtlpServer) -> None:
    def answer(_asked: Received) -> Reply:
        time.sleep(0.2)
        return OK

    server.answer = answer


READY = "print('ready', flush=True); import time; time.sleep(60)"
_FORK = "import os, sys\n"
_PYTHON = sys.executable

_PROGRAMS: Final = (
    Path_(
        "a flood of 100,000 failures, a slow receiver",
        "tell(int(__import__('os').environ.get('FAULTS_FLOOD', '100000')))",
        weather=_slow,
    ),
    Path_("500 for the first two requests", weather=_answers(Reply(500), Reply(500))),
    Path_("408", weather=_answers(Reply(408))),
    Path_("401, then the token is put right", weather=_answers(Reply(401))),
    Path_("429 with Retry-After: 60, then taken again", weather=_answers(Reply(429, retry_after=60))),
    Path_("503 with a wrong Retry-After", weather=_answers(Reply(503, retry_after="soon"))),
    Path_("302", weather=_answers(Reply(302, headers={"Location": "http://127.0.0.1:9/"}))),
    Path_("200, but a partial success that rejects all", weather=_answers(partial_success(20))),
    Path_("the connection is closed without an answer", weather=_answers(CLOSE)),
    Path_("the receiver hangs", weather=_answers(HANG), environ={"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}),
    Path_("gRPC: INTERNAL", weather=_answers(Reply("INTERNAL")), protocol="grpc"),
    Path_("gRPC: UNAUTHENTICATED, then put right", weather=_answers(Reply("UNAUTHENTICATED")), protocol="grpc"),
    Path_("the receiver is away for 12 s, the process stays", "tell(20); import time; time.sleep(14)", weather=_away(12)),
    Path_("the receiver is away when the process ends", weather=_away(20)),
    Path_("the receiver comes and goes", "import time\nfor _ in range(20):\n    tell(); time.sleep(0.15)", weather=_flapping),
    Path_("a record that cannot be encoded among 19 good ones", "tell(10); tell(1, '\\ud800'); tell(9)"),
    Path_("a record of 70 MB among 19 good ones", "tell(10); tell(1, 'x' * 70_000_000); tell(9)"),
    Path_(
        "told after the shutdown, by an older atexit handler",
        "pass",
        environ={"FAULTS_LATE": "1"},
    ),
    Path_("SIGTERM", f"tell(20); {READY}", signal=signal.SIGTERM),
    Path_("SIGHUP", f"tell(20); {READY}", signal=signal.SIGHUP),
    Path_("SIGINT", f"tell(20); {READY}", signal=signal.SIGINT),
    Path_("SIGKILL", f"tell(20); {READY}", signal=signal.SIGKILL),
    Path_("os._exit", f"tell(20)\n{_FORK}os._exit(0)"),
    Path_("a segmentation fault", "tell(20)\nimport ctypes; ctypes.string_at(0)"),
    Path_("execv", f"tell(20)\n{_FORK}os.execv(sys.executable, [sys.executable, '-c', 'pass'])"),
    Path_("an unhandled exception", "tell(20); raise RuntimeError"),
    Path_(
        "told before a fork, and the parent goes by os._exit",
        f"tell(20)\n{_FORK}if os.fork():\n    os._exit(0)\nelse:\n    tell(5)",
    ),
    Path_(
        "children that end by os._exit",
        f"{_FORK}for _ in range(4):\n    if not os.fork():\n        tell(5); os._exit(0)\n    os.wait()",
    ),
    Path_(
        "multiprocessing.Process",
        "import multiprocessing as m\nc = m.get_context('fork')\nps = [c.Process(target=tell, args=(5,)) for _ in range(4)]\n"
        "[p.start() for p in ps]\n[p.join() for p in ps]",
    ),
    Path_(
        "ProcessPoolExecutor",
        "import multiprocessing as m\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2, mp_context=m.get_context('fork')) as pool:\n    list(pool.map(tell, [5] * 4))",
    ),
    Path_(
        "four children share a connection that the parent opened",
        f"{_FORK}import time\ntell(4); time.sleep(2.5)\nps = []\nfor _ in range(4):\n    ps.append(os.fork())\n"
        "    if not ps[-1]:\n        tell(4); time.sleep(2); sys.exit()\n[os.waitpid(p, 0) for p in ps]",
    ),
    Path_(
        "two processes start on one journal folder at once",
        f"{_FORK}import subprocess\nps = [subprocess.Popen([sys.executable, '-c', 'from tests.faults.telling import tell; tell(10)']) "
        "for _ in range(2)]\n[p.wait() for p in ps]",
    ),
    Path_(
        "the journal folder is deleted underneath",
        f"tell(10)\n{_FORK}import shutil; shutil.rmtree(os.environ['FAULTS_JOURNAL'], ignore_errors=True); tell(10)",
    ),
    Path_(
        "Celery prefork, two tasks per child",
        "from tests.faults.celery_worker import work; work(20)",
        needs="celery",
    ),
    Path_(
        "the transport raises SystemExit once",
        "import requests\nsend = requests.Session.send\n"
        "def once(*a, **k):\n    requests.Session.send = send\n    raise SystemExit\n"
        "requests.Session.send = once\nimport time\ntell(5); time.sleep(7); tell(15); time.sleep(1)",
    ),
    Path_(
        "threads that still tell while the interpreter ends",
        "tell(20)\nimport threading\ndef on():\n    while True:\n        tell()\n[threading.Thread(target=on, daemon=True).start() for _ in range(3)]\n"
        "import time; time.sleep(0.3)",
    ),
)

_SERVERS: Final = (
    Path_("uvicorn: SIGTERM", command=(_PYTHON, "-m", "uvicorn", "--port", "{port}", "tests.faults.telling:application"), signal=signal.SIGTERM),
    Path_("uvicorn: SIGINT", command=(_PYTHON, "-m", "uvicorn", "--port", "{port}", "tests.faults.telling:application"), signal=signal.SIGINT),
    Path_("uvicorn, 2 workers: SIGTERM", command=(_PYTHON, "-m", "uvicorn", "--workers", "2", "--port", "{port}", "tests.faults.telling:application"), signal=signal.SIGTERM),
    Path_("gunicorn sync: SIGTERM", command=(_PYTHON, "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "tests.faults.telling:wsgi"), signal=signal.SIGTERM, needs="gunicorn"),
    Path_("gunicorn gthread: SIGQUIT", command=(_PYTHON, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:{port}", "tests.faults.telling:wsgi"), signal=signal.SIGQUIT, needs="gunicorn"),
    Path_("gunicorn: SIGKILL", command=(_PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "tests.faults.telling:wsgi"), signal=signal.SIGKILL, needs="gunicorn"),
    Path_("gunicorn with uvicorn workers: SIGTERM", command=(_PYTHON, "-m", "gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}", "tests.faults.telling:application"), signal=signal.SIGTERM, needs="gunicorn"),
    Path_("hypercorn: SIGTERM", command=(_PYTHON, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "tests.faults.telling:application"), signal=signal.SIGTERM, needs="hypercorn"),
    Path_("granian: SIGTERM", command=(_PYTHON, "-m", "granian", "--interface", "asgi", "--port", "{port}", "tests.faults.telling:application"), signal=signal.SIGTERM, needs="granian"),
    Path_("waitress: SIGTERM", command=(_PYTHON, "-m", "waitress", "--port={port}", "tests.faults.telling:wsgi"), signal=signal.SIGTERM, needs="waitress"),
    Path_("uwsgi: SIGINT", command=("uwsgi", "--http-socket", "127.0.0.1:{port}", "--master", "--processes", "2", "--enable-threads", "--module", "tests.faults.telling:wsgi"), signal=signal.SIGINT, needs="pyuwsgi"),
)  # fmt: skip

PATHS: Final = _PROGRAMS + _SERVERS
