"""Another bundle takes over: nothing is lost, nothing acts twice, and there is a way back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from zhiyin.base.errors import ConfigError, FitError, ModelFileError
from zhiyin.data.dataset import Dataset
from zhiyin.data.record import EventRecord
from zhiyin.data.run import Run, silent
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.registry import spec_of
from zhiyin.online.asks import Ask
from zhiyin.online.bundles import FILE, ORIGIN, Bundles, Entry
from zhiyin.online.expectations import Expectations, broken, read_expectations
from zhiyin.online.grown import grown
from zhiyin.online.retrain import retrain
from zhiyin.online.rights import erase
from zhiyin.online.tenant import Tenant, live_folder
from zhiyin.online.traces import Traces
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.memory_log import MemoryLog
from zhiyin.store.memory_tables import MemoryTables
from zhiyin.store.segment_log import SegmentLog
from zhiyin.store.sql_tables import SqlTables
from zhiyin.testing.small import small_world

RUN = Run(report=silent)


def world(kind: str = "transitions") -> Recommender:
    data = small_world("time")
    return Recommender(spec_of(kind).fit(data, RUN), spec_of("popular").fit(data, RUN), data)


def tenant_of(recommender: Recommender) -> Tenant:
    return Tenant("shop", recommender, MemoryLog(), MemoryTables(), version="one")


def test_going_over_keeps_events_items_and_people() -> None:
    tenant = tenant_of(world())
    tenant.shop.put({"fresh": {"title": "fresh"}})
    tenant.shop.delete(["i4"])
    events = [EventRecord(event_id=str(i), item=item, user="new") for i, item in enumerate(["i1", "fresh", "unborn"])]
    assert tenant.take(events).result() == [True] * 3
    before = tenant.people.history(np.array([tenant.people.find("new")])).item_ix.tolist()
    tenant.go_over(world("popular"), "two", after=0, since=0)
    assert tenant.snapshot.version == "two"
    assert tenant.n_events == 3
    assert tenant.people.history(np.array([tenant.people.find("new")])).item_ix.tolist() == before
    assert tenant.shop.get("fresh")["title"] == "fresh"
    found = tenant.answer_one(Ask(n=40), ())
    assert tenant.snapshot.catalog.items.find("i4") not in found.item_ix
    tenant.shop.put({"unborn": {"title": "here now"}})
    assert len(tenant.people.history(np.array([tenant.people.find("new")])).item_ix) == 3


def test_a_bundle_that_was_trained_with_events_does_not_count_them_twice() -> None:
    tenant = tenant_of(world())
    tenant.take([EventRecord(event_id=str(i), item=f"i{i}", user="u1") for i in range(4)]).result()
    more = grown(tenant.snapshot.recommender.data, tenant.log.read())
    newer = Recommender(spec_of("popular").fit(more.data, RUN), spec_of("popular").fit(more.data, RUN), more.data)
    n_before = len(tenant.people.history(np.array([1])).item_ix)
    tenant.go_over(newer, "two", after=more.after, since=tenant.shop.tables.version())
    assert tenant.n_events == 0
    assert len(tenant.people.history(np.array([1])).item_ix) == n_before


def test_a_session_the_bundle_knows_joins_the_user_who_logs_in() -> None:
    tenant = tenant_of(world())
    tenant.take([EventRecord(event_id=str(i), item=f"i{i}", session="s") for i in range(3)]).result()
    more = grown(tenant.snapshot.recommender.data, tenant.log.read())
    tenant.go_over(replace(world(), data=more.data), "two", after=more.after, since=0)
    assert len(tenant.people.history(np.array([tenant.people.find(None, "s")])).item_ix) == 3
    tenant.take([EventRecord(event_id="login", item="i9", session="s", user="u1")]).result()
    known = tenant.people.base.history(np.array([1])).item_ix.tolist()
    assert sorted(tenant.people.history(np.array([1])).item_ix.tolist()) == sorted([*known, 0, 1, 2, 9])


def test_grown_data_is_what_tables_of_everything_would_give() -> None:
    data = small_world("time")
    at = int(data.events.time_us[-1])
    log = [
        (1, EventRecord(event_id="a", item="i1", user="u3", time_us=at + 5, kind="event")),
        (2, EventRecord(event_id="b", item="i2", session="s", time_us=at + 6, kind="buy")),
        (3, EventRecord(event_id="c", item="nowhere", user="u3", time_us=at + 7)),
        (5, EventRecord(event_id="d", item="i3", session="t", user="new", time_us=at - 5)),
        (6, EventRecord(event_id="e", item="i4", session="t", time_us=at + 9)),
    ]
    more = grown(data, log, masked=[0])
    assert (more.n_new, more.after) == (4, 6)
    assert not (more.data.events.user_ix == 0).any()
    assert more.data.kinds == ("event", "buy")
    assert more.data.users.names(np.arange(data.n_users, more.data.n_users)) == ["session:s", "new"]
    assert more.data.history(np.array([more.data.users.find("new")])).item_ix.tolist() == [3, 4]
    with pytest.raises(FitError, match="events of a server have times"):
        grown(small_world("none"), log)


def test_forward_back_and_a_hand_trained_folder_goes_first(tmp_path: Path) -> None:
    folder = world().save(tmp_path / "shop")
    bundles = Bundles(folder, live_folder(folder))
    origin = bundles.served
    assert (origin.name, origin.after) == (ORIGIN, 0)
    with pytest.raises(ConfigError, match="no older model to go back to"):
        bundles.rollback()
    for i in range(6):
        name = f"b{i}"
        world().save(bundles.home / "bundles" / name)
        bundles.promote(replace_entry(origin, name))
    assert bundles.served.name == "b5"
    assert bundles.rollback().name == bundles.served.name == "b4"
    assert {e.name for e in bundles.entries()} == {ORIGIN, "b3", "b4", "b5"}
    assert {p.name for p in (bundles.home / "bundles").iterdir()} == {"b3", "b4", "b5"}
    world("popular").save(folder)
    assert bundles.served.name == ORIGIN
    (bundles.home / FILE).write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        _ = bundles.served


def replace_entry(entry: Entry, name: str) -> Entry:
    return msgspec.structs.replace(entry, name=name)


def test_who_was_erased_is_read_in_no_bundle_that_one_may_go_back_to(tmp_path: Path) -> None:
    folder = world().save(tmp_path / "shop")
    home = live_folder(folder)
    bundles = Bundles(folder, home)
    newer = world("popular")
    back_to_front = newer.data.users.ids.to_pylist()[::-1]  # the same person has another number there
    users = Vocabulary(back_to_front)
    events = replace(newer.data.events, user_ix=(len(users) - 1 - newer.data.events.user_ix).astype(np.int32))
    newer = replace(newer, data=Dataset(newer.data.manifest, users, newer.data.catalog, events, newer.data.kinds))
    newer.save(home / "bundles" / "b1")
    bundles.promote(Entry("b1", "two"))
    tables = MemoryTables()
    tenant = Tenant("shop", newer, MemoryLog(), tables, version="two")
    user = newer.data.users[3]
    proof = erase(tenant, Traces(None, 1 << 20), user, home)
    assert proof.masked_in_bundle and proof.retrain_due
    assert proof.left[-1].startswith("bundle origin (masked")
    older, entry = Recommender.load(folder), bundles.rollback()
    back = Tenant("shop", older, MemoryLog(), tables, version=entry.version)
    ix = older.data.users.find(user)
    assert ix != newer.data.users.find(user) and back.people.is_masked(ix)
    assert not len(back.people.history(np.array([ix])).item_ix)
    assert len(back.people.history(np.array([newer.data.users.find(user)])).item_ix), "his number there is somebody else's here"


def test_expectations_name_what_is_broken(tmp_path: Path) -> None:
    lines = [
        "[[never]]", 'filter = "title = \\"item 2\\""', "[[golden]]", 'history = ["i1"]', 'any_of = ["i99"]',
        "[[golden]]", 'user = "u1"', 'none_of = ["i99"]',
    ]  # fmt: skip
    (tmp_path / "expectations.toml").write_text("\n".join(lines))
    said = broken(read_expectations(tmp_path), world("popular"))
    assert len(said) == 2
    assert said[0].startswith("never 'title = \"item 2\"': 1 such items are shown, such as 'item 2'")
    assert said[1] == "history of 1: none of i99 within the first 20"
    assert broken(read_expectations(tmp_path / "none"), world()) == []
    assert read_expectations(tmp_path).n == 3
    (tmp_path / "expectations.toml").write_text("[[nevr]]\n")
    with pytest.raises(ConfigError, match="Did you mean 'never'"):
        read_expectations(tmp_path)
    assert Expectations().n == 0


def test_retraining_learns_the_new_promotes_and_is_refused_by_expectations(tmp_path: Path) -> None:
    folder = world().save(tmp_path / "shop")
    home = live_folder(folder)
    with pytest.raises(FitError, match="nothing happened since"):
        retrain(folder, RUN)
    data = small_world("time")
    log, tables = SegmentLog(home / "events"), SqlTables(f"sqlite:///{home / 'tables.sqlite'}")
    at = int(data.events.time_us[-1])
    records = [
        EventRecord(event_id=f"{u}-{i}", item=f"i{(7 * u + i) % 29}", user=f"u{u}", time_us=at + 1000 * (40 * i + u + 1))
        for u in range(40)
        for i in range(8)
    ]
    log.append(records)
    tables.put("items", {"fresh": {"title": "fresh"}})
    log.close()
    tables.close()
    (home / "expectations.toml").write_text('[[golden]]\nuser = "u1"\nany_of = ["i99"]\n')
    refused = retrain(folder, RUN)
    assert not refused.promoted
    assert refused.why[-1] == "expectations are not met: the champion stays"
    (home / "expectations.toml").unlink()
    done = retrain(folder, RUN)
    assert done.promoted
    assert done.n_new == 320
    served = Bundles(folder, home).served
    assert served.after == 320
    back = Recommender.load(Bundles(folder, home).path(served))
    assert len(back.data.events) == len(data.events) + 320
    assert back.catalog.items.find("fresh") >= 0
    assert json.loads((home / FILE).read_text())["served"] == done.name
