"""Text vectors into the catalogue, before any model is fitted: models never call encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from zhiyin.text.model_files import PACKAGED
from zhiyin.text.templates import ItemTemplate, template_for

NAME = "text"
"""The catalogue's vectors of this name are made here."""


@dataclass(frozen=True)
class ItemReader:
    """A template and an encoder: the one way from an item's columns, or a query, to a vector.

    Keep it with the models that were fitted on its vectors: new items and queries must be read the
    same way. ``reason`` says in one sentence why this encoder was chosen.
    """

    template: ItemTemplate
    encoder: TextEncoder
    reason: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hex digits of template and encoder, as stored beside the vectors."""
        return digest_json({"template": self.template.digest(), "encoder": self.encoder.fingerprint})

    def queries(self, texts: Sequence[str]) -> Float32:
        """(n, dim) unit rows of what people typed; an empty text gives a zero row."""
        return self.encoder.encode([text.strip() for text in texts])

    def describe(self) -> EncoderState:
        """What a bundle stores."""
        inner = self.encoder.describe()
        return EncoderState(inner.arrays, {**inner.meta, "template": self.template.model_dump(mode="json"), "reason": self.reason})

    @classmethod
    def restore(cls, state: EncoderState, threads: int | None = None) -> ItemReader:
        """Raises ``ModelFileError`` when the encoder on this machine is another one."""
        template = ItemTemplate.parse(state.meta["template"], "the text template of the model")
        return cls(template, restore_encoder(state, threads), str(state.meta.get("reason", "")))


def reader_for(data: Dataset, model: str = PACKAGED, **options: Any) -> ItemReader:
    """Template by the manifest, encoder by ``choose_encoder`` on this catalogue's texts.

    ``model`` is a packaged name, a folder, a hub name, or ``catalogue``; ``options`` go to
    ``choose_encoder``. Raises ``ConfigError`` when no column holds text.
    """
    template = template_for(data.manifest, data.catalog)
    texts = template.texts(data.catalog.table)
    if not any(texts):
        raise ConfigError(
            f"data set '{data.manifest.name}' has no text to read",
            "Name the title and give columns the type text, category or list in the manifest.",
        )
    choice = choose_encoder(texts, model, **options)
    return ItemReader(template, choice.encoder, choice.reason)


def with_text_vectors(
    data: Dataset, encoder: TextEncoder | ItemReader | None = None, *, cache: VectorCache | None = None, report: Report = silent
) -> Dataset:
    """The data set with ``catalog.vectors["text"]``: unit rows, a zero row where an item has no text.

    None chooses the encoder (``reader_for``). Pass ``VectorCache()`` to encode nothing twice.
    """
    if isinstance(encoder, ItemReader):
        reader = encoder
    elif encoder is None:
        reader = reader_for(data)
    else:
        reader = ItemReader(template_for(data.manifest, data.catalog), encoder, "given")
    if reader.reason:
        report({"stage": "text", "note": reader.reason})
    return data.with_catalog(encode_new(data.catalog, reader, cache=cache, report=report))


def encode_new(catalog: Catalog, reader: ItemReader, *, cache: VectorCache | None = None, report: Report = silent) -> Catalog:
    """Fill the rows that have no vector yet (all, or those ``with_rows`` appended) and keep the others.

    Vectors of another template or encoder are of another space: they are replaced as a whole.
    """
    old = catalog.vectors.get(NAME)
    if old is None or old.fingerprint != reader.fingerprint:
        matrix = np.zeros((len(catalog), reader.encoder.dim), np.float32)
        rows = np.arange(len(catalog))
    else:
        matrix, rows = old.matrix.copy(), np.flatnonzero(~old.present)
    texts = reader.template.texts(catalog.table[rows])
    said = np.array([bool(text) for text in texts], np.bool_)
    if bool(said.any()):
        matrix[rows[said]] = encode_cached(reader.encoder, [text for text in texts if text], cache, report)
    return catalog.with_vectors(NAME, Vectors(matrix, reader.fingerprint))
