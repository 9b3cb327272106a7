"""Which bundle a tenant serves: the folder that was trained by hand, or a newer one made from what happened since.

    shop.live/bundles.json              what is served, and what was before it
    shop.live/bundles/20261122-101500/  a recommender, written by a retraining

Going forward and going back are one rename of a small file; bundles are never changed, and the oldest are removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import msgspec

from zhiyin.base.errors import ConfigError, ModelFileError
from zhiyin.store.bundle import MANIFEST

FILE = "bundles.json"
ORIGIN = "origin"
KEPT = 3


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bundle: where it stands, and up to which position of the log and version of the tables it was trained."""

    name: str
    version: str
    after: int = 0
    since: int = 0
    made_us: int = 0
    note: str = ""


class State(msgspec.Struct, frozen=True):
    """What the file says."""

    served: str
    entries: list[Entry]


class Bundles:
    """``folder`` is what was trained by hand, ``home`` where the server writes."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    @property
    def served(self) -> Entry:
        """What is to be served. A folder that was trained by hand since then goes before everything older."""
        state = self.read()
        return next(entry for entry in state.entries if entry.name == state.served)

    def path(self, entry: Entry) -> Path:
        return self.folder if entry.name == ORIGIN else self.home / "bundles" / entry.name

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        return self.read().entries

    def before(self) -> list[Entry]:
        """Those that may stand in for the served one, newest first: what somebody went back from is not among them."""
        try:
            state = self.read()
        except ModelFileError:
            # Of a folder that was trained by hand it is known that nothing of the log is in it; of others it is not.
            with contextlib.suppress(ModelFileError):
                return [Entry(ORIGIN, version_of(self.folder))]
            return []
        return state.entries[: [entry.name for entry in state.entries].index(state.served)][::-1]

    def stamp(self) -> tuple[object, ...]:
        """Changes whenever what is served may have changed, or was put right: cheap enough to ask every second."""
        seen: list[object] = []
        for path in (self.home / FILE, *self.folder.glob("*"), *(self.home / "bundles").glob("*/*")):
            with contextlib.suppress(OSError):
                told = path.stat()
                seen.append((str(path), told.st_mtime_ns, told.st_size, told.st_ino))
        return tuple(seen)

    def promote(self, entry: Entry) -> None:
        """Serve a bundle that lies ready in its folder from now on; older ones beyond a few are removed."""
        state = self.read()
        entries = [e for e in state.entries if e.name != entry.name] + [entry]
        keep = {ORIGIN, entry.name, state.served, *(e.name for e in entries[-KEPT:])}
        for old in [e for e in entries if e.name not in keep]:
            shutil.rmtree(self.path(old), ignore_errors=True)
        self.write(State(entry.name, [e for e in entries if e.name in keep]))

    def rollback(self) -> Entry:
        """Serve the bundle before the present one; raises ``ConfigError`` where there is none."""
        state = self.read()
        names = [e.name for e in state.entries]
        at = names.index(state.served)
        if at == 0:
            raise ConfigError("there is no older model to go back to", f"Known: {', '.join(names)}.")
        self.write(State(names[at - 1], state.entries))
        return state.entries[at - 1]

    def read(self) -> State:
        """What is served and what was before it. Raises ``ModelFileError`` where the file is damaged, or nothing is there."""
        path = self.home / FILE
        if not path.is_file():
            return State(ORIGIN, [Entry(ORIGIN, version_of(self.folder))])
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
        except (msgspec.DecodeError, OSError):
            raise ModelFileError(f"'{path}' cannot be read", "Delete it to serve the folder that was trained by hand.") from None
        try:
            version = version_of(self.folder)
        except ModelFileError:
            return state  # newer bundles stand for themselves
        origin = next((e for e in state.entries if e.name == ORIGIN), None)
        if origin is None or origin.version != version:
            # Somebody ran zhiyin train again: that is the newest decision.
            return State(ORIGIN, [*(e for e in state.entries if e.name != ORIGIN), Entry(ORIGIN, version)])
        return state

    def write(self, state: State) -> None:
        """Replace the file, whole or not at all."""
        self.home.mkdir(parents=True, exist_ok=True)
        fresh = self.home / f"{FILE}.new"
        with fresh.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state), indent=1))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.home / FILE)


def version_of(folder: Path) -> str:
    """12 hex digits that name a bundle: those of the digest in its manifest."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return str(said["sha256"])[:12]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelFileError(
            f"'{folder}' is not a model folder, or its {MANIFEST} is damaged", "Give a folder that zhiyin train wrote."
        ) from None
