"""The commands, their flags, and how they end."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any, Final

from ..stores.errors import StoreError

__all__ = ("BAD_ANSWER", "UNFINISHED", "USAGE", "CliError", "main")

BAD_ANSWER: Final = 1
USAGE: Final = 2
UNFINISHED: Final = 3
INTERRUPTED: Final = 130
"""By Ctrl-C, as shells count: 128 and the signal's number."""

COMMANDS: Final = {
    "query": "who signed in, from where, how, and who failed to",
    "tail": "the newest records, and those to come (-f)",
    "report": "what failed, who is attacked, who came from somewhere new; as a page with --html",
    "verify": "is the evidence whole? what was changed, removed or added",
    "digest": "write down which streams there are, for verify --registry",
    "reconcile": "does a store hold everything that it should? ships again what it lacks",
    "retention": "how long records are kept: show, apply, archive before; legal holds",
    "keys": "the keys of hashed identities and addresses: list, rotate, destroy",
    "doctor": "is everything watched, written and delivered here?",
    "init": "write an env file with the options",
    "store": "make the tables of a database, or bring them up to date: init, upgrade",
    "ship": "deliver what the journals hold to the collector, once or --follow",
    "collector": "run the OpenTelemetry Collector with our configuration",
    "schema": "events, actions, strategies, reasons, attributes",
    "demo": "three real applications and their audit trail (from a checkout)",
}

_EPILOG = """\
examples:
  authaudit query --status failure --since 24h      who failed to sign in since yesterday
  authaudit query --subject auth.user:42            everything that one account did
  authaudit query --action 'sign_in_with_*' --ip 203.0.113.0/24 --format json
  authaudit tail -f                                 watch
  authaudit verify --key first.key                  is the evidence whole?
  authaudit doctor                                  check this environment

Each command has its own --help. Exit codes: 0 fine, 1 the answer is bad, 2 used wrongly, 3 could not finish.
"""


class CliError(Exception):
    """The command cannot go on; the message says what to do. *code* is its exit code."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no sign for a character still gets the record
    return _finish(_parser(given).parse_args(given))


def _parser(given: list[str]) -> argparse.ArgumentParser:
    """Each command brings its imports only when it is the one."""
    plain: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(
        prog="authaudit",
        description="The audit trail of authentication events: ask it, watch it, check it.",
        epilog=_EPILOG,
        **plain,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, **plain)
        if name in given[:1]:
            module = import_module(f".{name}", __package__)
            sub.description, sub.epilog = module.__doc__, module.EPILOG
            module.add_flags(sub)
            sub.set_defaults(run=module.run)
    return parser


class _Version(argparse.Action):
    """Looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> None:
        name = "opentelemetry-instrumentation-authaudit"
        print(f"{name} {metadata.version(name)}")
        parser.exit()


def _finish(options: argparse.Namespace) -> int:
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except CliError as error:
        print(f"authaudit {options.command}: {error}", file=sys.stderr)
        return error.code
    except StoreError as error:
        print(f"authaudit {options.command}: {error}", file=sys.stderr)
        return UNFINISHED
    except BrokenPipeError:  # `authaudit query | head`: the reader has enough
        _drop_output()
        return 0
    except OSError as error:  # the disk behind stdout is full, a folder is closed
        print(f"authaudit {options.command}: could not finish: {error}", file=sys.stderr)
        _drop_output()
        return UNFINISHED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _drop_output() -> None:
    """The interpreter writes at its end what is still buffered, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
