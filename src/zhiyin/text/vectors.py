"""Text vectors into the catalogue, before any model is fitted: models never call encoders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.base.digest import digest_json
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Report, silent
from zhiyin.text.cache import VectorCache, encode_cached
from zhiyin.text.choose import choose_encoder, restore_encoder
from zhiyin.text.encoder import EncoderState, TextEncoder
from zhiyin.text.templates import ItemTemplate, template_for

NAME = "text"
"""The catalogue's vectors of this name are made here."""


@dataclass(frozen=True)
class Reader:
    """A template and an encoder: the one way from an item's columns, or a query, to a vector.

    Keep it with the models that were fitted on its vectors: new items and queries must be read the
    same way. ``state`` describes the encoder, which wakes at the first text: a request for a known
    user reads no words, so opening a saved recommender must not load one. ``reason`` says in one
    sentence why this encoder was chosen.
    """

    template: ItemTemplate
    state: EncoderState
    reason: str = ""

    @classmethod
    def of(cls, encoder: TextEncoder, template: ItemTemplate, reason: str = "") -> Self:
        reader = cls(template, encoder.describe(), reason)
        reader.__dict__["encoder"] = encoder  # the cached property, already known
        return reader

    @cached_property
    def encoder(self) -> TextEncoder:
        """Raises ``ModelFileError`` when the encoder on this machine is not the one described."""
        return restore_encoder(self.state)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of template and encoder, as stored beside the vectors."""
        return digest_json({"template": self.template.digest(), "encoder": self.state.meta["fingerprint"]})

    def query(self, text: str) -> Float32:
        """(dim,) unit vector of what somebody typed, zeros when there is nothing to read in it."""
        vector: Float32 = self.encoder.encode([text])[0]
        return vector

    def fill(self, catalog: Catalog, cache: VectorCache | None = None, report: Report = silent) -> Catalog:
        """Vectors for the rows that have none yet (all, or those ``with_rows`` appended); others stay.

        Vectors of another template or encoder are of another space: they are replaced as a whole.
        """
        known = catalog.vectors.get(NAME)
        if known is None or known.fingerprint != self.fingerprint:
            known = Vectors(np.zeros((len(catalog), self.encoder.dim), np.float32), self.fingerprint, own_from=0)
        rows = np.flatnonzero(~known.present)
        texts = self.template.texts(catalog.table[rows])
        said = np.array([bool(text) for text in texts], np.bool_)
        vectors = np.zeros((0, known.dim), np.float32)
        if bool(said.any()):  # an encoder wakes for words alone
            vectors = encode_cached(self.encoder, [text for text in texts if text], cache, report)
        return catalog.with_vectors(NAME, known.filled(rows[said], vectors))


def reader_for(data: Dataset, model: str | None = None, **options: Any) -> Reader:
    """Template by the manifest, encoder by ``choose_encoder`` on this catalogue's texts.

    ``model`` is a packaged name, a folder, a hub name, or ``catalogue``, and by default what the
    manifest's ``encoder`` says; ``options`` go to ``choose_encoder``. Raises ``ConfigError`` when no column holds text.
    """
    template = template_for(data.manifest, data.catalog)
    texts = template.texts(data.catalog.table)
    if not any(texts):
        raise ConfigError(
            f"data set '{data.manifest.name}' has no text to read",
            "Name the title and give columns the type text, category or list in the manifest.",
        )
    choice = choose_encoder(texts, model or data.manifest.encoder, **options)
    return Reader.of(choice.encoder, template, choice.reason)


def with_text_vectors(
    data: Dataset, encoder: TextEncoder | Reader | None = None, *, cache: VectorCache | None = None, report: Report = silent
) -> Dataset:
    """The data set with ``catalog.vectors["text"]``: unit rows, a zero row where an item has no text.

    None chooses the encoder (``reader_for``). Pass ``VectorCache()`` to encode nothing twice. Make
    the reader first (``reader_for``) where it is needed afterwards, for new items or queries.
    """
    if isinstance(encoder, Reader):
        reader = encoder
    elif encoder is None:
        reader = reader_for(data)
    else:
        reader = Reader.of(encoder, template_for(data.manifest, data.catalog))
    if reader.reason:
        report({"stage": "text", "note": reader.reason})
    return data.with_catalog(reader.fill(data.catalog, cache, report))
