"""What is served when the model cannot be: older bundles first, then a standby of popular items; and nobody who was erased."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from zhiyin.base.errors import ModelFileError
from zhiyin.data.record import EventRecord
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.online.answers import Found
from zhiyin.online.asks import Ask
from zhiyin.online.bundles import FILE, ORIGIN, Bundles, Entry
from zhiyin.online.standby import STANDBY, choose, keep_standby, load_standby
from zhiyin.online.tenant import Tenant, live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.memory_log import MemoryLog
from zhiyin.store.memory_tables import MemoryTables
from zhiyin.testing.small import small_world

RUN = Run(report=silent)


@pytest.fixture
def bundles(tmp_path: Path) -> Bundles:
    """A folder trained by hand, a newer bundle, and the standby of that."""
    data = small_world("time")
    recommender = Recommender(spec_of("transitions").fit(data, RUN), spec_of("popular").fit(data, RUN), data)
    folder = recommender.save(tmp_path / "shop")
    bundles = Bundles(folder, live_folder(folder))
    newer = replace(recommender, model=spec_of("ease").fit(data, RUN)).save(bundles.home / "bundles" / "b1")
    bundles.promote(Entry("b1", "of b1", after=3, since=2))
    tenant = Tenant("shop", Recommender.load(newer), MemoryLog(), MemoryTables(), version="of b1")
    keep_standby(bundles.home, tenant.snapshot, bundles.served)
    return bundles


def cut(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 2)


def nobody() -> set[str]:
    return set()


def test_the_newest_whole_bundle_before_it_stands_in(bundles: Bundles) -> None:
    assert choose(bundles, nobody).instead == ""
    cut(bundles.home / "bundles" / "b1")
    chosen = choose(bundles, nobody)
    assert (chosen.entry.name, chosen.standby) == (ORIGIN, False)
    assert "is truncated" in chosen.trouble
    assert "model 'origin' is served" in chosen.trouble
    assert str(bundles.home) not in chosen.instead
    # Somebody was erased since: what he did may stand in the older one.
    assert choose(bundles, lambda: {"of b1"}).standby
    assert choose(bundles, lambda: {bundles.entries()[0].version}).entry.name == ORIGIN


def test_the_standby_answers_alone_and_learns_what_came_since(bundles: Bundles) -> None:
    cut(bundles.home / "bundles" / "b1")
    cut(bundles.folder)
    chosen = choose(bundles, nobody)
    assert chosen.standby
    assert (chosen.entry.after, chosen.entry.since) == (3, 2)
    log = MemoryLog()
    log.append([EventRecord(event_id=str(i), item=f"i{i}", user="u1", time_us=1) for i in range(5)])
    tenant = Tenant("shop", chosen.recommender, log, MemoryTables(), version=STANDBY, after=3)
    tenant.warm()
    assert tenant.n_events == 2
    tenant.shop.put({"fresh": {"title": "fresh"}})
    found = tenant.answer_one(Ask(user="u1", n=30, exclude=["i7"]), ())
    assert isinstance(found, Found)
    names = [tenant.snapshot.ids[ix] for ix in found.item_ix]
    assert len(names) >= 20
    assert not {"i3", "i4", "i7"} & set(names)
    counts = small_world("time").positive.item_counts
    best = [name for name in (f"i{ix}" for ix in (-counts).argsort(kind="stable")) if name in names]
    assert names[:10] == best[:10]


def test_without_its_file_the_standby_learns_everything_again_and_a_damaged_one_is_refused(bundles: Bundles) -> None:
    (bundles.home / f"{STANDBY}.json").write_text("{")
    assert load_standby(bundles.home)[1].after == 0
    cut(bundles.home / STANDBY)
    cut(bundles.home / "bundles" / "b1")
    cut(bundles.folder)
    with pytest.raises(ModelFileError, match=r"model '.*b1' is truncated"):
        choose(bundles, nobody)


def test_a_list_of_bundles_that_is_damaged_leaves_the_folder_trained_by_hand(bundles: Bundles) -> None:
    (bundles.home / FILE).write_text("{")
    chosen = choose(bundles, nobody)
    assert (chosen.entry.name, chosen.entry.after) == (ORIGIN, 0)
    assert "bundles.json' cannot be read" in chosen.trouble
    assert choose(bundles, lambda: {"of b1"}).standby


def test_a_newer_bundle_needs_no_folder_trained_by_hand(bundles: Bundles) -> None:
    bundles.folder.rename(bundles.folder.with_name("elsewhere"))
    before = bundles.stamp()
    assert choose(bundles, nobody).entry.name == "b1"
    bundles.folder.with_name("elsewhere").rename(bundles.folder)
    assert bundles.stamp() != before
