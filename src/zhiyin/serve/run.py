"""From folders to a listening server, and down again without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.base.memory import settle
from zhiyin.online.bell import Bell, NoBell, RedisBell
from zhiyin.online.bundles import Bundles
from zhiyin.online.following import Follower
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import Tenant, live_folder, make_home
from zhiyin.online.traces import Traces
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.access import Keys
from zhiyin.serve.app import Server, build_app
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.keeper import Keeper
from zhiyin.serve.listen import listen
from zhiyin.serve.routes import OPERATIONS
from zhiyin.serve.routes.server import with_own
from zhiyin.serve.settings import Settings, check_open
from zhiyin.serve.tail import Tail


def host(folder: Path, settings: Settings) -> Hosted:
    """Open one tenant: bundle, log, keys, traces; raises where it cannot be served."""
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Train one first: zhiyin train DATA --out FOLDER.")
    home = live_folder(folder)
    bundles = Bundles(folder, home)
    served = bundles.served
    recommender = Recommender.load(bundles.path(served))
    make_home(folder)
    stores = Stores(settings.database)
    tables = stores.tables(folder)
    version = tables.version()
    log = stores.log(folder, "share" if settings.workers > 1 else "own")
    tenant = Tenant(folder.name, recommender, log, tables, version=served.version, after=served.after, since=served.since)
    tenant.warm()
    traces = Traces(home / "traces", int(settings.traces_mb * 2**20), shared=settings.shared)
    return Hosted(tenant, Keys(home), traces, bundles, settings, Follower(tenant, version))


def open_server(folders: Sequence[Path], settings: Settings) -> tuple[Server, ASGIApp]:
    """Every tenant and the application over them."""
    check_names([folder.name for folder in folders], settings)
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
    keeper = Keeper(server.tenants, settings.retrain_every_h)
    tail = Tail({name: hosted.follower for name, hosted in server.tenants.items()}, _bell(settings)) if settings.shared else None

    def close() -> None:
        keeper.close()
        if tail is not None:
            tail.close()

    server.before_close = close
    settle()
    threadpool_limits(1)  # answers of several people share the cores; threads of one answer would fight for them
    keeper.start()
    if tail is not None:
        tail.start()


def _bell(settings: Settings) -> Bell:
    return NoBell() if settings.redis is None else RedisBell(settings.redis)
