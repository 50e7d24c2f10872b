"""Write an env file with the options of the audit log, make the tables of its store, and say what to do next."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from ..config import ConfigError, load, option
from ..instrumentor import known_fields
from ..instrumentors.registry import LIBRARIES
from .main import CliError
from .store import install

__all__ = ("EPILOG", "add_flags", "run")

EPILOG = """\
examples:
  authaudit init
  authaudit init --include-fields email,username --ip-privacy-mode truncate
  authaudit init --exclude-strategies magic_link,oauth --exclude-actions sign_in_with_token --log-lifetime 30
  authaudit init --store postgresql://admin@db/shop?table=account_audit_logs       as well make the table: authaudit store init
"""

_ALWAYS = ("log_name", "ip_privacy_mode", "log_lifetime")
_FLAGS = ("log_name", "include_fields", "exclude_strategies", "exclude_actions", "ip_privacy_mode", "log_lifetime")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command: the seed's words."""
    for name in _FLAGS:
        row = option(name)
        flags = [f"--{name.replace('_', '-')}", *(["--audit-log"] if name == "log_name" else [])]
        default = f" (default: {row.default})" if row.default else ""
        parser.add_argument(*flags, dest=name, metavar="VALUE", help=f"{row.meaning.replace('%', '%%')} {row.values}{default}")
    parser.add_argument(
        "--store", metavar="URL", help="a database, in which the tables for the records are made: postgresql://user@host/db"
    )
    parser.add_argument("--output", type=Path, default=Path("authaudit.env"), metavar="FILE", help="default: authaudit.env")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(options: argparse.Namespace) -> int:
    """Check the values, write the file."""
    given = {name: getattr(options, name) for name in _FLAGS if getattr(options, name) is not None}
    try:
        config = load({}, libraries=frozenset(library.name for library in LIBRARIES), fields=known_fields(), raises=True, **given)
    except ConfigError as error:
        raise CliError(str(error).replace("authaudit: the configuration has faults:", "these values cannot be used:")) from None
    if options.store:
        install(options.store, config)
    content = _content(given)
    try:
        how = os.O_TRUNC if options.force else os.O_EXCL
        with os.fdopen(os.open(options.output, os.O_WRONLY | os.O_CREAT | how, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise CliError(f"{options.output} exists; --force overwrites it, --output names another") from None
    except OSError as error:
        raise CliError(f"{options.output} cannot be written: {error.strerror}") from None
    print(f"wrote {options.output}; next, start the application with it:\n", file=sys.stderr)
    print(
        f"  set -a; . {shlex.quote(str(options.output.absolute()))}; set +a\n  opentelemetry-instrument python manage.py runserver"
    )
    print('\nthen: authaudit doctor, authaudit query. Every option: README, "Options".', file=sys.stderr)
    return 0


def _content(given: dict[str, str]) -> str:
    lines = ["# The audit trail of authentication events: options of opentelemetry-instrumentation-authaudit.", ""]
    for name in dict.fromkeys((*_ALWAYS, *given)):
        row = option(name)
        lines += [f"# {row.meaning} Values: {row.values}.", f"{row.variable}={shlex.quote(given.get(name, row.default))}", ""]
    lines += ["# Where a collector is running, records go there too:", "#OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317", ""]
    return "\n".join(lines)
