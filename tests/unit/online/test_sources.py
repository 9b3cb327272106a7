"""Rows from elsewhere: what they become, and that a break at any point neither loses nor doubles one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from typer.testing import CliRunner

from zhiyin.base.errors import ConfigError, MissingDataError, MissingExtraError, StoreError, ZhiyinError
from zhiyin.cli.app import app
from zhiyin.online.bulk import Imported, Kind
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.kafka import KafkaSource, KafkaStream
from zhiyin.online.sources.mapping import RowMap
from zhiyin.online.sources.pull import ServerSink, TenantSink, pull
from zhiyin.online.sources.source import Source, read_source
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings

ORDER = {
    "id": 7, "paid_at": "2024-05-01T10:00:00Z", "customer": {"id": 42}, "status": "paid",
    "client": {"device": "phone"}, "line_items": [{"id": 1, "sku": "i1"}, {"id": 2, "sku": "i2"}],
}  # fmt: skip
ROW = {
    "event_id": "{id}-{.id}", "user": "customer.id", "item": ".sku", "kind": "=buy", "time": "paid_at",
    "context": {"device": "client.device", "town": "client.town"},
}  # fmt: skip


@pytest.fixture
def folder(trained_shop: Path, tmp_path: Path) -> Path:
    (tmp_path / "shop").symlink_to(trained_shop)
    return tmp_path / "shop"


def events_of(folder: Path) -> list[str]:
    log = Stores().log(folder, "read")
    try:
        return [record.event_id for _, record in log.read()]
    finally:
        log.close()


def source_of(folder: Path, text: str) -> Source:
    (folder.parent / "source.toml").write_text(text)
    return read_source(folder.parent / "source.toml")


# What documents become.


def test_a_document_becomes_a_row_for_each_of_its_lines() -> None:
    made = list(RowMap.parse({"each": "line_items", "row": ROW, "when": {"status": ["paid", "sent"]}}).rows(ORDER))
    assert made[1] == {
        "event_id": "7-2", "user": 42, "item": "i2", "kind": "buy", "time": "2024-05-01T10:00:00Z", "context": {"device": "phone"},
    }  # fmt: skip
    assert len(made) == 2


@pytest.mark.parametrize(
    ("spec", "document", "rows"),
    [
        ({}, {"a": 1}, [{"a": 1}]),
        ({"row": {"item": "lines.1.sku"}}, {"lines": [{"sku": "x"}, {"sku": "y"}]}, [{"item": "y"}]),
        ({"row": {"item": "lines.2.sku", "user": "a.b"}}, {"lines": [], "a.b": "u"}, [{"user": "u"}]),
        ({"row": {"item": "{a}-{gone}"}}, {"a": 1}, [{}]),
        ({"when": {"type": "buy"}}, {"type": "view"}, []),
        ({"each": "lines"}, {}, []),
        ({"each": "lines"}, {"lines": {"a": 1}}, [{"a": 1}]),
        ({"each": ""}, [{"a": 1}, 3], [{"a": 1}, {}]),
        ({"row": {"kind": "k"}, "rename": {"kind": {"atc": "cart"}}}, {"k": "atc"}, [{"kind": "cart"}]),
        ({"row": {"kind": "k"}, "rename": {"kind": {"atc": "cart"}}}, {"k": "buy"}, [{"kind": "buy"}]),
    ],
)
def test_paths_conditions_and_other_words(spec: dict[str, Any], document: Any, rows: list[dict[str, Any]]) -> None:
    assert list(RowMap.parse(spec).rows(document)) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "sqlite"', "has the kind 'sqlite'"),
        ('kind = "sql"\nurl = "x"\nquery = "q"', "key 'watermark' is missing"),
        ('kind = "sql"\nurl = "x"\nquery = "q"\nwatermark = "at"\n[row]\nitem = "sku"', "need an event_id"),
        ('kind = "redis"\nurl = "x"\nstream = "q"\ngruop = "g"', "Did you mean 'group'"),
        ("kind", "is not TOML"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_source(tmp_path / "s.toml")
    with pytest.raises(MissingDataError, match="there is no file"):
        read_source(tmp_path / "none.toml")


# SQL.


class Shop:
    """A database of orders somewhere else."""

    def __init__(self, path: Path) -> None:
        self.engine = sa.create_engine(f"sqlite:///{path}")
        self._numbers = itertools.count()
        with self.engine.begin() as c:
            c.exec_driver_sql("CREATE TABLE orders (id INTEGER, customer TEXT, sku TEXT, at TEXT)")

    def sell(self, n: int, at: str) -> None:
        rows = [(i := next(self._numbers), f"u{i % 5}", f"i{i % 29}", at) for _ in range(n)]
        with self.engine.begin() as c:
            c.exec_driver_sql("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)


SQL = """
kind = "sql"
url = "env:TEST_SHOP"
query = "SELECT id, customer, sku, at FROM orders;"
watermark = "at"
batch = 10
[row]
event_id = "order-{id}"
user = "customer"
item = "sku"
time = "at"
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("TEST_SHOP", f"sqlite:///{tmp_path}/orders.db")
    shop = Shop(tmp_path / "orders.db")
    yield shop
    shop.engine.dispose()


def pulled(folder: Path, source: Source) -> Imported:
    sink = TenantSink(folder, Stores(), "orders")
    try:
        return pull(source, "orders", sink)
    finally:
        sink.close()


def test_a_query_is_read_on_from_its_watermark(folder: Path, shop: Shop) -> None:
    source = source_of(folder, SQL)
    shop.sell(25, "2024-01-01 00:00:00")
    shop.sell(5, "2024-01-02 00:00:00")
    assert (pulled(folder, source).new, len(events_of(folder))) == (30, 30)
    shop.sell(3, "2024-01-02 00:00:00")  # as late as the last ones, and still not missed
    shop.sell(4, "2024-01-03 00:00:00")
    told = pulled(folder, source)
    assert (told.rows, told.new, told.known) == (12, 7, 5)
    assert sorted(events_of(folder)) == sorted(f"order-{i}" for i in range(37))


class Breaking(TenantSink):
    """Breaks off at a certain call."""

    def __init__(self, folder: Path, n: int) -> None:
        super().__init__(folder, Stores(), "orders")
        self.left = n

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreError("broken off")

    def take(self, kind: Kind, rows: list[RowRead]) -> Imported:
        self._count()
        told = super().take(kind, rows)
        self._count()  # stored, and nobody knows
        return told

    def keep(self, state: Mapping[str, Any]) -> None:
        self._count()
        super().keep(state)


def broken_off_everywhere(folder: Path, source: Source) -> int:
    """Pull again and again, each time broken off one step later; how often it took."""
    for n in range(60):
        sink = Breaking(folder, n % 12)
        try:
            pull(source, "orders", sink)
            return n
        except StoreError:
            pass
        finally:
            sink.close()
    return -1


def test_breaking_off_anywhere_neither_loses_nor_doubles(folder: Path, shop: Shop) -> None:
    source = source_of(folder, SQL)
    for day in range(1, 5):
        shop.sell(9, f"2024-01-0{day} 00:00:00")
    assert broken_off_everywhere(folder, source) > 3
    assert sorted(events_of(folder)) == sorted(f"order-{i}" for i in range(36))


def test_the_command_pulls_and_says_what_came(folder: Path, shop: Shop) -> None:
    source_of(folder, SQL)
    shop.sell(3, "2024-01-01 00:00:00")
    runner, arguments = CliRunner(), ["pull", str(folder), "--source", str(folder.parent / "source.toml")]
    assert runner.invoke(app, arguments).stdout == "3 rows: 3 new, 0 known, 0 refused\n"
    assert json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)["known"] == 3
    done = runner.invoke(app, [*arguments, "--server", "http://127.0.0.1:1"])
    assert (done.exit_code, "the server does not answer" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"FROM orders", b"FROM nowhere"), "no such table: nowhere"),
        ((b'watermark = "at"', b'watermark = "then"'), "then"),
        ((b"env:TEST_SHOP", b"env:NO_SUCH"), "the variable 'NO_SUCH' is not set"),
        ((b"env:TEST_SHOP", b"shop"), "is no database address"),
        ((b"env:TEST_SHOP", b"oracle://x"), "needs a driver"),
    ],
)
def test_a_query_that_cannot_be_read_says_why(folder: Path, shop: Shop, change: tuple[bytes, bytes], words: str) -> None:
    shop.sell(1, "2024-01-01")
    source = source_of(folder, SQL.encode().replace(*change).decode())
    with pytest.raises(ZhiyinError, match=words):
        pulled(folder, source)


def test_a_late_row_is_found_within_the_overlap(folder: Path, shop: Shop) -> None:
    with shop.engine.begin() as c:
        c.exec_driver_sql("CREATE TABLE seen (id INTEGER, at INTEGER)")
        c.exec_driver_sql("INSERT INTO seen VALUES (1, 100), (2, 200)")
    source = source_of(
        folder, 'kind = "sql"\nurl = "env:TEST_SHOP"\nquery = "SELECT * FROM seen"\nwatermark = "at"\noverlap = 50\n'
        '[row]\nevent_id = "s{id}"\nuser = "=u1"\nitem = "=i1"\n'
    )  # fmt: skip
    assert pulled(folder, source).new == 2
    with shop.engine.begin() as c:
        c.exec_driver_sql("INSERT INTO seen VALUES (3, 160), (4, 140)")
    assert pulled(folder, source).new == 1
    assert sorted(events_of(folder)) == ["s1", "s2", "s3"]


def test_times_of_a_real_postgresql_are_watermarks_with_overlap(folder: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SHOP", postgresql)
    source = source_of(folder, SQL.replace("batch = 10", "overlap = 3600"))
    engine = sa.create_engine(postgresql.replace("postgresql:", "postgresql+psycopg:"))
    insert = "INSERT INTO orders SELECT n, 'u' || n %% 5, 'i' || n %% 29, timestamptz '{}' FROM generate_series({}, {}) n"
    with engine.begin() as c:
        c.exec_driver_sql("CREATE TABLE orders (id int, customer text, sku text, at timestamptz)")
        c.exec_driver_sql(insert.format("2024-01-01 10:00+08", 1, 5_000))
    assert pulled(folder, source).new == 5_000
    with engine.begin() as c:
        c.exec_driver_sql(insert.format("2024-01-01 09:30+08", 5_001, 5_003))  # committed late
        c.exec_driver_sql(insert.format("2024-01-02 09:30+08", 5_004, 5_004))
    told = pulled(folder, source)
    assert (told.new, told.known) == (4, 5_000)
    engine.dispose()
    log = Stores().log(folder, "read")
    assert next(log.read())[1].time_us == 1_704_074_400_000_000
    log.close()


def test_items_come_by_a_query_too_and_into_a_running_server(folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.engine.begin() as c:
        c.exec_driver_sql("CREATE TABLE goods (sku TEXT, name TEXT, changed INTEGER)")
        c.exec_driver_sql("INSERT INTO goods VALUES ('g1', 'first', 1), ('g2', 'second', 2), (NULL, 'none', 3)")
    text = 'kind = "sql"\nurl = "env:TEST_SHOP"\ninto = "items"\nquery = "SELECT * FROM goods"\nwatermark = "changed"\n'
    source = source_of(folder, text + '[row]\nitem_id = "sku"\ntitle = "name"\n')
    with TestClient(open_server([folder], Settings(deadline_ms=5_000))[1]) as client:
        with pytest.raises(ConfigError, match=r"a server writes .* --server"):
            TenantSink(folder, Stores(), "goods")
        monkeypatch.setattr(httpx, "Client", lambda **said: client)
        sink = ServerSink("http://testserver", "shop", None, folder.parent / "goods.state.json")
        told = pull(source, "goods", sink)
        assert (told.new, told.refused, told.reasons[0].row) == (2, 1, 3)
        assert client.get("/v1/shop/items/g2").json()["columns"]["title"] == "second"
        assert pull(source, "goods", sink).rows == 1
        with pytest.raises(StoreError, match="refuses with 404"):
            ServerSink("http://testserver", "other", None, folder.parent / "x").take("items", [RowRead(1, {"item_id": "x"})])


# Redis.


@pytest.fixture
def stream(redis: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Adds entries to the stream that is named after the test."""
    import redis as client

    connection = client.Redis.from_url(redis)
    yield lambda **fields: connection.xadd(request.node.name, fields)
    connection.close()


def redis_toml(redis: str, request: pytest.FixtureRequest, more: str = "") -> str:
    return f'kind = "redis"\nurl = "{redis}"\nstream = "{request.node.name}"\nbatch = 4\n{more}'


def test_entries_of_a_stream_are_each_counted_once(
    folder: Path, redis: str, stream: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    source = source_of(folder, redis_toml(redis, request))
    for i in range(10):
        stream(event_id=f"e{i % 8}", user="u1", item=f"i{i}", value="2.5")
    stream(user="u1")
    told = pulled(folder, source)
    assert (told.new, told.known, told.refused) == (8, 2, 1)
    assert pulled(folder, source).rows == 0
    stream(user="u1", item="i1")  # the id of the entry makes it count once
    assert pulled(folder, source).new == 1
    assert events_of(folder)[-1].startswith(request.node.name)


def test_a_reader_of_a_stream_that_breaks_off_neither_loses_nor_doubles(
    folder: Path, redis: str, stream: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    source = source_of(folder, redis_toml(redis, request, 'json_field = "doc"\n[row]\nuser = "who.id"\nitem = "what"\n'))
    for i in range(30):
        stream(doc=f'{{"who": {{"id": "u{i % 3}"}}, "what": "i{i % 29}"}}')
    stream(doc="{")
    assert broken_off_everywhere(folder, source) > 3
    events = events_of(folder)
    assert len(events) == len(set(events)) == 30


def test_redis_that_is_away_or_holds_something_else(folder: Path, redis: str, request: pytest.FixtureRequest) -> None:
    import redis as client

    with pytest.raises(StoreError, match="Redis does not answer"):
        pulled(folder, source_of(folder, redis_toml("redis://127.0.0.1:1/0", request)))
    with pytest.raises(ConfigError, match="no Redis address"):
        pulled(folder, source_of(folder, redis_toml("http://x", request)))
    with client.Redis.from_url(redis) as connection:
        connection.set(request.node.name, "text")
    with pytest.raises(StoreError, match="Is it a stream"):
        pulled(folder, source_of(folder, redis_toml(redis, request)))


# Kafka: the real client is not here; a double stands in for it.


class Message:
    def __init__(self, offset: int, value: bytes, error: str | None = None) -> None:
        self._parts = (offset, value, error)

    def topic(self) -> str:
        return "clicks"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._parts[0]

    def value(self) -> bytes:
        return self._parts[1]

    def error(self) -> str | None:
        return self._parts[2]


class Consumer:
    """A topic that remembers what was committed."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.at = self.committed = 0
        self.settings: dict[str, Any] = {}

    def __call__(self, settings: dict[str, Any]) -> Consumer:
        self.settings, self.at = settings, self.committed
        return self

    def subscribe(self, topics: list[str]) -> None:
        assert topics == ["clicks"]

    def consume(self, n: int, timeout: float) -> list[Message]:
        some = self.messages[self.at : self.at + n]
        self.at += len(some)
        return some

    def commit(self, *, asynchronous: bool) -> None:
        self.committed = self.at

    def close(self) -> None: ...


def test_messages_are_confirmed_after_they_are_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Consumer([Message(i, f'{{"user": "u1", "item": "i{i}"}}'.encode()) for i in range(9)] + [Message(9, b"{")])
    source = KafkaSource(servers="host:9092", topic="clicks", batch=4, options={"security.protocol": "SSL"})
    monkeypatch.setattr(KafkaSource, "opened", lambda self, name, state: KafkaStream(self, topic))
    assert broken_off_everywhere(folder, source) > 2
    assert topic.committed == 10
    assert topic.settings["enable.auto.commit"] is False and topic.settings["security.protocol"] == "SSL"
    assert events_of(folder) == [f"clicks:0:{i}" for i in range(9)]
    failing = Consumer([Message(0, b"", "broker away")])
    with pytest.raises(StoreError, match="broker away"):
        next(KafkaStream(source, failing).batches(follow=True))


def test_without_the_client_of_kafka_the_command_to_install_it_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    source = source_of(folder, 'kind = "kafka"\nservers = "host:9092"\ntopic = "clicks"\n')
    with pytest.raises(MissingExtraError, match=r"pip install 'zhiyin\[kafka\]'"):
        pulled(folder, source)


# Webhooks.


def test_a_webhook_reads_what_others_say(folder: Path) -> None:
    home = live_folder(folder)
    home.mkdir()
    with TestClient(open_server([folder], Settings(deadline_ms=5_000))[1]) as client:
        assert client.post("/v1/shop/webhook/order", json=ORDER).status_code == 404
        lines = ["[order]", 'each = "line_items"', 'when = { status = "paid" }', "[order.row]"]
        lines += [f'{name} = "{said}"' for name, said in ROW.items() if isinstance(said, str)]
        (home / "webhooks.toml").write_text("\n".join(lines) + '\n[click.row]\nuser = "u"\nitem = "i"\n[order.ro')
        assert "webhooks.toml' is not TOML" in client.post("/v1/shop/webhook/order", json=ORDER).json()["detail"]
        (home / "webhooks.toml").write_text("\n".join(lines) + '\n[click.row]\nuser = "u"\nitem = "i"\n')
        assert client.post("/v1/shop/webhook/order", json=ORDER).json()["new"] == 2
        assert client.post("/v1/shop/webhook/order", json=ORDER).json()["known"] == 2
        assert client.post("/v1/shop/webhook/order", json={**ORDER, "status": "open"}).json()["rows"] == 0
        for document, new in (({"u": "a", "i": "i1"}, 1), ({"i": "i1", "u": "a"}, 0), ({"u": "a", "i": "i2"}, 1)):
            assert client.post("/v1/shop/webhook/click", json=document).json()["new"] == new
        given = client.post("/v1/shop/webhook/click", json={"u": "a"})
        assert given.status_code == 422 and "nothing of it fits" in given.json()["detail"]
        assert "Did you mean 'order'" in client.post("/v1/shop/webhook/ordre", json={}).json()["hint"]
