"""From folders to a listening server, and down again without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.online.bundles import Bundles
from zhiyin.online.tenant import Tenant, live_folder
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
from zhiyin.store.segment_log import SegmentLog
from zhiyin.store.sql_tables import SqlTables


def host(folder: Path, settings: Settings) -> Hosted:
    """Open one tenant: bundle, log, keys, traces; raises where it cannot be served."""
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Train one first: zhiyin train DATA --out FOLDER.")
    home = live_folder(folder)
    bundles = Bundles(folder, home)
    served = bundles.served
    recommender = Recommender.load(bundles.path(served))
    home.mkdir(parents=True, exist_ok=True)
    tables = SqlTables(f"sqlite:///{home / 'tables.sqlite'}")
    log = SegmentLog(home / "events")
    tenant = Tenant(folder.name, recommender, log, tables, version=served.version, after=served.after, since=served.since)
    tenant.warm()
    return Hosted(tenant, Keys(home), Traces(home / "traces", int(settings.traces_mb * 2**20)), bundles, settings)


def open_server(folders: Sequence[Path], settings: Settings) -> tuple[Server, Starlette]:
    """Every tenant and the application over them."""
    names = [folder.name for folder in folders]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"two folders are named '{twice[0]}'", "A tenant is served under its folder's name; rename one.")
    hosted = {folder.name: host(folder, settings) for folder in folders}
    check_open(settings, [name for name, one in hosted.items() if one.keys.open])
    server = Server(hosted, settings)
    return server, build_app(server, with_own(server, OPERATIONS))


def serve(folders: Sequence[Path], settings: Settings, told: Callable[[str], None]) -> None:
    """Listen until told to stop. Requests that are being answered are answered; then the log is closed."""
    server, app = open_server(folders, settings)
    keeper = Keeper(server.tenants, settings.retrain_every_h)
    server.before_close = keeper.close
    keeper.start()
    listen(server, app, settings, told)
