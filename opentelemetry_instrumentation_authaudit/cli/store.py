"""Make the tables that a store needs, or bring them up to this version: in one transaction, as often as one likes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from ..config import Config, ConfigError, load
from ..stores.installer import DEFAULT_ROLES, Installer, Wishes, open_installer
from ..stores.store import Address
from .main import CliError

__all__ = ("EPILOG", "add_flags", "install", "run")

EPILOG = """\
examples:
  authaudit store init --store postgresql://admin@db/audit                       the table audit.auth_audit, its roles, partitions of a day
  authaudit store init --store postgresql://admin@db/shop --table account_audit_logs --partition monthly
  authaudit store init --store postgresql://admin@db/audit --dry-run             do it all, take it back, print what it was
  authaudit store init --generate migrations/                                    only write the scripts, for your own migration tool
  authaudit store upgrade --store postgresql://admin@db/audit                    what this version of the package has added
  authaudit store init --store clickhouse://admin@host:8123/audit                the same in ClickHouse, which has no transactions
  authaudit store upgrade --store clickhouse://admin@host/otel?table=otel_logs   our columns for a table that the collector made

In PostgreSQL, whoever runs it needs CREATEROLE and CREATE on the database, or an administrator who makes the roles first; what is
missing is said. The roles cannot log in: the names that services and people log in with are made members of them, and need no new
password when the tables change. The owner has no members: from then on nobody but a superuser can change or delete a record.

writer      may add records and nothing else, not even read them
reader      may read
retention   says how long records are kept, and places legal holds

Scripts are run in one transaction each (psql -1 -f), by the same user. Exit codes: 0 done, 2 used wrongly, 3 could not be done.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("what", choices=("init", "upgrade"), help="make what is not there; or only add to what is")
    parser.add_argument(
        "--store", metavar="URL", help="postgresql://user@host/database; a password: ?password_file=, PGPASSWORD, ~/.pgpass"
    )
    parser.add_argument("--table", metavar="NAME", help="[schema.]table (audit.auth_audit)")
    parser.add_argument("--roles", metavar="PREFIX", default=DEFAULT_ROLES, help="what the names of the roles begin with (audit)")
    parser.add_argument(
        "--partition", choices=("daily", "monthly"), default="daily", help="monthly: below some 100,000 records a day"
    )
    parser.add_argument(
        "--log-lifetime", metavar="DAYS", help="how long records are kept: days, or infinity (the option log_lifetime)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the scripts that would be applied; everything is taken back"
    )
    parser.add_argument("--generate", metavar="PLACE", help="apply nothing, write the scripts: a folder, or one file.sql")


def run(options: argparse.Namespace) -> int:
    """Apply, print or write."""
    config = _config(options.log_lifetime)
    if options.generate:
        installer = _installer(options.store or "postgresql:///", options, config)
        _write(Path(options.generate), _generated(installer, options))
        return 0
    if not options.store:
        raise CliError("--store names the database: postgresql://user@host/database; or --generate writes the scripts")
    installer = _installer(options.store, options, config)
    done = installer.apply(fresh=options.what == "init", dry_run=options.dry_run)
    if options.dry_run:
        print("\n".join(f"-- {name}\n{script}" for name, script in done.items()), end="")
        print(f"{installer.table}: {_named(done)} would be applied, and can be; nothing was changed", file=sys.stderr)
    else:
        _tell(installer, done)
    return 0


def install(url: str, config: Config) -> None:
    """What `store init` does, with every default. Raises StoreError."""
    installer = open_installer(Address.parse(url), Wishes(lifetime=config.log_lifetime))
    _tell(installer, installer.apply(fresh=True))


def _config(lifetime: str | None) -> Config:
    try:
        return load() if lifetime is None else load(raises=True, log_lifetime=lifetime)
    except ConfigError as error:
        raise CliError(str(error)) from None


def _installer(url: str, options: argparse.Namespace, config: Config) -> Installer:
    address = Address.parse(url)
    if options.table:
        address = address.asking(table=options.table)
    wishes = Wishes(roles=options.roles, monthly=options.partition == "monthly", lifetime=config.log_lifetime)
    return open_installer(address, wishes)


def _generated(installer: Installer, options: argparse.Namespace) -> Mapping[str, str]:
    """All scripts; of an upgrade those that the store at hand has not."""
    if options.what == "init":
        return installer.scripts()
    if not options.store:
        raise CliError("upgrade --generate needs --store, to see what is there")
    return installer.apply(fresh=False, dry_run=True)


def _write(place: Path, scripts: Mapping[str, str]) -> None:
    """Never over a script that says something else: it may have been applied."""
    files = (
        {place: "\n".join(scripts.values())} if place.suffix == ".sql" else {place / name: text for name, text in scripts.items()}
    )
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise CliError(f"{path} exists and says something else; --generate names another place")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)


def _tell(installer: Installer, done: Mapping[str, str]) -> None:
    if not done:
        print(f"{installer.table}: nothing to do, it is up to date", file=sys.stderr)
        return
    print(f"{installer.table}: applied {_named(done)}\n", file=sys.stderr)
    print(installer.advice(), end="")


def _named(done: Mapping[str, str]) -> str:
    return ", ".join(name.removesuffix(".sql") for name in done) or "nothing"
