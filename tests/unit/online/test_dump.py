"""Everything as one file and back: the same answers, nothing half-done, nothing strange taken in."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import ConfigError, DataError, ModelFileError, StoreError, ZhiyinError
from zhiyin.cli.app import app
from zhiyin.data.record import EventRecord
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.online.bundles import Bundles, Entry, version_of
from zhiyin.online.dump import dumped
from zhiyin.online.masked import masked
from zhiyin.online.restore import restore
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.online.upgrade import upgrade
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.access import Keys
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.store.bundle import read_bundle, write_bundle
from zhiyin.testing.small import small_world

SETTINGS = Settings(deadline_ms=5_000)
RUN = Run(report=silent)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    data = small_world("time")
    return Recommender(spec_of("transitions").fit(data, RUN), spec_of("popular").fit(data, RUN), data)


@pytest.fixture
def folder(recommender: Recommender, tmp_path: Path) -> Path:
    return recommender.save(tmp_path / "one" / "shop")


def client_of(folder: Path) -> TestClient:
    return TestClient(open_server([folder], SETTINGS)[1])


def told(client: TestClient) -> list[Any]:
    """What people are told, and what is counted."""
    headers = client.headers
    lists = [client.post("/v1/shop/recommend", json={"user": f"u{u}", "n": 8}).json() for u in range(10)]
    return [
        [{name: answer[name] for name in ("items", "served_by", "model", "notes")} for answer in lists],
        client.get("/v1/shop/health/ready", headers=headers).json(),
        client.get("/v1/shop/items", params={"n": 100}).json(),
        client.get("/v1/shop/users").json(),
        client.get("/v1/shop/relations").json(),
    ]


def lived(client: TestClient) -> None:
    """A little of everything."""
    client.post("/v1/shop/events", json=[{"event_id": f"e{i}", "user": f"u{i % 7}", "item": f"i{i % 29}"} for i in range(200)])
    client.put("/v1/shop/items/fresh", json={"title": "fresh 新"})
    client.delete("/v1/shop/items/i4")
    client.put("/v1/shop/users/u1", json={"town": "east"})
    client.put("/v1/shop/users/u2/consent", json={"personalize": False})
    client.put("/v1/shop/relations/u1/follows/u2", json={"since": 3})
    client.post("/v1/shop/users/u5/erase")


def test_a_restored_tenant_says_the_same(folder: Path, tmp_path: Path) -> None:
    home = live_folder(folder)
    home.mkdir()
    (home / "rules.toml").write_text('[pin.top]\nitem = "i7"\nposition = 1\n')
    with client_of(folder) as client:
        lived(client)
    with client_of(folder) as client:
        before = told(client)
        shown = client.post("/v1/shop/recommend", json={"user": "u1"}).json()
        archive = client.post("/v1/shop/dump")
        assert archive.headers["content-type"] == "application/zip"
        assert client.post("/v1/shop/dump").content == archive.content
    (tmp_path / "shop.zip").write_bytes(archive.content)
    other = tmp_path / "two" / "shop"
    other.parent.mkdir()
    found = restore(tmp_path / "shop.zip", other, Stores())
    assert (found.tenant, found.events, found.model) == ("shop", 172, version_of(folder))
    with client_of(other) as client:
        assert told(client) == before
        assert client.get(f"/v1/shop/replay/{shown['trace']}").json()["items"] == shown["items"]
    assert (live_folder(other) / "rules.toml").read_bytes() == (home / "rules.toml").read_bytes()
    assert sorted(p.name for p in other.parent.iterdir()) == ["shop", "shop.live"]


def test_a_dump_under_writes_is_one_state(folder: Path, tmp_path: Path) -> None:
    """Whatever is in it was there together: of two rows written one after the other never only the second."""
    with client_of(folder) as client:
        done = threading.Event()
        log, tables, bundles = Stores().log(folder, "read"), Stores().tables(folder), Bundles(folder, live_folder(folder))
        client.post("/v1/shop/event", json={"event_id": "first", "user": "u1", "item": "i1"})

        def write() -> None:
            n = 0
            while not done.is_set():
                n += 1
                client.put("/v1/shop/users", json=[{"id": "a", "columns": {"n": n}}, {"id": "b", "columns": {"n": n}}])
                client.post("/v1/shop/event", json={"event_id": f"w{n}", "user": "u1", "item": f"i{n % 29}"})

        writing = threading.Thread(target=write)
        writing.start()
        archives = [b"".join(dumped(bundles, Stores().log(folder, "read"), tables)) for _ in range(5)]
        done.set()
        writing.join()
        log.close()
        tables.close()
    for i, archive in enumerate(archives):
        (tmp_path / f"{i}.zip").write_bytes(archive)
        other = tmp_path / str(i) / "shop"
        other.parent.mkdir()
        found = restore(tmp_path / f"{i}.zip", other, Stores())
        events = [record.event_id for _, record in Stores().log(other, "read").read()]
        assert events == ["first", *(f"w{n}" for n in range(1, len(events)))]
        assert found.events == len(events)
        rows = Stores().tables(other, "read").get("users", ["a", "b"])
        assert not rows or rows["a"].body == rows["b"].body


def test_bundles_go_on_where_they_were_trained(recommender: Recommender, folder: Path, tmp_path: Path) -> None:
    """After events were erased the positions differ in a new log, and what a model was trained with does not count twice."""
    home = live_folder(folder)
    log, tables = Stores().log(folder), Stores().tables(folder)
    log.append([EventRecord(event_id=f"e{i}", user=f"p{i % 5}", item="i1", time_us=i + 1) for i in range(50)])
    tables.put("items", {"x": {"title": "x"}})
    since = tables.version()
    tables.put("items", {"y": {"title": "y"}})
    tables.delete("items", ["x"])
    path = recommender.save(home / "bundles" / "newer")
    bundles = Bundles(folder, home)
    bundles.promote(Entry("newer", version_of(path), after=30, since=since))
    log.erase(users=["p0"])
    left = [record for _, record in log.read(30)]
    changed = [change[:2] for change in tables.changes(since)]
    archive = b"".join(dumped(bundles, log, tables))
    log.close()
    tables.close()
    (tmp_path / "d.zip").write_bytes(archive)
    other = tmp_path / "other"
    restore(tmp_path / "d.zip", other, Stores(f"sqlite:///{tmp_path}/restored.db"))
    stores = Stores(f"sqlite:///{tmp_path}/restored.db")
    served = Bundles(other, live_folder(other)).served
    assert served.name == "newer" and served.after < 30
    assert [record for _, record in stores.log(other).read(served.after)] == left
    assert [change[:2] for change in stores.tables(other).changes(served.since)] == changed
    with pytest.raises(ConfigError, match="holds events or rows already"):
        restore(tmp_path / "d.zip", tmp_path / "third", stores)
    assert not (tmp_path / "third").exists()


def remade(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The archive with other content."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        files = {name: old.read(name) for name in old.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    return out.getvalue()


def manifest(**said: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **said}).encode()

    return change


def strange(files: dict[str, bytes]) -> None:
    files["bundles/origin/../../x"] = b""
    told = json.loads(files["manifest.json"])
    told["files"]["bundles/origin/../../x"] = {"sha256": "", "size": 0}
    files["manifest.json"] = json.dumps(told).encode()


@pytest.fixture(scope="module")
def archive(recommender: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    folder = recommender.save(tmp_path_factory.mktemp("archive") / "shop")
    with client_of(folder) as client:
        lived(client)
        yield client.post("/v1/shop/dump").content


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        (lambda a: a[: len(a) // 2], DataError, "is no whole dump"),
        (lambda a: b"hello", DataError, "is no whole dump"),
        (lambda a: a.replace(b"events.jsonl", b"events.jsonX", 1), DataError, "is no whole dump"),
        (lambda a: remade(a, lambda f: f.update({"events.jsonl": f["events.jsonl"][:-5]})), DataError, "'events.jsonl' in .* cut off"),
        (lambda a: remade(a, lambda f: f.update({"tables.jsonl": f["tables.jsonl"][::-1]})), DataError, "its sha256 does not match"),
        (lambda a: remade(a, lambda f: f.pop("bundles/origin/manifest.json") and None), DataError, "is missing or cut off"),
        (lambda a: remade(a, lambda f: f.pop("manifest.json") and None), DataError, "it has no manifest.json"),
        (lambda a: remade(a, manifest(format="zip")), DataError, "of another kind"),
        (lambda a: remade(a, manifest(version=2, zhiyin="9.0")), ModelFileError, "written by zhiyin 9.0"),
        (lambda a: remade(a, manifest(files={})), DataError, "misses a part"),
        (lambda a: remade(a, strange), DataError, "names a file no dump has"),
    ],
)
def test_a_dump_that_is_not_whole_makes_nothing(
    archive: bytes, tmp_path: Path, broken: Callable[[bytes], bytes], kind: type[ZhiyinError], words: str
) -> None:
    (tmp_path / "d.zip").write_bytes(broken(archive))
    with pytest.raises(kind, match=words):
        restore(tmp_path / "d.zip", tmp_path / "shop", Stores())
    assert [p.name for p in tmp_path.iterdir()] == ["d.zip"]


def test_nothing_is_overwritten_and_keys_come_back_hashed(folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    secret = Keys(live_folder(folder)).make("web", ["read"], 1)
    runner = CliRunner()
    file = tmp_path / "shop.zip"
    done = runner.invoke(app, ["dump", str(folder), "--out", str(file), "--json"])
    assert done.exit_code == 0 and len(json.loads(done.stdout)["sha256"]) == 64
    assert secret.encode() not in file.read_bytes()
    again = runner.invoke(app, ["dump", str(folder), "--out", str(file)])
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    taken = runner.invoke(app, ["restore", str(file), str(folder)])
    assert (taken.exit_code, "is there already" in taken.stderr) == (2, True)
    done = runner.invoke(app, ["restore", str(file), str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    caller = Keys(live_folder(tmp_path / "new")).caller(secret, 2)
    assert caller is not None and caller.name == "web"
    assert runner.invoke(app, ["restore", str(tmp_path / "none"), str(tmp_path / "x")]).exit_code == 2


def test_upgrading_brings_old_models_on_and_refuses_newer_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert upgrade(folder, Stores()) == []
    bundle = read_bundle(folder)
    with monkeypatch.context() as older:
        older.setattr("zhiyin.store.bundle.FORMAT_VERSION", 0)
        slashed = {name.replace(".", "/"): array for name, array in bundle.arrays.items()}
        write_bundle(folder, type(bundle)(bundle.meta, slashed, bundle.tables))
    old = version_of(folder)
    home = live_folder(folder)
    tables = Stores().tables(folder)
    tables.put("masked", {"3": {"bundle": old}})
    bundles = Bundles(folder, home)
    bundles.promote(Entry("origin", old, after=0))
    before = Recommender.load(folder).recommend("u1").ids
    assert upgrade(folder, Stores()) == ["model 'origin': format 0 -> 1"]
    assert upgrade(folder, Stores()) == []
    assert bundles.served.version == version_of(folder) != old
    assert masked(tables, version_of(folder)) == [3]
    assert Recommender.load(folder).recommend("u1").ids == before
    tables.close()
    (home / "events").mkdir()
    (home / "events" / f"{1:020d}.log").write_bytes(b"\xffZ\xfe3 a later format")
    with pytest.raises(StoreError, match="newer zhiyin"):
        upgrade(folder, Stores())
