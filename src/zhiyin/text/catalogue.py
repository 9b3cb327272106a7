"""A text encoder learned from the catalogue itself: for text that the language model cannot read.

Terms are words (jieba for Chinese) and character n-grams; weights are (1 + log tf) * idf; vectors
are the projection on the first singular directions (latent semantic analysis: Deerwester et al.,
"Indexing by Latent Semantic Analysis", JASIS 1990). It knows only what co-occurs in this catalogue:
two texts without a common term, direct or through others, look unrelated to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import FitError
from zhiyin.text.encoder import EncoderState, unit_rows
from zhiyin.text.words import words_of

if TYPE_CHECKING:
    import scipy.sparse as sp

VERSION = 1


class CatalogueEncoder:
    """Frozen terms, their weights and the projection. ``fit_catalogue`` makes one.

    Encoding needs no scikit-learn; a text none of whose terms is known gives a zero row.
    """

    name = "catalogue words"

    def __init__(self, terms: Sequence[str], idf: Float32, projection: Float32) -> None:
        self._terms = list(terms)
        self._idf = idf  # (n_terms,)
        self._projection = projection  # (n_terms, dim)

    @property
    def dim(self) -> int:
        return int(self._projection.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        parts = {"version": VERSION, "terms": self._terms, "arrays": digest_arrays(self._idf, self._projection)}
        return digest_json(parts)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {term: i for i, term in enumerate(self._terms)}

    def encode(self, texts: Sequence[str]) -> Float32:
        weights = weighted_terms([terms_of(text) for text in texts], self._place, self._idf)
        return unit_rows(np.asarray(weights @ self._projection))

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Share of words (not n-grams) that the catalogue did not contain often enough."""
        words = [word for text in texts for word in words_of(text)]
        return sum(f"w:{word}" not in self._place for word in words) / len(words) if words else 0.0

    def describe(self) -> EncoderState:
        terms = np.frombuffer("\n".join(self._terms).encode(), np.uint8)
        arrays: dict[str, AnyArray] = {"idf": self._idf, "projection": self._projection, "terms": terms}
        return EncoderState(arrays, {"encoder": "catalogue", "version": VERSION, "fingerprint": self.fingerprint})

    @classmethod
    def restore(cls, state: EncoderState) -> CatalogueEncoder:
        a = state.arrays
        terms = bytes(a["terms"].astype(np.uint8)).decode().split("\n")
        return cls(terms, np.asarray(a["idf"], np.float32), np.asarray(a["projection"], np.float32))


def fit_catalogue(texts: Sequence[str], dim: int = 256, max_terms: int = 30_000, sample: int = 50_000, seed: int = 0) -> CatalogueEncoder:
    """Learn terms and directions from at most ``sample`` of the texts, evenly spaced; deterministic.

    Raises ``FitError`` when there are no words to learn from.
    """
    from sklearn.utils.extmath import randomized_svd

    read = [text for text in dict.fromkeys(texts) if text.strip()]
    read = read[:: max(1, -(-len(read) // sample))]
    counted = [terms_of(text) for text in read]
    seen_in = Counter(term for terms in counted for term in terms)
    # A term of one text alone relates it to nothing; in a tiny catalogue everything is kept.
    least = 2 if len(read) >= 50 else 1
    ranked = sorted(((-n, term) for term, n in seen_in.items() if n >= least))[:max_terms]
    terms = sorted(term for _, term in ranked)
    if not terms:
        raise FitError("the catalogue has no words to learn a text encoder from", "Name its text columns in the manifest.")
    document_share = np.array([seen_in[term] for term in terms], np.float64)
    idf = (np.log((1 + len(read)) / (1 + document_share)) + 1).astype(np.float32)
    weights = weighted_terms(counted, {term: i for i, term in enumerate(terms)}, idf)
    kept = min(dim, *weights.shape)
    _, _, directions = randomized_svd(weights, kept, n_iter=4, random_state=seed)
    return CatalogueEncoder(terms, idf, np.ascontiguousarray(directions.T, np.float32))


def terms_of(text: str) -> Counter[str]:
    """Words (``w:``) and character n-grams (``c:``) with their counts."""
    terms: Counter[str] = Counter(f"w:{word}" for word in words_of(text))
    terms.update(f"c:{gram}" for gram in _grams(text))
    return terms


_RUN = re.compile(r"[^\W_]+")
_ASCII = re.compile(r"[\x00-ɏ]+")


def _grams(text: str) -> Iterable[str]:
    """Pairs of characters of scripts without spaces; 4-grams of alphabetic words with their edges."""
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if _ASCII.fullmatch(run):
            edged = f"^{run}$"
            yield from (edged[i : i + 4] for i in range(max(1, len(edged) - 3)))
        else:
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))


def weighted_terms(counted: Sequence[Mapping[str, int]], place: Mapping[str, int], idf: Float32) -> sp.csr_matrix:
    """(n, n_terms) unit rows of (1 + log tf) * idf; unknown terms are left out."""
    import scipy.sparse as sp  # here, because an answer from a saved model should not wait for it

    rows, columns, values = [], [], []
    for i, terms in enumerate(counted):
        for term, n in terms.items():
            at = place.get(term)
            if at is not None:
                rows.append(i)
                columns.append(at)
                values.append((1.0 + np.log(n)) * idf[at])
    matrix: Any = sp.csr_matrix((np.asarray(values, np.float32), (rows, columns)), shape=(len(counted), len(idf)))
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1.0 / np.maximum(length, 1e-12)) @ matrix, dtype=np.float32)
