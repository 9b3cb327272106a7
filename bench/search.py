"""Search: does the right thing come up for a question, a text, a misspelling, pinyin, traditional characters?

    python bench/search.py [--case cranfield,chinese,titles,speed] [--tune] [--json PATH]

One ``Finder`` with its default settings answers everything; nothing is set per case. They were chosen with
``--tune`` (the parts named below that are no test), committed, and then run on the tests:

    cranfield    1,400 abstracts; questions of odd number for tuning, of even number for the test. NDCG@10 with gains
                 4 for code 1 (a complete answer) .. 1 for code 4; "bm25" is the same finder without vectors, paired.
    chinese      chinese_reviews without empty and repeated texts: 500 texts of each of the 11 categories are held out as
                 queries (test: seed 0, tuning: 100 texts of each, at most a quarter, out of the other items). The items
                 are the rest, with their category column; precision@10 is the share of the first ten items that are of
                 the query's category, which the query does not say. "words alone" leaves out meaning and category.
    titles       200 queries made from titles, each with one or two random edits (half each: a letter left out, put in,
                 replaced, or two neighbours swapped). English: goodbooks-10k, titles without what stands in brackets,
                 at least 5 letters, each title once. Chinese: the first clause of a review is its title, 5 to 16
                 characters, each once; one edit, with one of the 500 most common characters; pinyin without tones,
                 half of them with a space between words, half without; traditional characters by phrase.
                 found@10 = the item itself is among the first ten. Tuning: seed 1; test: seed 0.
    speed        CPU of one query of two or three words of a title at 100,000 made-up items (8 words of title, 40 of text,
                 Zipf-like; random vectors of 384): words alone, with vectors (encoder included), completion of 3 letters;
                 and of a snapshot that knows one item more (vectors apart).
"""

from __future__ import annotations

import argparse
import random
import re
import string
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from rows import Row, show, write
from zhiyin.base.arrays import AnyArray
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.schema import ItemsTable, Manifest
from zhiyin.data.sources import read_source
from zhiyin.data.sources.source import NO_EVENTS
from zhiyin.data.tables import Tables
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.bootstrap import estimate
from zhiyin.pipeline.finding import Finder
from zhiyin.pipeline.finding_fuse import FindingSpec
from zhiyin.pipeline.train import readable
from zhiyin.text.choose import open_encoder
from zhiyin.text.pinyin import sound_of
from zhiyin.text.script import traditional
from zhiyin.text.templates import template_for
from zhiyin.text.vectors import Reader
from zhiyin.text.words import chinese_words

HELD_OUT = 500
WORDS_ALONE = FindingSpec(meaning=0, intent=0)


def finder_of(tables: Tables) -> Finder:
    """What anybody gets for these items, which nobody has acted on yet."""
    items = tables.items
    nobody, none = Vocabulary([]), np.zeros(0, np.int32)
    title = tables.manifest.items.title if tables.manifest.items else None
    catalog = Catalog(Vocabulary(items["item_id"].cast(pl.String).to_list()), items, title)
    data, reader = readable(Dataset(tables.manifest, nobody, catalog, Events.of(none, none, np.zeros(0, np.int64))))
    return Finder.of(data, reader)


def row(case: str, metric: str, values: AnyArray, unit: str = "") -> Row:
    """The mean over queries and its interval."""
    told = estimate(np.asarray(values, float))
    return Row("search", case, metric, told.value, told.low, told.high, told.n, unit)


# Cranfield: questions in English.


def cranfield(*, tune: bool) -> list[Row]:
    """NDCG@10 of words and meaning, of words alone, and the paired difference."""
    tables = read_source("cranfield")
    finder = finder_of(tables)
    items = finder.data.catalog.items
    asked = tables.extra["queries"].filter(pl.col("query_no") % 2 == (1 if tune else 0))
    judged = tables.extra["qrels"]
    both, words = [], []
    alone = replace(finder, spec=WORDS_ALONE)
    for number, text in asked.select("query_no", "query").rows():
        told = judged.filter(pl.col("query_no") == number)
        gain = {items.find(str(i)): 5.0 - code for i, code in told.select("doc_id", "code").rows() if items.find(str(i)) >= 0}
        both.append(ndcg(finder, text, gain))
        words.append(ndcg(alone, text, gain))
    difference = np.array(both) - np.array(words)
    gained = row("cranfield", "ndcg@10_gain_over_bm25", difference)
    return [
        row("cranfield", "ndcg@10", both),
        row("cranfield", "bm25_ndcg@10", words),
        gained,
        replace(gained, metric="ndcg@10_gain_over_bm25_low", value=gained.low, high=gained.low),
        replace(
            gained,
            metric="relative_gain",
            value=gained.value / np.mean(words),
            low=gained.low / np.mean(words),
            high=gained.high / np.mean(words),
        ),
    ]


def ndcg(finder: Finder, text: str, gain: dict[int, float], k: int = 10) -> float:
    found = [item.item_ix for item in finder.search(text, k, facets=())]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.sort(list(gain.values()))[::-1][:k]
    return float(sum(gain.get(ix, 0.0) * d for ix, d in zip(found, discount, strict=False)) / (ideal @ discount[: len(ideal)]))


# Chinese reviews: a text finds its like.


@cache
def reviews() -> pl.DataFrame:
    """item_id, text, category of every review that says something, each text once."""
    items = read_source("chinese_reviews").items
    return (
        items.filter(pl.col("text").str.len_chars() > 0)
        .unique("text", keep="first", maintain_order=True)
        .select("item_id", "text", "category")
    )


def chinese(*, tune: bool) -> list[Row]:
    """precision@10 of the category, all together and by category."""
    table = reviews()
    held = drawn(table, HELD_OUT, 0)
    if tune:
        table = table.filter(~held)
        held = drawn(table, 100, 1)
    manifest = Manifest(
        name="reviews", order="none", language="zh", items=ItemsTable(title="text", columns={"text": "text", "category": "category"})
    )
    finder = finder_of(Tables(manifest, NO_EVENTS, table.filter(~held)))
    queries = table.filter(held)
    out = []
    for case, asked in (("chinese", finder), ("chinese words alone", replace(finder, spec=WORDS_ALONE))):
        known = np.array(asked.data.catalog.table["category"].to_list())
        right = np.array(
            [
                np.mean(known[[i.item_ix for i in asked.search(text, 10, facets=())]] == category)
                for text, category in queries.select("text", "category").rows()
            ]
        )
        of = np.array(queries["category"].to_list())
        out.append(row(case, "precision@10", right))
        if case == "chinese":
            out += [row(f"chinese {name}", "precision@10", right[of == name]) for name in sorted(set(of.tolist()))]
    return out


def drawn(table: pl.DataFrame, n: int, seed: int) -> pl.Series:
    """n texts of each category (at most a quarter of it unless it is the test), as a mask."""
    rng = np.random.default_rng(seed)
    of = np.array(table["category"].to_list())
    mask = np.zeros(len(of), np.bool_)
    for name in sorted(set(of.tolist())):
        rows = np.flatnonzero(of == name)
        mask[rng.choice(rows, n if n == HELD_OUT else min(n, len(rows) // 4), replace=False)] = True
    return pl.Series(mask)


# Titles: misspelt, by sound, in other characters.


@dataclass(frozen=True)
class Titles:
    """A finder and 200 (row, title) of items whose title is theirs alone."""

    finder: Finder
    drawn: list[tuple[int, str]]

    def found(self, case: str, change: Callable[[str, int], str]) -> Row:
        """found@10 over the titles, changed."""
        hits = [ix in [i.item_ix for i in self.finder.search(change(title, n), 10, facets=())] for n, (ix, title) in enumerate(self.drawn)]
        return row(case, "found@10", hits)


def titles(*, tune: bool) -> list[Row]:
    rng = random.Random(1 if tune else 0)
    english, chinese_ = books(rng), clauses(rng)
    letters, characters = string.ascii_lowercase, common_characters(chinese_.finder.data)
    return [
        english.found("titles as they are", lambda title, n: title),
        english.found("typos", lambda title, n: misspelt(title, 1 + n % 2, letters, rng)),
        chinese_.found("chinese titles as they are", lambda title, n: title),
        chinese_.found("typos chinese", lambda title, n: misspelt(title, 1, characters, rng)),
        chinese_.found("pinyin", lambda title, n: by_sound(title, spaced=n % 2 == 0)),
        chinese_.found("traditional", lambda title, n: traditional(title)),
    ]


def books(rng: random.Random) -> Titles:
    tables = read_source("goodbooks-10k")
    finder = finder_of(tables)
    bare = [re.sub(r"\s*\(.*\)\s*$", "", str(title)).strip() for title in finder.data.catalog.table["title"].to_list()]
    return Titles(finder, unique(bare, rng, lambda title: sum(c.isalpha() for c in title) >= 5))


def clauses(rng: random.Random) -> Titles:
    split = pl.col("text").str.extract(r"^([^，。！？,.!?;；：:~\s]+)", 1)
    table = reviews().with_columns(title=split.fill_null(""), body=pl.col("text"))
    items = ItemsTable(title="title", columns={"title": "text", "body": "text", "category": "category"})
    finder = finder_of(Tables(Manifest(name="clauses", order="none", language="zh", items=items), NO_EVENTS, table.drop("text")))
    found = [str(title or "") for title in finder.data.catalog.table["title"].to_list()]
    return Titles(finder, unique(found, rng, lambda title: re.fullmatch("[一-鿿]{5,16}", title) is not None))


def unique(names: Sequence[str], rng: random.Random, fit: Callable[[str], bool], n: int = 200) -> list[tuple[int, str]]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name.lower()] = counts.get(name.lower(), 0) + 1
    return rng.sample([(i, name) for i, name in enumerate(names) if counts[name.lower()] == 1 and fit(name)], n)


def misspelt(title: str, n_edits: int, alphabet: str, rng: random.Random) -> str:
    """With n random edits at letters."""
    text = list(title)
    for _ in range(n_edits):
        at = rng.choice([i for i, c in enumerate(text) if c.isalpha()])
        edit = rng.choice(("out", "in", "replace", "swap"))
        if edit == "swap" and at + 1 < len(text) and text[at + 1].isalpha():
            text[at], text[at + 1] = text[at + 1], text[at]
        elif edit == "out" and len(text) > 1:
            del text[at]
        elif edit == "in":
            text.insert(at, rng.choice(alphabet))
        else:
            text[at] = rng.choice(alphabet)
    return "".join(text)


def by_sound(title: str, *, spaced: bool) -> str:
    return (" " if spaced else "").join(sound_of(word) for word in chinese_words(title))


def common_characters(data: Dataset, n: int = 500) -> str:
    counts: dict[str, int] = {}
    for title in data.catalog.table["title"].to_list():
        for c in title or "":
            counts[c] = counts.get(c, 0) + 1
    han = [c for c in counts if "一" <= c <= "鿿"]
    return "".join(sorted(han, key=lambda c: -counts[c])[:n])


# What it costs.


def speed(*, tune: bool, n_items: int = 100_000, n_queries: int = 200) -> list[Row]:
    """Milliseconds of CPU per query and per insert."""
    data, reader = made_up(n_items)
    started = time.process_time()
    finder = Finder.of(data, reader)
    built = time.process_time() - started
    rng = random.Random(2)
    drawn_titles = [str(data.catalog.table["title"][rng.randrange(n_items)]).split() for _ in range(n_queries)]
    asked = [" ".join(rng.sample(words, rng.choice((2, 3)))) for words in drawn_titles]
    alone = replace(finder, spec=WORDS_ALONE)
    spent = {
        "words alone": [cpu_ms(lambda q=q: alone.search(q)) for q in asked],
        "words and vectors": [cpu_ms(lambda q=q: finder.search(q)) for q in asked],
        "completion": [cpu_ms(lambda q=q: finder.complete(q[:3])) for q in asked],
        "one item more": [ms for _, ms in grown_by_one(alone, 100)],
    }
    rows = [
        Row(
            "search",
            f"speed {case}",
            "cpu_ms",
            float(np.mean(ms[5:])),
            *np.quantile(ms[5:], (0.05, 0.95)).tolist(),
            len(ms) - 5,
            "ms, 5-95%",
        )
        for case, ms in spent.items()
    ]
    rows.append(Row("search", "speed building", "cpu_s", built, built, built, 1, "s"))
    rows.append(Row("search", "speed words and vectors", "torch_imported", float("torch" in sys.modules), 0, 0, 1))
    return rows


def cpu_ms(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return 1e3 * (time.process_time() - started)


def grown_by_one(finder: Finder, n: int) -> Iterator[tuple[Finder, float]]:
    """Finders with one made-up item more each, and what each step cost."""
    finder = replace(finder, near=None, reader=None)
    for i in range(n):
        catalog = finder.data.catalog
        bare = Catalog(catalog.items, catalog.table, "title")
        data = finder.data.with_catalog(
            bare.with_rows([f"new {i}"], pl.DataFrame({"title": [f"brand new thing {i}"], "body": ["text of it"]}))
        )
        started = time.process_time()
        finder = finder.with_data(data)
        yield finder, 1e3 * (time.process_time() - started)


def made_up(n: int) -> tuple[Dataset, Reader]:
    """Items of real words drawn like Zipf's, with random vectors and the reader of a real encoder."""
    words = sorted(
        {word for title in read_source("mind_sample").items["title"].to_list() for word in str(title).lower().split() if word.isalpha()}
    )
    rng = np.random.default_rng(0)
    chance = 1 / (np.arange(len(words)) + 10)
    drawn = np.array(rng.permutation(words), object)[rng.choice(len(words), (n, 48), p=chance / chance.sum())]
    table = pl.DataFrame({
        "item_id": [str(i) for i in range(n)],
        "title": [" ".join(row[:8]) for row in drawn],
        "body": [" ".join(row[8:]) for row in drawn],
        "category": [f"kind {i % 40}" for i in range(n)],
    })  # fmt: skip
    columns = {"title": "text", "body": "text", "category": "category"}
    manifest = Manifest.parse({"name": "made-up", "order": "none", "items": {"title": "title", "columns": columns}})
    encoder = open_encoder().encoder
    vectors = rng.standard_normal((n, encoder.dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    none = np.zeros(0, np.int32)
    catalog = Catalog(Vocabulary(table["item_id"].to_list()), table, "title").with_vectors("text", Vectors(vectors, "made up"))
    data = Dataset(manifest, Vocabulary([]), catalog, Events.of(none, none, np.zeros(0, np.int64)))
    return data, Reader.of(encoder, template_for(manifest, catalog))


CASES: dict[str, Callable[..., list[Row]]] = {"cranfield": cranfield, "chinese": chinese, "titles": titles, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--case", default=",".join(CASES))
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    rows: list[Row] = []
    with threadpool_limits(1):
        for case in given.case.split(","):
            started = time.process_time()
            rows += CASES[case](tune=given.tune)
            print(f"{case}: {time.process_time() - started:.0f} CPU s", file=sys.stderr)
    show(rows, "search, tuning part" if given.tune else "search")
    write(rows, given.json)


if __name__ == "__main__":
    main()
