"""What deploy/compose.yaml starts, without its engine: the same variables, a real PostgreSQL and a real Redis."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from zhiyin.base.errors import MissingDataError
from zhiyin.client import Client
from zhiyin.testing.servers import postgresql_binaries, redis_binary, temporary_postgresql, temporary_redis
from zhiyin.testing.serving import serving

SERVICES = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "compose.yaml").read_text())["services"]


def test_events_and_items_live_in_the_database_and_outlive_the_server(model: Path, tmp_path: Path) -> None:
    try:
        postgresql_binaries()
        redis_binary()
    except MissingDataError as error:
        pytest.skip(str(error))
    folder = tmp_path / "shop"
    shutil.copytree(model, folder)
    with temporary_postgresql(fsync=False) as database, temporary_redis() as redis:
        environment = dict(zip(SERVICES["zhiyin"]["environment"], (database, redis), strict=True))
        with serving(folder, environment=environment) as server, Client(server.address, tenant="shop", retries=8) as shop:
            assert shop.event("p1", user="fresh").new == 1
            shop.put_item("kite", {"title": "purple kite"})
            server.stop()
            shutil.rmtree(tmp_path / "shop.live")  # as on another machine
            server.start()
            assert [event.item for event in shop.export_user("fresh").events] == ["p1"]
            assert shop.recommend(user="fresh", n=3).served_by == "ease"
            assert shop.get_item("kite").columns["title"] == "purple kite"
    assert not (tmp_path / "shop.live" / "tables.sqlite").exists()
