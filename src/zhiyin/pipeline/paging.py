"""Pages of one list: a cursor carries what was shown, so that no page repeats an item, whatever changed in between.

    cursor = Cursor.begin(question, now_us, seed)
    ...answer the first page...
    token = cursor.after(ids).token()                 # goes to the asker
    ...he sends it back...
    cursor = Cursor.read(token, question)             # refuses a token of another question
    requests = cursor.excluding(requests, catalog)

Nothing is kept on the server. The token names items by their ids, so it outlives a new model, a grown catalogue
and a restart; ``now_us`` and ``seed`` are those of the first page, so equal questions go on equally. It is not
secret and not signed: whoever changes it only changes what he is not shown.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.base.digest import digest_json
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.pipeline.merge import joined

MOST_SHOWN = 2_000
"""Items after which a list ends: a token of a few kilobytes still fits into an address."""
_MOST_BYTES = 512 * 1024
_REMEDY = "Ask for the first page again, without a cursor."


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where somebody is in a list: ``shown`` are the ids of all earlier pages, first shown first."""

    question: str
    now_us: int
    seed: int = 0
    shown: tuple[str, ...] = ()

    @classmethod
    def begin(cls, question: Mapping[str, Any], now_us: int, seed: int = 0) -> Self:
        """Before the first page. ``question`` is everything that says which list it is, but not how much of it."""
        return cls(digest_json(question), now_us, seed)

    @classmethod
    def read(cls, token: str, question: Mapping[str, Any]) -> Self:
        """The cursor of a token; raises ``ConfigError`` for one that is damaged or belongs to another question."""
        try:
            packed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            unpack = zlib.decompressobj()
            text = unpack.decompress(packed, _MOST_BYTES)
            if not unpack.eof or unpack.unused_data:
                raise ValueError("cut off or too long")
            asked, now_us, seed, shown = json.loads(text)
            cursor = cls(str(asked), int(now_us), int(seed), tuple(str(i) for i in shown))
        except (ValueError, TypeError, zlib.error, binascii.Error, RecursionError):
            raise ConfigError("the cursor is damaged", _REMEDY) from None
        if cursor.question != digest_json(question):
            raise ConfigError("the cursor belongs to another question", _REMEDY)
        if len(cursor.shown) > MOST_SHOWN or not -(2**62) < cursor.now_us < 2**62:
            raise ConfigError("the cursor is damaged", _REMEDY)
        return cursor

    @property
    def start(self) -> int:
        """How many items stand on earlier pages."""
        return len(self.shown)

    @property
    def ended(self) -> bool:
        """True where no further page is given."""
        return len(self.shown) >= MOST_SHOWN

    def after(self, ids: Sequence[str]) -> Self:
        """The cursor behind a page with these items."""
        return replace(self, shown=(*self.shown, *(i for i in ids if i not in self.shown))[:MOST_SHOWN])

    def token(self) -> str:
        """Text for an address: letters, digits, "-", "_" and "="."""
        plain = json.dumps([self.question, self.now_us, self.seed, self.shown], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(plain.encode("utf-8"), 9)).decode("ascii")

    def excluding(self, requests: Requests, catalog: Catalog) -> Requests:
        """The requests without what was shown, which also gives them the seed of the first page; all of one asker."""
        ix = catalog.items.ix_of(self.shown) if self.shown else np.zeros(0, np.int32)
        gone = Ragged.of([ix[ix >= 0]] * len(requests))
        exclude = gone if requests.exclude is None else joined(requests.exclude, gone)
        return replace(requests, exclude=exclude, seed=self.seed)
