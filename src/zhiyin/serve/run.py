"""From folders to a listening server, and down again without losing anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from zhiyin.base.errors import ConfigError, MissingDataError, StoreError
from zhiyin.base.memory import lasting, settle
from zhiyin.online.bell import Bell, NoBell, RedisBell
from zhiyin.online.bundles import Bundles
from zhiyin.online.elsewhere import AGAIN, ReadLog, ReadTables
from zhiyin.online.following import Follower
from zhiyin.online.masked import masked_versions
from zhiyin.online.showings import Showings
from zhiyin.online.standby import choose
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import Tenant, live_folder, make_home
from zhiyin.online.traces import Traces
from zhiyin.serve.access import Keys
from zhiyin.serve.app import Server, build_app
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.keeper import Keeper
from zhiyin.serve.listen import listen
from zhiyin.serve.routes import OPERATIONS
from zhiyin.serve.routes.server import with_own
from zhiyin.serve.settings import Settings, check_open
from zhiyin.serve.sharing import Sharing, prefix_of
from zhiyin.serve.tail import Tail
from zhiyin.store.event_log import EventLog
from zhiyin.store.opening import open_hot

_SHOWN_S = 0.02
"""So long an answer waits for what somebody was shown lately; then it goes on without."""


def host(folder: Path, settings: Settings, log: EventLog | None = None) -> Hosted:
    """Open one tenant: bundle, log, keys, traces; raises where it cannot be served.

    Where its model is damaged, what ``choose`` finds is served instead. Where its log cannot be written (another process does,
    or the disk is read-only) and no ``log`` is given, everything is read and nothing written; the keeper tries again.
    """
    home = live_folder(folder)
    if not folder.is_dir() and not home.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Train one first: zhiyin train DATA --out FOLDER.")
    stores = Stores(settings.database)
    bundles = Bundles(folder, home)
    chosen = choose(bundles, lambda: _masked(stores, folder))
    make_home(folder)
    tables = stores.tables(folder)
    version = tables.version()
    log, why = (log, "") if log is not None else written(folder, settings)
    if why:
        tables = ReadTables(tables, why)
    served = chosen.entry
    tenant = Tenant(folder.name, chosen.recommender, log, tables, version=served.version, after=served.after, since=served.since)
    if settings.redis is not None:
        tenant.showings = Showings(open_hot(settings.redis, prefix=prefix_of(folder.name), timeout_s=_SHOWN_S), far=True)
    tenant.warm()
    traces = Traces(home / "traces", int(settings.traces_mb * 2**20), shared=settings.shared or bool(why))
    hosted = Hosted(tenant, Keys(home), traces, bundles, settings, Follower(tenant, version))
    hosted.serves(served, chosen.instead, chosen.trouble)
    hosted.look()
    for trouble in filter(None, (chosen.trouble, why and f"events are refused: {why}. {AGAIN}")):
        logging.getLogger("zhiyin.serve").error("tenant %s: %s", folder.name, trouble)
    return hosted


def written(folder: Path, settings: Settings) -> tuple[EventLog, str]:
    """The log of a tenant; where it cannot be written, one to read from and the reason. Raises ``StoreError`` where neither can be."""
    stores = Stores(settings.database)
    try:
        return stores.log(folder, "share" if settings.workers > 1 else "own"), ""
    except OSError as error:  # StoreError is one too
        why = error.message if isinstance(error, StoreError) else f"the event log cannot be written: {error.strerror or error}"
        return ReadLog(stores.log(folder, "read"), why), why


def _masked(stores: Stores, folder: Path) -> set[str]:
    """The versions of the bundles from which people were erased."""
    tables = stores.tables(folder, "read")
    try:
        return masked_versions(tables)
    finally:
        tables.close()


def open_server(folders: Sequence[Path], settings: Settings) -> tuple[Server, ASGIApp]:
    """Every tenant and the application over them."""
    check_names([folder.name for folder in folders], settings)
    with lasting():
        hosted = {folder.name: host(folder, settings) for folder in folders}
        check_open(settings, [name for name, one in hosted.items() if one.keys.open])
        server = Server(hosted, settings)
        return server, build_app(server, with_own(server, OPERATIONS))


def check_names(names: Sequence[str], settings: Settings) -> None:
    """Raises ``ConfigError`` where two tenants would be one."""
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"two folders are named '{twice[0]}'", "A tenant is served under its folder's name; rename one.")
    Stores(settings.database).check(names)


def serve(folders: Sequence[Path], settings: Settings, told: Callable[[str], None]) -> None:
    """Listen until told to stop. Requests that are being answered are answered; then the log is closed.

    With several workers this is ``zhiyin.serve.workers.supervise``.
    """
    server, app = open_server(folders, settings)
    kept(server, settings)
    listen(server, app, settings, told)


def kept(server: Server, settings: Settings) -> None:
    """Begin what a server does beside answering; it ends with the server."""
    tail = Tail({name: hosted.follower for name, hosted in server.tenants.items()}, _bell(settings)) if settings.shared else None

    keeper = Keeper(server.tenants, settings.retrain_every_h, lambda name: reopened(server, name, tail))

    sharing = Sharing(server, settings.redis) if settings.redis is not None else None

    def close() -> None:
        keeper.close()
        if sharing is not None:
            sharing.close()
        if tail is not None:
            tail.close()

    server.before_close = close
    settle()
    threadpool_limits(1)  # answers of several people share the cores; threads of one answer would fight for them
    keeper.start()
    if tail is not None:
        tail.start()
    if sharing is not None:
        sharing.start()


def reopened(server: Server, name: str, tail: Tail | None = None) -> bool:
    """Open a tenant anew once its log can be written, and say whether it can. All of it: another process had it, which may
    have changed everything."""
    folder, settings = server.tenants[name].bundles.folder, server.settings
    log, why = written(folder, settings)
    if why:
        log.close()
        return False
    try:
        server.tenants[name] = host(folder, settings, log)
    except BaseException:
        log.close()
        raise
    if tail is not None:
        tail.follow(name, server.tenants[name].follower)
    return True


def _bell(settings: Settings) -> Bell:
    return NoBell() if settings.redis is None else RedisBell(settings.redis)
