"""The words of a catalogue and in how many items each stands: found by spelling and by sound. Grows with the items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import pyarrow as pa

from zhiyin.base.arrays import AnyArray, found_under, named_under
from zhiyin.data.texts import packed, unpacked
from zhiyin.data.vocab import Numbers, Vocabulary
from zhiyin.index.lexical import FEW_TERMS
from zhiyin.index.lexical_segment import grown
from zhiyin.text.pinyin import Counted, Sounds, cut_by_sound, spelt
from zhiyin.text.typos import Near, Speller


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Words that became known together."""

    counts: Mapping[str, int]
    speller: Speller
    sounds: Sounds

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        words, numbers = tuple(counts), np.fromiter(counts.values(), np.int32, len(counts))
        return cls(counts, Speller.of(words, numbers), Sounds.of(words, numbers))

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors, with all that takes time: the ways to misspell words, and the sounds of Chinese ones."""
        spoken = spelt(self.counts)
        chinese = np.array([i for i, sound in enumerate(spoken) if sound], np.int32)
        return {
            **named_under("words", Vocabulary.trusted(pa.array(list(self.counts), pa.string())).arrays(FEW_TERMS)),
            **named_under("spoken", packed([spoken[i] for i in chinese])),
            "chinese": chinese,
            "counts": self.speller.counts,
            "hashes": self.speller.hashes,
            "owner": self.speller.owner,
        }

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray]) -> Self:
        words, counts, chinese = Vocabulary.restored(found_under("words", state)), state["counts"], state["chinese"]
        sounds = Sounds.of(words.names(chinese), counts[chinese], unpacked(found_under("spoken", state)).to_pylist())
        return cls(Numbers(words, counts), Speller(words, counts, state["hashes"], state["owner"]), sounds)


@dataclass(frozen=True)
class Lexicon:
    """Immutable; new words make a new layer beside the old ones, merged as segments of an index are.

    The count of a word is that of the items it became known with: good for choosing among words, no statistic.
    """

    layers: tuple[_Layer, ...] = ()

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        """From words and the number of items each stands in."""
        return cls((_Layer.of(dict(counts)),) if counts else ())

    def __len__(self) -> int:
        return sum(len(layer) for layer in self.layers)

    def with_words(self, words: Iterable[str]) -> Self:
        """A lexicon that also knows these words."""
        new = {word: 1 for word in words if not self.count(word)}
        return type(self)(grown(self.layers, _Layer.of(new), _merged)) if new else self

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors."""
        return reduce(_merged, self.layers).state() if self.layers else {}

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray]) -> Self:
        """At once, however many words: they are looked up where they lie."""
        return cls((_Layer.restore(state),) if state else ())

    def count(self, word: str) -> int:
        """Items with this very word, 0 = unknown."""
        return next((n for layer in self.layers if (n := layer.counts.get(word)) is not None), 0)

    def near(self, word: str, edits: int | None = None) -> list[Near]:
        """Known words within an edit or two, nearest first, then by first letter, then the most common."""
        found = [near for layer in self.layers for near in layer.speller.near(word, edits)]
        return sorted(found, key=lambda near: (near.distance, near.word[0] != word[0], -near.count, near.word))

    def heard(self, sound: str) -> list[Counted]:
        """Words of exactly this sound, the most common first."""
        return _ranked([layer.sounds.by_sound.get(sound, ()) for layer in self.layers])

    def abbreviated(self, letters: str) -> list[Counted]:
        """Words whose syllables begin with these letters, the most common first."""
        return _ranked([layer.sounds.by_initials.get(letters, ()) for layer in self.layers])

    def cut(self, letters: str) -> list[str]:
        """Letters as sounds of known words, [] when they are none."""
        return cut_by_sound(letters, self._commonest) if any(len(layer.sounds) for layer in self.layers) else []

    def _commonest(self, sound: str) -> Counted | None:
        found = [pairs[0] for layer in self.layers if (pairs := layer.sounds.by_sound.get(sound))]
        return max(found, key=lambda pair: pair[1], default=None)


def _merged(a: _Layer, b: _Layer) -> _Layer:
    return _Layer.of({**a.counts, **b.counts})


def _ranked(lists: Iterable[tuple[Counted, ...]]) -> list[Counted]:
    return sorted((pair for pairs in lists for pair in pairs), key=lambda pair: (-pair[1], pair[0]))
