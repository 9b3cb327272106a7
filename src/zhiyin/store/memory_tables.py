"""Tables in memory: the test double, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from zhiyin.store.tables import Body, Change, Row, check_version, checked, from_json, to_json, with_part


class MemoryTables:
    """A ``TableStore`` that keeps nothing. Use it in tests."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], tuple[int, str | None]] = {}  # collection, id -> version, JSON or None if deleted
        self._version = 0
        self._lock = threading.Lock()

    def put(self, collection: str, rows: Mapping[str, Body], *, partial: bool = False, if_version: int | None = None) -> dict[str, int]:
        """See ``TableStore.put``."""
        checked(collection, list(rows))
        with self._lock:
            texts = {}
            for row_id, body in rows.items():
                version, old = self._rows.get((collection, row_id), (0, None))
                check_version(row_id, version if old is not None else 0, if_version)
                if not partial or old is not None:
                    texts[row_id] = to_json(row_id, with_part(old, body) if partial and old is not None else body)
            return {row_id: self._changed(collection, row_id, text) for row_id, text in texts.items()}

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Row]:
        """See ``TableStore.get``."""
        checked(collection, ids)
        with self._lock:
            found = {row_id: self._rows.get((collection, row_id), (0, None)) for row_id in ids}
        return {row_id: Row(row_id, version, from_json(text)) for row_id, (version, text) in found.items() if text is not None}

    def delete(self, collection: str, ids: Sequence[str], *, forget: bool = False) -> int:
        """See ``TableStore.delete``."""
        checked(collection, ids)
        with self._lock:
            there = [row_id for row_id in dict.fromkeys(ids) if self._rows.get((collection, row_id), (0, None))[1] is not None]
            for row_id in there:
                self._changed(collection, row_id, None)
            if forget:
                for row_id in ids:
                    self._rows.pop((collection, row_id), None)
        return len(there)

    def page(self, collection: str, after: str = "", n: int = 100) -> list[Row]:
        """See ``TableStore.page``."""
        checked(collection, [])
        with self._lock:
            found = sorted((i, v, text) for (c, i), (v, text) in self._rows.items() if c == collection and i > after and text is not None)
        return [Row(row_id, version, from_json(text)) for row_id, version, text in found[:n]]

    def changes(self, since: int = 0, n: int = 1000) -> list[Change]:
        """See ``TableStore.changes``."""
        with self._lock:
            found = sorted((v, c, i, text) for (c, i), (v, text) in self._rows.items() if v > since)
        return [Change(c, i, v, None if text is None else from_json(text)) for v, c, i, text in found[:n]]

    def version(self) -> int:
        """See ``TableStore.version``."""
        return self._version

    def close(self) -> None:
        """Nothing to let go of."""

    def _changed(self, collection: str, row_id: str, text: str | None) -> int:
        self._version += 1
        self._rows[collection, row_id] = (self._version, text)
        return self._version
