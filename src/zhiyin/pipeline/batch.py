"""Lists for everybody into one Parquet file, in bounded memory; an interrupted job goes on where it stopped.

    lists.parquet.parts/
      manifest.json         what was asked, of which model: a job with another question does not go on here
      part-00000.parquet    the lists of the first ``part_users`` people, renamed into place when whole

The parts become one file at the end, so an interrupted job writes the very bytes of one that was not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import ConfigError, ModelFileError
from zhiyin.data.run import Report, silent
from zhiyin.data.schema import Repeat
from zhiyin.pipeline.asking import Time
from zhiyin.pipeline.recommender import Recommender

FORMAT = 1
MANIFEST = "manifest.json"
PART_USERS = 10_000
SCHEMA = pa.schema([("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string()), ("score", pa.float32())])


@dataclass(frozen=True)
class Batch:
    """Everybody's list at one placement. ``n``, ``now``, ``repeat`` as in ``Recommender.recommend``; one ``context`` for all.

    ``write`` takes the memory of the recommender and of one part: ``part_users`` lists.
    """

    recommender: Recommender
    placement: str = "home"
    n: int | None = None
    now: Time | None = None
    repeat: Repeat | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    part_users: int = PART_USERS

    @property
    def n_parts(self) -> int:
        return -(-self.recommender.data.n_users // self.part_users)

    def write(self, out: str | Path, report: Report = silent) -> int:
        """Write ``out`` (columns user_id, rank, item_id, score; people in the order of the data); gives its rows.

        Raises ``ConfigError`` where another job left its parts beside ``out``, where nobody is there to recommend to,
        and for a file that is not named as Parquet.
        """
        target, n_users = Path(out), self.recommender.data.n_users
        if not n_users:
            raise ConfigError("this model knows no users, so there is nobody to write lists for", "Train it on data with users.")
        if target.is_dir():
            raise ConfigError(f"'{out}' is a folder", "Name the file to write.")
        if target.suffix != ".parquet":
            raise ConfigError(f"lists are written as Parquet, and '{out}' is named otherwise", f"Name it {target.stem}.parquet.")
        if self.part_users < 1:
            raise ConfigError(f"part_users = {self.part_users} makes no part", "Say 1 or more.")
        folder = parts_folder(target)
        self._open(folder, self.question())
        for number in range(self.n_parts):
            path = folder / f"part-{number:05d}.parquet"
            if not _whole(path):
                first = number * self.part_users
                self._write_part(path, np.arange(first, min(first + self.part_users, n_users), dtype=np.int32))
            done = min((number + 1) * self.part_users, n_users)
            report({"stage": "lists", "step": done, "of": n_users, "note": f"{done:,} of {n_users:,} users"})
        n_rows = _joined(target, [folder / f"part-{number:05d}.parquet" for number in range(self.n_parts)])
        shutil.rmtree(folder)
        return n_rows

    def question(self) -> dict[str, Any]:
        """What decides the lists, JSON-able: equal questions may go on with each other's parts.

        Raises ``UnknownNameError`` for a placement or context nobody defined, ``ConfigError`` for one that needs words or items.
        """
        self.recommender.asker.same_context(self.context, 1)
        shelves, at = self.recommender.shelves, self.recommender.asker.at(self.now)
        standing = shelves.find(self.placement) if self.placement != "home" or shelves.has("home") else None
        if standing is not None and (standing.about == "words" or shelves.needs_items(standing)):
            answers = "words" if standing.about == "words" else "given items"
            raise ConfigError(
                f"placement '{standing.name}' answers {answers}, and lists for everybody have none", "Name another placement."
            )
        return {
            "format": FORMAT,
            "model": fingerprint(self.recommender),
            "placement": standing.digest() if standing is not None else self.placement,
            "n": self.n,
            "now_us": at,
            "repeat": str(self.repeat) if self.repeat is not None else None,
            "context": {name: str(value) for name, value in sorted(self.context.items())},
            "part_users": self.part_users,
        }

    def _open(self, folder: Path, question: dict[str, Any]) -> None:
        """Begin the folder of parts, or make sure that it belongs to this question."""
        manifest = folder / MANIFEST
        if not manifest.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            # What is in there goes when the file is whole: nothing of anybody else's may be.
            if any(path.suffix != ".writing" for path in folder.iterdir()):
                raise ConfigError(f"'{folder}' holds other files", "Name another file to write: the lists are made in that folder.")
            _renamed(manifest, json.dumps(question, indent=1).encode())
            return
        try:
            begun = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError:
            raise ModelFileError(f"'{manifest}' is damaged", "Delete the folder to begin anew.") from None
        other = [key for key, value in question.items() if not isinstance(begun, dict) or begun.get(key) != value]
        if other:
            raise ConfigError(
                f"'{folder}' holds the parts of another job: its {' and '.join(other)} differ{'s' if len(other) == 1 else ''}",
                "Delete the folder to begin anew, or ask as before.",
            )

    def _write_part(self, path: Path, users: Any) -> None:
        data = self.recommender.data
        slates = self.recommender.lists(users, self.n, self.now, self.placement, self.repeat, self.context)
        rows = slates.items.rows
        rank = np.arange(len(rows), dtype=np.int32) - np.repeat(slates.offsets[:-1], slates.lengths).astype(np.int32) + 1
        columns = [data.users.ids.take(pa.array(users[rows])), rank, data.catalog.items.ids.take(pa.array(slates.item_ix)), slates.score]
        fresh = path.with_suffix(".writing")
        pq.write_table(pa.table(columns, schema=SCHEMA), fresh, compression="zstd")
        fresh.replace(path)


def parts_folder(out: Path) -> Path:
    """Where the parts of a file lie until it is whole."""
    return out.with_name(out.name + ".parts")


def kept(out: Path) -> str:
    """What an interrupted job left behind, in one sentence."""
    n_parts = len(list(parts_folder(out).glob("part-*.parquet")))
    return f"{n_parts} finished parts are in {parts_folder(out)}; the same command goes on from there."


def fingerprint(recommender: Recommender) -> str:
    """16 hex digits of what the recommender knows: models, events, items, users."""
    events, data = recommender.data.events, recommender.data
    models = {"model": recommender.model, "fallback": recommender.fallback, **recommender.placed.models}
    states = {name: model.state() for name, model in models.items()}
    return digest_json(
        {
            "specs": {name: model.spec.described() for name, model in models.items()},
            "states": {name: digest_arrays(*(s.arrays[key] for key in sorted(s.arrays))) for name, s in states.items()},
            "meta": {name: digest_json(json.loads(json.dumps(dict(s.meta), default=str))) for name, s in states.items()},
            "events": digest_arrays(events.user_ix, events.item_ix, events.time_us, events.kind_ix, events.weight),
            "available": None if data.catalog.available is None else digest_arrays(data.catalog.available),
            "size": [data.n_users, data.n_items],
            "ids": [data.users[0], data.users[data.n_users - 1]] if data.n_users else [],
        }
    )


def _whole(path: Path) -> bool:
    """True for a part that was written to its end."""
    if not path.is_file():
        return False
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    return True


def _joined(target: Path, parts: list[Path]) -> int:
    """All parts in order as one file, one row group for each; gives its rows."""
    fresh, n_rows = target.with_name(target.name + ".writing"), 0
    with pq.ParquetWriter(fresh, SCHEMA, compression="zstd") as writer:
        for table in _tables(parts):
            writer.write_table(table)
            n_rows += table.num_rows
    fresh.replace(target)
    return n_rows


def _tables(parts: list[Path]) -> Iterator[pa.Table]:
    for path in parts:
        yield pq.read_table(path, schema=SCHEMA, partitioning=None)


def _renamed(path: Path, content: bytes) -> None:
    """A whole file or none."""
    fresh = path.with_suffix(".writing")
    fresh.write_bytes(content)
    fresh.replace(path)
