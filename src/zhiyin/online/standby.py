"""What is served when the model cannot be: an older bundle, or a standby of popular items written while all was well.

    shop.live/standby/        a bundle like any other: the thousand most popular items with all their columns, nobody's events
    shop.live/standby.json    the model it was taken from, and what of log and tables that one knew

The standby names no person, so nothing in it has to be erased.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from zhiyin.base.errors import ModelFileError, ZhiyinError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.roles import State
from zhiyin.online.bundles import Bundles, Entry
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.disk import Disk

STANDBY = "standby"
"""The folder in FOLDER.live, and the version that answers and health tell."""


@dataclass(frozen=True)
class Chosen:
    """What is served. Where it is not what should be, ``instead`` says so without places of the machine, ``trouble`` with them."""

    recommender: Recommender
    entry: Entry
    instead: str = ""
    trouble: str = ""

    @property
    def standby(self) -> bool:
        """Whether only some items, and none of the people, are known."""
        return self.entry.name == STANDBY


def choose(bundles: Bundles, masked: Callable[[], Collection[str]]) -> Chosen:
    """The bundle that is to be served; where it is missing or damaged, the newest older one that is whole, else the standby.

    ``masked`` gives the versions of the bundles from which people were erased. An older bundle may still hold what they
    did, and is passed over then. Raises ``ModelFileError`` where nothing can be served.
    """
    try:
        served = bundles.served
        return Chosen(Recommender.load(bundles.path(served)), served)
    except Exception as error:  # a file may be damaged in any way
        first = (
            error if isinstance(error, ZhiyinError) else ModelFileError(f"the model of '{bundles.folder}' fails: {type(error).__name__}")
        )
    older = bundles.before()
    for at, entry in enumerate(older):
        try:
            if not {one.version for one in older[at:]}.issuperset(masked()):
                continue
            recommender = Recommender.load(bundles.path(entry))
        except Exception:  # the first error is the one to mend
            continue
        return Chosen(
            recommender, entry, "the model cannot be read, and the one before it answers", _trouble(first, f"model '{entry.name}'")
        )
    try:
        recommender, entry = load_standby(bundles.home)
    except Exception:
        raise first from None
    return Chosen(recommender, entry, "the model cannot be read, and popular items answer", _trouble(first, "a standby of popular items"))


def _trouble(error: ZhiyinError, instead: str) -> str:
    return (
        f"{error.message}: {instead} is served instead. Put the model back, train anew or zhiyin rollback; the server goes over by itself."
    )


def keep_standby(home: Path, snapshot: Snapshot, entry: Entry) -> None:
    """Write the standby of what is served, unless another process is at it; ``entry`` says what log and tables it knows."""
    lock = Disk().lock(home / f"{STANDBY}.lock")
    try:
        if not lock.take(wait=False):
            return
        few(snapshot).save(home / STANDBY, search=False)  # the few are read quickly, by whom it may concern
        # After the bundle: one that is newer than its file learns some changes twice, and none is left out.
        fresh = home / f"{STANDBY}.json.new"
        Disk().write_new(fresh, msgspec.json.encode(msgspec.structs.replace(entry, name=STANDBY, version=STANDBY)))
        Disk().rename(fresh, home / f"{STANDBY}.json")
    finally:
        lock.close()


def load_standby(home: Path) -> tuple[Recommender, Entry]:
    """The standby; raises ``ModelFileError`` where there is none that is whole."""
    recommender = Recommender.load(home / STANDBY)
    try:
        entry = msgspec.json.decode((home / f"{STANDBY}.json").read_bytes(), type=Entry)
    except (OSError, msgspec.DecodeError):
        entry = Entry(STANDBY, STANDBY)  # all of log and tables: slower, and right
    return recommender, entry


def few(snapshot: Snapshot) -> Recommender:
    """The most popular items alone, with their columns and in their order: no people, no events, no vectors."""
    rows = snapshot.popular
    catalog = snapshot.catalog
    kept = Catalog(Vocabulary(catalog.items.names(rows)), catalog.table[rows.tolist()], catalog.title_column)
    data = snapshot.recommender.data
    nobody = np.zeros(0, np.int32)
    small = Dataset(data.manifest, Vocabulary([]), kept, Events.of(nobody, nobody, nobody.astype(np.int64)), data.kinds)
    counts = np.arange(len(rows), 0, -1).astype(np.float32)
    state = State({"counts": counts, "by_segment": np.zeros((0, len(rows)), np.float32), "segment_of_user": nobody})
    popular = PopularSpec().restore(state, kept)
    return Recommender(popular, popular, small)
