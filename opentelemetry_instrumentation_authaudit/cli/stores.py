"""`--store`: paths and URLs, opened as one store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..privacy.pseudonyms import Keyring
from ..query.reader import Unreadable
from ..stores.errors import StoreError
from ..stores.files import FileStore
from ..stores.store import Merged, Store, is_url, open_store
from .main import CliError
from .places import files_of, keys_of, looked_in, places

__all__ = ("add_store_flag", "keys_for", "open_stores")


def add_store_flag(parser: argparse.ArgumentParser) -> None:
    """The flag `--store`, which may be given several times."""
    parser.add_argument(
        "--store",
        action="append",
        default=[],
        metavar="PLACE",
        help="a journal folder or file, a collector's file, or a URL: postgresql://reader@host/db, victorialogs://host:9428, "
        "clickhouse://reader@host:8123/audit; several are asked as one (all default places, if not given)",
    )


def open_stores(given: Sequence[str], config: Config, unreadable: Unreadable) -> Merged:
    """Everything that was named, or every default place. Raises CliError."""
    paths = [Path(place.removeprefix("file:")) for place in given if not is_url(place)]
    stores: list[Store] = []
    if paths or not given:
        found = places(paths, config)
        files = files_of(found, unreadable)
        if not given or not files:
            looked_in(found, len(files))
        stores.append(FileStore(found, files, unreadable))
    try:
        stores += [open_store(place) for place in given if is_url(place)]
    except StoreError as error:
        raise CliError(str(error)) from None
    return Merged(stores)


def keys_for(store: Merged, config: Config) -> Keyring | None:
    """The hash keys beside these files; for a store elsewhere those of this machine's default places."""
    found = [place for one in store.stores if isinstance(one, FileStore) for place in one.places]
    return keys_of(found or places((), config), config)
