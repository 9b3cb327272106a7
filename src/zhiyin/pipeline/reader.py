"""How a recommender reads words: the template that says an item, and the encoder that hears it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.text.encoder import EncoderState, TextEncoder
from zhiyin.text.templates import ItemTemplate


@dataclass(frozen=True)
class Reader:
    """Template and encoder that made ``catalog.vectors["text"]``; the encoder wakes at the first text.

    A request for a known user reads no words, so opening a saved recommender must not load one.
    """

    template: ItemTemplate
    state: EncoderState

    @classmethod
    def of(cls, encoder: TextEncoder, template: ItemTemplate) -> Self:
        reader = cls(template, encoder.describe())
        reader.__dict__["encoder"] = encoder  # the cached property, already known
        return reader

    @cached_property
    def encoder(self) -> TextEncoder:
        from zhiyin.text.choose import restore_encoder

        return restore_encoder(self.state)

    def query(self, text: str) -> Float32:
        """(dim,) unit vector, zeros when there is nothing to read in the text."""
        vector: Float32 = self.encoder.encode([text])[0]
        return vector

    def fill(self, catalog: Catalog, from_row: int) -> Catalog:
        """The catalogue with text vectors from a row number on; earlier ones stay as they are."""
        old = catalog.vectors["text"]
        texts = self.template.texts(catalog.table.slice(from_row))
        matrix = np.array(old.matrix, np.float32)
        if texts:
            matrix[from_row:] = self.encoder.encode(texts)
        return catalog.with_vectors("text", Vectors(matrix, old.fingerprint))
