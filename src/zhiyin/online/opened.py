"""A tenant opened by its folder, outside a server: for whoever reads it, or writes it while no server does."""

from __future__ import annotations

from pathlib import Path

from zhiyin.base.errors import MissingDataError
from zhiyin.online.bundles import Bundles
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import Tenant, live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.segment_log import Access


def opened(folder: Path, stores: Stores, access: Access = "read") -> Tenant:
    """The tenant with the bundle that is to be served, everything since folded in. Close it when done."""
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Give the one that zhiyin serve is given.")
    bundles = Bundles(folder, live_folder(folder))
    served = bundles.served
    log = stores.log(folder, access)  # first: it is what another process may have
    recommender = Recommender.load(bundles.path(served))
    tables = stores.tables(folder, access)
    return Tenant(folder.name, recommender, log, tables, version=served.version, after=served.after, since=served.since)
