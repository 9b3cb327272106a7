"""What a good engineer writes in a day: the server that zhiyin is compared with. Frozen: change it and every ratio starts anew.

    python bench/serve_baseline.py recommend --port P --folder FOLDER     FastAPI + faiss HNSW32, ef 64
    python bench/serve_baseline.py ingest --port P --database FILE        FastAPI + SQLite, WAL, synchronous = FULL
    python bench/serve_baseline.py ingest --port P --database postgresql://...
    python bench/serve_baseline.py noop --port P                          FastAPI alone, to scale by

``recommend`` knows every user's vector and seen items. It fetches more than it needs, drops what was seen and what
the filter forbids, and doubles what it fetches until n are left. FOLDER holds users.npy, items.npy, category.npy,
seen_offsets.npy, seen_items.npy and index.faiss (``serve_world.py``); user 7 is called u7, item 7 i7, category 7 c7.
``ingest`` keeps an event before it answers, and once per event id.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

EF = 64


class Ask(BaseModel):
    user: str
    n: int = 10
    filter: dict[str, str] | None = None
    repeat: str = "never"


class Item(BaseModel):
    item: str
    score: float


class Answer(BaseModel):
    items: list[Item]


class Event(BaseModel):
    event_id: str
    user: str
    item: str
    kind: str = "view"
    time: int | None = None


class Taken(BaseModel):
    new: int


def with_health(app: FastAPI) -> FastAPI:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def noop() -> FastAPI:
    app = FastAPI()
    answer = Answer(items=[Item(item=f"i{i}", score=0.5) for i in range(10)])

    @app.post("/recommend")
    async def recommend(ask: Ask) -> Answer:
        return answer

    @app.post("/event")
    async def event(event: Event) -> Taken:
        return Taken(new=1)

    @app.post("/events")
    async def events(events: list[Event]) -> Taken:
        return Taken(new=len(events))

    return with_health(app)


def recommend(folder: Path) -> FastAPI:
    import faiss

    faiss.omp_set_num_threads(1)
    users, category = np.load(folder / "users.npy"), np.load(folder / "category.npy")
    offsets, seen = np.load(folder / "seen_offsets.npy"), np.load(folder / "seen_items.npy")
    row_of = {f"u{row}": row for row in range(len(users))}
    names = [f"i{row}" for row in range(len(category))]
    allowed = {f"c{c}": category == c for c in np.unique(category).tolist()}
    share = {name: float(mask.mean()) for name, mask in allowed.items()}
    index: Any = faiss.read_index(str(folder / "index.faiss"))
    index.hnsw.efSearch = EF
    app = FastAPI()

    @app.post("/recommend")
    async def answer(ask: Ask) -> Answer:
        row = row_of.get(ask.user)
        if row is None:
            raise HTTPException(404, "unknown user")
        gone = seen[offsets[row] : offsets[row + 1]] if ask.repeat == "never" else seen[:0]
        wanted = ask.filter.get("category") if ask.filter else None
        mask = allowed.get(wanted) if wanted is not None else None
        fetch = ask.n + len(gone)
        if wanted is not None and mask is not None:
            fetch = int(1.2 * fetch / share[wanted])
        while True:
            fetch = min(fetch, len(names))
            score, found = index.search(users[row : row + 1], fetch)
            keep = found[0] >= 0
            if len(gone):
                keep &= ~np.isin(found[0], gone)
            if mask is not None:
                keep &= mask[found[0]]
            best = np.flatnonzero(keep)[: ask.n]
            if len(best) == ask.n or fetch == len(names):
                break
            fetch *= 2
        return Answer(items=[Item(item=names[i], score=s) for i, s in zip(found[0][best].tolist(), score[0][best].tolist(), strict=True)])

    return with_health(app)


TABLE = "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, user_id TEXT, item_id TEXT, kind TEXT, time_us BIGINT)"


def row_of(event: Event) -> tuple[str, str, str, str, int | None]:
    return event.event_id, event.user, event.item, event.kind, event.time


def sqlite_ingest(path: str) -> FastAPI:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    lock = threading.Lock()

    def store(events: Sequence[Event]) -> Taken:
        with lock, connection:
            new = connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", map(row_of, events)).rowcount
        return Taken(new=new)

    return with_health(ingest_app(store))


def ingest_app(store: Callable[[Sequence[Event]], Taken]) -> FastAPI:
    app = FastAPI()

    @app.post("/event")
    def event(event: Event) -> Taken:
        return store([event])

    @app.post("/events")
    def events(events: list[Event]) -> Taken:
        return store(events)

    return app


def postgresql_ingest(url: str) -> FastAPI:
    import psycopg

    pool: asyncio.Queue[psycopg.AsyncConnection[tuple[object, ...]]] = asyncio.Queue()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        for _n in range(32):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            await connection.execute(TABLE) if pool.empty() else None
            pool.put_nowait(connection)
        yield

    app = FastAPI(lifespan=life)
    one = "INSERT INTO events VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
    many = "INSERT INTO events SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING"

    async def store(statement: str, values: Sequence[object]) -> Taken:
        connection = await pool.get()
        try:
            return Taken(new=(await connection.execute(statement, values)).rowcount)
        finally:
            pool.put_nowait(connection)

    @app.post("/event")
    async def event(event: Event) -> Taken:
        return await store(one, row_of(event))

    @app.post("/events")
    async def events(events: list[Event]) -> Taken:
        return await store(many, [list(column) for column in zip(*map(row_of, events), strict=True)])

    return with_health(app)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=("recommend", "ingest", "noop"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--database")
    said = parser.parse_args()
    if said.kind == "recommend":
        app = recommend(said.folder)
    elif said.kind == "noop":
        app = noop()
    elif said.database.startswith("postgresql:"):
        app = postgresql_ingest(said.database)
    else:
        app = sqlite_ingest(said.database)
    uvicorn.run(app, host="127.0.0.1", port=said.port, log_level="error", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main()
