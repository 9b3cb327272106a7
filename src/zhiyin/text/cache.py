"""Vectors that were computed once are not computed again: a file keyed by encoder and content.

SQLite in WAL mode: several processes may write at once, and a killed one loses at most the batch
it was encoding.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from zhiyin.base.arrays import Bool, Float32
from zhiyin.base.errors import DataError
from zhiyin.data.run import Report, silent
from zhiyin.text.encoder import TextEncoder

_LOOKUP = 500  # below SQLite's oldest limit of 999 variables per statement


def cache_folder() -> Path:
    """Where things that can be made again are kept: ``ZHIYIN_CACHE``, else ``~/.cache/zhiyin``."""
    said = os.environ.get("ZHIYIN_CACHE")
    return Path(said).expanduser() if said else Path.home() / ".cache" / "zhiyin"


class VectorCache:
    """Vectors by (encoder fingerprint, sha256 of the text)."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "text_vectors.sqlite"

    def read(self, fingerprint: str, texts: Sequence[str], dim: int) -> tuple[Float32, Bool]:
        """Matrix (n, dim) with the rows that are known filled, and which those are (n,)."""
        matrix = np.zeros((len(texts), dim), np.float32)
        found = np.zeros(len(texts), np.bool_)
        rows_of: dict[bytes, list[int]] = {}
        for i, text in enumerate(texts):
            rows_of.setdefault(_key(text), []).append(i)
        keys = list(rows_of)
        with self._open() as db:
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                query = f"SELECT text, vector FROM vectors WHERE encoder = ? AND text IN ({marks})"
                for key, blob in db.execute(query, (fingerprint, *part)):
                    vector = np.frombuffer(blob, dtype="<f4")
                    if len(vector) == dim:
                        matrix[rows_of[key]] = vector
                        found[rows_of[key]] = True
        return matrix, found

    def write(self, fingerprint: str, texts: Sequence[str], matrix: Float32) -> None:
        """Store rows; one transaction, so that all of them are there afterwards or none."""
        rows = ((fingerprint, _key(text), row.astype("<f4").tobytes()) for text, row in zip(texts, matrix, strict=True))
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            db.commit()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = None
        try:
            db = sqlite3.connect(self.path, timeout=60)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS vectors"
                " (encoder TEXT NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (encoder, text)) WITHOUT ROWID"
            )
            yield db
        except sqlite3.DatabaseError as error:
            raise DataError(f"the text vector cache '{self.path}' cannot be used: {error}", "Delete the file; it is made again.") from None
        finally:
            if db is not None:
                db.close()


def encode_cached(
    encoder: TextEncoder, texts: Sequence[str], cache: VectorCache | None, report: Report = silent, batch: int = 512
) -> Float32:
    """(n, dim) unit rows; each distinct text is encoded at most once, ever, where a cache is given.

    ``report`` receives {"stage": "text", "step": encoded so far, "of": to encode}.
    """
    distinct = list(dict.fromkeys(texts))
    if cache is None:
        matrix, known = np.zeros((len(distinct), encoder.dim), np.float32), np.zeros(len(distinct), np.bool_)
    else:
        matrix, known = cache.read(encoder.fingerprint, distinct, encoder.dim)
    # Long texts first: the progress that people see only gets faster.
    todo = sorted(np.flatnonzero(~known).tolist(), key=lambda i: -len(distinct[i]))
    for start in range(0, len(todo), batch):
        rows = todo[start : start + batch]
        part = [distinct[i] for i in rows]
        matrix[rows] = encoder.encode(part)
        if cache is not None:
            cache.write(encoder.fingerprint, part, matrix[rows])
        report({"stage": "text", "step": start + len(rows), "of": len(todo)})
    place = {text: i for i, text in enumerate(distinct)}
    return matrix[[place[text] for text in texts]] if texts else matrix


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
