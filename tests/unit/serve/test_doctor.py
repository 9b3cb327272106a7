"""What the doctor finds in folders that are well and in folders that were hurt, and what he says of a person."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from zhiyin.base.errors import MissingDataError
from zhiyin.cli.app import app
from zhiyin.data.record import EventRecord
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.access import Keys
from zhiyin.serve.doctor import Checkup, Patient, examine
from zhiyin.serve.listen import bound, prepared
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.serve.why import explain
from zhiyin.testing.servers import free_port
from zhiyin.testing.small import small_world

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    data = small_world("time")
    kinds = pl.Series("kind", ["odd" if i % 2 else "even" for i in range(len(data.catalog))])
    said = {**data.manifest.model_dump(mode="json", exclude_none=True), "items": {"columns": {"kind": "category"}}}
    data = replace(data, manifest=data.manifest.parse(said), catalog=replace(data.catalog, table=data.catalog.table.with_columns(kinds)))
    run = Run(report=silent)
    return Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)


@pytest.fixture
def folder(recommender: Recommender, tmp_path: Path) -> Path:
    """Served once, with an event, an item, a key."""
    folder = recommender.save(tmp_path / "shop")
    with TestClient(open_server([folder], Settings(deadline_ms=5_000))[1]) as client:
        client.post("/v1/shop/events", json=[{"event_id": f"e{i}", "user": "u1", "item": f"i{i}"} for i in range(3)])
        client.put("/v1/shop/items/fresh", json={"title": "fresh"})
    Keys(live_folder(folder)).make("admin", ["admin"], 1)
    live_folder(folder).chmod(0o700)
    return folder


def examined(folder: Path, **said: Any) -> Checkup:
    return examine(Patient(folder, Stores(), Settings(port=free_port()), **said))


def test_a_folder_that_is_well(folder: Path) -> None:
    found = examined(folder)
    assert [f.sentence for f in found.findings if f.severity != "info"] == []
    assert found.well
    assert found.facts["events stored"] == "3, 3 since the model was trained"
    assert found.facts["rows"] == ["1 items"]
    assert found.facts["keys"] == ["admin (admin)"]
    assert "transitions" in found.facts["model"] and "none at" in found.facts["server"]
    assert folder.name in found.to_text()
    with pytest.raises(MissingDataError, match="there is no folder"):
        examined(folder / "none")


def model_cut(folder: Path) -> None:
    path = folder / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def log_hurt(folder: Path) -> None:
    path = next((live_folder(folder) / "events").glob("*.log"))
    content = bytearray(path.read_bytes())
    content[30:60] = bytes(30)
    path.write_bytes(bytes(content))


def tables_hurt(folder: Path) -> None:
    path = live_folder(folder) / "tables.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(bytes(content))


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (live_folder(folder) / name).write_text(text) and None


def keys_open(folder: Path) -> None:
    (live_folder(folder) / "keys.json").chmod(0o644)


def keys_gone(folder: Path) -> None:
    Keys(live_folder(folder)).revoke("admin")


def readable(folder: Path) -> None:
    live_folder(folder).chmod(0o755)
    (live_folder(folder) / "tables.sqlite").chmod(0o644)


def erased(folder: Path) -> None:
    tables = Stores().tables(folder)
    tables.put("masked", {"3": {"bundle": json.loads((folder / "manifest.json").read_text())["sha256"][:12]}})
    tables.close()


def unknown_items(folder: Path) -> None:
    log = Stores().log(folder)
    log.append([EventRecord(event_id=f"x{i}", user="u", item=f"gone{i}", time_us=1, received_us=1) for i in range(9)])
    log.append([EventRecord(event_id="later", user="u", item="fresh", time_us=1, received_us=time.time_ns() // 1000 + DAY)])
    log.close()


@pytest.mark.parametrize(
    ("hurt", "severity", "words"),
    [
        (model_cut, "bad", "is truncated"),
        (log_hurt, "bad", "is damaged: "),
        (tables_hurt, "bad", "'tables.sqlite' is damaged"),
        (written("bundles.json", "{"), "bad", "bundles.json' cannot be read"),
        (written("keys.json", "{"), "bad", "the keys in"),
        (written("expectations.toml", '[[never]]\nfilter = "kind = \\"odd\\""\n'), "bad", "such items are shown"),
        (written("expectations.toml", "[[nevr]]\n"), "bad", "nevr"),
        (written("rules.toml", '[pin.top]\nitem = "nothing"\nposition = 1\n'), "bad", "rules.toml, line 1"),
        (written("synonyms.toml", "["), "bad", "synonyms"),
        (written("campaigns.toml", "["), "bad", "'campaigns.toml' is not TOML"),
        (written("webhooks.toml", "x = 3"), "bad", "'x' in webhooks.toml is no table"),
        (written("rulez.toml", ""), "info", "'rulez.toml' is read by nobody"),
        (keys_open, "warn", "keys.json can be read by others"),
        (keys_gone, "bad", "No key works"),
        (readable, "warn", "Others on this machine may read what people did"),
        (erased, "warn", "1 erased person waits for a model"),
        (unknown_items, "warn", "9 events of 13 name items"),
        (unknown_items, "bad", "The clock went back"),
    ],
)
def test_what_is_wrong_is_found_and_the_rest_is_looked_at(folder: Path, hurt: Callable[[Path], None], severity: str, words: str) -> None:
    hurt(folder)
    found = examined(folder)
    matching = [f for f in found.findings if words in f.sentence]
    assert matching and matching[0].severity == severity, found.to_text()
    assert found.well == (severity != "bad" and not any(f.severity == "bad" for f in found.findings))
    assert "disk free" in found.facts


def test_a_full_disk_and_a_wrong_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        total, free = 1 << 40, 1 << 20

    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: Full)
        assert any("1 MiB left" in f.sentence for f in examined(folder).findings)
    assert any("The clock says 1970" in f.sentence for f in examined(folder, now_us=5).findings)


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[Path, str]]:
    """A server over the folder, and its address."""
    settings = Settings(port=0, deadline_ms=5_000)
    server, application = open_server([folder], settings)
    guarded, taken = prepared(server, application, settings), bound(settings)
    thread = threading.Thread(target=guarded.run, kwargs={"sockets": [taken]})
    thread.start()
    yield folder, f"http://127.0.0.1:{taken.getsockname()[1]}"
    guarded.should_exit = True
    thread.join(20)


def test_a_server_that_runs_is_asked(served: tuple[Path, str]) -> None:
    folder, address = served
    key = Keys(live_folder(folder)).make("reader", ["read"], 1)
    assert any("tells no more without a key" in f.sentence for f in examined(folder, server=address).findings)
    found = examined(folder, server=address, key=key)
    assert found.facts["server"] == address
    assert found.facts["answers"] == "0, 0.00% of them without the model"
    assert any("at another address" in f.sentence for f in examined(folder).findings)
    assert [f.severity for f in examined(folder, server="http://127.0.0.1:1").findings][:1] == ["bad"]


def test_a_person_is_explained(folder: Path, recommender: Recommender) -> None:
    home = live_folder(folder)
    (home / "rules.toml").write_text('[pin.top]\nitem = "i7"\nposition = 1\n')
    log, tables = Stores().log(folder), Stores().tables(folder)
    at = time.time_ns() // 1000 - 1000
    log.append([EventRecord(event_id="login", user="u2", session="s", item="i3", time_us=at, received_us=at)])
    tables.put("users", {"u2": {"town": "east"}})
    tables.put("relations", {"u2\x1ffollows\x1fu3": {}})
    tables.put("consent", {"u3": {"personalize": False}})
    log.close()
    tables.close()
    why = explain(folder, Stores(), "u2")
    assert (why.trained_on, why.since) == (len(recommender.data.history(pl.Series([2]).to_numpy()).item_ix), 1)
    assert why.used == why.trained_on + 1
    assert (why.newest[0].item, why.newest[0].trained_on, why.newest[1].trained_on) == ("i3", False, True)
    assert (why.sessions, why.columns, why.relations, why.rules) == (["s"], {"town": "east"}, ["u2 follows u3"], ["pin.top"])
    home_list = why.lists[0]
    assert (home_list.items[0].item, home_list.items[0].reason) == ("i7", "rule")
    assert home_list.served_by.startswith("transitions")
    assert not set(home_list.held_back) & {item.item for item in home_list.items}
    text = why.to_text()
    assert "pinned by rule" in text and "answers read" in text
    assert "wants no personal answers" in explain(folder, Stores(), "u3").known
    assert explain(folder, Stores(), "u3").used == 0
    assert "is unknown" in explain(folder, Stores(), "nobody").known
    assert "a session is named so" in explain(folder, Stores(), "s").known


def test_the_command_says_it_as_text_and_as_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_PORT", str(free_port()))
    runner = CliRunner()
    done = runner.invoke(app, ["doctor", str(folder), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["well"] is True
    assert "does 3" not in done.stdout
    done = runner.invoke(app, ["doctor", str(folder), "--user", "u1", "--json", "--n", "3"])
    assert done.exit_code == 0 and len(json.loads(done.stdout)["lists"][0]["items"]) == 3
    assert "u1: is known to the model" in runner.invoke(app, ["doctor", str(folder), "--user", "u1"]).stdout
    model_cut(folder)
    done = runner.invoke(app, ["doctor", str(folder)])
    assert done.exit_code == 1 and "[BAD]" in done.stdout
