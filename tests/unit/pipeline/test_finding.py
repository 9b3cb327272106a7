"""Search on a shop of a few dozen things in two languages."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, ModelFileError, UnknownNameError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.roles import State
from zhiyin.pipeline.finding import Finder
from zhiyin.pipeline.finding_facets import round_limits
from zhiyin.pipeline.finding_found import Completion
from zhiyin.pipeline.finding_fuse import FindingSpec, fused, preferred, title_likeness
from zhiyin.pipeline.finding_learned import Learned
from zhiyin.pipeline.finding_near import Near
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.text.synonyms import Synonyms
from zhiyin.text.vectors import reader_for, with_text_vectors

KINDS = {
    "手机": ["苹果手机 iPhone 15", "华为手机 Mate", "老人手机 大字", "手机壳 透明", "手机充电器 快充", "游戏手机 高刷"],
    "鞋": ["运动鞋 男", "跑步鞋 女", "登山鞋 防水", "儿童运动鞋", "皮鞋 商务", "凉鞋 夏季"],
    "books": ["Harry Potter and the Goblet of Fire", "The Hobbit", "A Game of Thrones", "The Lord of the Rings", "Dune", "Foundation"],
    "tools": ["Cordless drill", "Claw hammer", "Wood screws box", "Measuring tape", "Impact drill set", "Pipe wrench"],
}
MANIFEST = Manifest.parse({
    "name": "shop",
    "order": "none",
    "items": {
        "title": "title",
        "columns": {"title": "text", "about": "text", "kind": "category", "tags": "list", "price": "price"},
    },
})  # fmt: skip
ABOUT = {"手机": "屏幕清晰 电池耐用", "鞋": "舒适 透气 鞋底防滑", "books": "a novel to read", "tools": "for the workshop"}


def table(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame({
        "title": [title for title, _ in rows],
        "about": [ABOUT.get(kind, "") for _, kind in rows],
        "kind": [kind for _, kind in rows],
        "tags": [[kind[:1], "new"] if i % 2 else ["new"] for i, (_, kind) in enumerate(rows)],
        "price": [float(3 * i + 1) for i in range(len(rows))],
    })  # fmt: skip


ROWS = [(title, kind) for kind, titles in KINDS.items() for title in titles]


def shop() -> Dataset:
    items = Vocabulary([f"i{i}" for i in range(len(ROWS))])
    # The later an item stands in its kind, the more people took it.
    taken = np.repeat(np.arange(len(ROWS)), 1 + np.arange(len(ROWS)) % 6)
    events = Events.of(np.zeros(len(taken), np.int32), taken, np.zeros(len(taken), np.int64))
    return Dataset(MANIFEST, Vocabulary(["u"]), Catalog(items, table(ROWS), "title"), events)


@pytest.fixture(scope="module")
def finder() -> Finder:
    data = shop()
    reader = reader_for(data, "catalogue")
    return Finder.of(with_text_vectors(data, reader), reader, synonyms=Synonyms.from_pairs([["novel", "小说"]], {"borer": ["drill"]}))


@pytest.fixture(scope="module")
def words() -> Finder:
    """The same without vectors."""
    return Finder.of(shop(), None)


def titles(finder: Finder, text: str, n: int = 10, **rest: object) -> list[str]:
    return [item.title for item in finder.search(text, n, **rest)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "first", "reason"),
    [
        ("苹果手机", "苹果手机 iPhone 15", "matched: 苹果, 手机"),
        ("pingguo shouji", "苹果手机 iPhone 15", "matched: 苹果 (pinyin), 手机 (pinyin)"),
        ("運動鞋", "运动鞋 男", "matched: 运动鞋"),
        ("hary poter", "Harry Potter and the Goblet of Fire", "matched: harry (spelling), potter (spelling)"),
        ("the hobbit", "The Hobbit", "matched: hobbit"),
        ("borer", "Impact drill set", "matched: drill (synonym)"),
    ],
)
def test_the_right_item_comes_first_and_says_why(finder: Finder, typed: str, first: str, reason: str) -> None:
    found = finder.search(typed, 3)
    if typed == "borer":
        assert {item.title for item in found.items[:2]} == {"Cordless drill", "Impact drill set"}
    else:
        assert found.items[0].title == first
    assert found.items[0].reason == reason
    assert found.fallback == "" and found.note == ""
    assert found.n_matched <= found.total


def test_a_filter_leaves_what_it_allows_and_all_of_it(words: Finder) -> None:
    allowed = np.zeros(len(ROWS), np.bool_)
    allowed[[1, 3, 7]] = True
    assert set(titles(words, "手机", allowed=allowed)) == {"华为手机 Mate", "手机壳 透明"}
    assert titles(words, "手机", 1, allowed=allowed) == titles(words, "手机", 2, allowed=allowed)[:1]


def test_what_is_not_available_is_neither_found_nor_completed(words: Finder) -> None:
    gone = words.with_data(words.data.with_catalog(words.data.catalog.with_availability(["i19"], False)))
    assert "Claw hammer" not in titles(gone, "hammer")
    assert words.complete("claw") and not gone.complete("claw")


def test_pages_never_repeat_and_end(finder: Finder) -> None:
    seen, offset = list[str](), 0
    while True:
        page = finder.search("手机", 4, offset=offset)
        seen += page.ids
        if page.next_offset is None:
            break
        offset = page.next_offset
    assert len(seen) == len(set(seen)) == page.total
    assert seen[:10] == finder.search("手机", 10).ids
    assert finder.search("手机", 4, offset=1000).items == ()


def test_pages_go_on_behind_the_pool() -> None:
    rows = [(f"red thing number {i}", "things") for i in range(60)]
    data = shop()
    catalog = Catalog(Vocabulary([f"t{i}" for i in range(60)]), table(rows), "title")
    many = Finder.of(data.with_catalog(catalog), None, popularity=np.zeros(60), spec=FindingSpec(depth=10))
    pages = [many.search("red thing", 7, offset=offset).ids for offset in range(0, 60, 7)]
    assert sorted(i for page in pages for i in page) == sorted(catalog.items.ids.to_pylist())


def test_facets_count_what_was_found(words: Finder) -> None:
    found = words.search("手机", 2)
    assert found.total == found.n_matched == 6
    assert [(f.value, f.count) for f in found.facets["kind"]] == [("手机", 6)]
    assert {f.value: f.count for f in found.facets["tags"]} == {"new": 6, "手": 3}
    assert sum(f.count for f in found.facets["price"]) == 6
    assert list(words.search("手机", facets=["price"]).facets) == ["price"]
    with pytest.raises(UnknownNameError, match=r"'kinds' is not a facet of these items .* Did you mean 'kind'"):
        words.search("手机", facets=["kinds"])


def test_bands_have_round_limits() -> None:
    assert round_limits(np.array([1.0, 9, 18, 33, 47, 190, np.nan])).tolist() == [10, 20, 50]
    assert round_limits(np.array([])).tolist() == []


@pytest.mark.parametrize(
    ("typed", "fallback", "note"),
    [
        ("hammer spaceship", "some words", "no item has all the words (spaceship in none): showing items with some of them"),
        ("tame of thrones", "corrected", "no item has all the words as typed: showing 'game of thrones'"),
        ("xyzzyxyzzy", "popular", "nothing found: showing what is popular"),
    ],
)
def test_where_nothing_has_the_words_the_answer_says_what_was_done(words: Finder, typed: str, fallback: str, note: str) -> None:
    known = (
        words
        if fallback != "corrected"
        else words.with_data(words.data.with_catalog(words.data.catalog.with_rows(["tame"], table([("Tame cats", "cats")]))))
    )
    found = known.search(typed, 3)
    assert (found.fallback, found.note) == (fallback, note)
    assert len(found) == min(3, found.total)
    if fallback == "popular":
        assert [item.reason for item in found] == ["popular"] * 3 and found.n_matched == 0
        assert {item.title for item in found} <= {titles_[-1] for titles_ in KINDS.values()}, "what most people took"
    assert known.search(typed, 3, language="zh").note != note


def test_meaning_helps_where_words_do_not(finder: Finder) -> None:
    """电池 stands in the texts of phones alone; with the phones' words filtered away, meaning is left."""
    phones = np.array([kind == "手机" for _, kind in ROWS])
    found = finder.search("充电", 3)
    assert found.items[0].title == "手机充电器 快充"
    others = finder.search("充电", 5, allowed=phones & np.array(["充电" not in title for title, _ in ROWS]))
    assert others.fallback in ("meaning", "popular") and {ROWS[item.item_ix][1] for item in others} == {"手机"}


def test_preferences_weigh_as_much_as_stated(words: Finder) -> None:
    taste = np.zeros(len(ROWS), np.float32)
    favourite = words.search("手机", 6).items[-1].item_ix
    taste[favourite] = 3.0
    assert words.search("手机").personalised == 0.0
    moved = words.search("手机", preference=taste, preference_share=0.9)
    assert moved.items[0].item_ix == favourite and moved.personalised == 0.9
    assert words.search("手机", preference=taste, preference_share=0.0).ids == words.search("手机").ids
    absent = np.full(len(ROWS), -np.inf, np.float32)
    assert words.search("手机", preference=absent).ids == words.search("手机").ids
    assert words.search("手机", preference=taste).personalised == FindingSpec().preference


def test_completion_is_popular_first_and_knows_pinyin(words: Finder) -> None:
    assert words.complete("shou")[0] == Completion("手机", "kind"), "the category has more behind it than any title"
    assert words.complete("手") == words.complete("shou")
    assert [c.text for c in words.complete("the ")] == ["The Lord of the Rings", "The Hobbit"]
    assert words.complete("sou ji") == [] or words.complete("shou ji")[0].text == "手机"
    assert words.complete("goblet")[0].text == "Harry Potter and the Goblet of Fire"
    assert words.complete("hary pot")[0].text == "Harry Potter and the Goblet of Fire", "misspelt words are mended"
    assert words.complete("zzz") == [] and words.complete(" ") == []


def test_new_and_changed_items_are_found_at_once(finder: Finder) -> None:
    catalog = finder.data.catalog
    grown = catalog.with_rows(["new"], table([("蓝牙音箱 Bluetooth speaker", "audio")]))
    grown = grown.with_values(["i23"], pl.DataFrame({"title": ["Adjustable spanner"], "kind": ["hand tools"]}))
    assert finder.reader is not None
    later = finder.with_data(finder.data.with_catalog(finder.reader.fill(grown)), changed=[23])
    for typed in ("bluetooth", "音箱", "yinxiang", "bluetoth speeker"):
        assert later.search(typed, 1).ids == ["new"], typed
    assert later.complete("blue")[0].text == "蓝牙音箱 Bluetooth speaker"
    assert later.search("spanner", 1).ids == ["i23"] and later.search("wrench", 1).n_matched == 0
    assert [f.value for f in later.search("spanner", 1, allowed=np.arange(25) == 23).facets["kind"]] == ["hand tools"]
    assert "new" not in finder.search("bluetooth", 3).ids, "the old finder is as it was"
    one_by_one = finder.with_data(finder.data.with_catalog(finder.reader.fill(grown)), changed=[23])
    assert one_by_one.search("手机").to_dict() == later.search("手机").to_dict()


def test_what_was_learned_comes_back_from_disk(finder: Finder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    state = finder.learned.state()
    write_bundle(tmp_path / "search", Bundle({"search": dict(state.meta)}, state.arrays))
    bundle = read_bundle(tmp_path / "search")
    learned = Learned.restore(State(bundle.arrays, bundle.meta["search"]))
    again = Finder.of(finder.data, finder.reader, learned=learned, synonyms=finder.synonyms)
    for typed in ("苹果手机", "hary poter", "shouji", "a novel to read in the evening with much time", "xyzzy"):
        assert again.search(typed).to_dict() == finder.search(typed).to_dict()
    assert again.complete("shou") == finder.complete("shou")
    shorter = finder.data.with_catalog(Catalog(Vocabulary(["x"]), table([("x", "y")]), "title"))
    with pytest.raises(ModelFileError, match="the search index was made from 24 items, the catalogue has 1"):
        Finder.of(shorter, None, learned=learned, popularity=np.zeros(1))


def test_intent_knows_what_a_text_is_about() -> None:
    rng = np.random.default_rng(0)
    vocabulary = {"phones": ["screen", "battery", "camera", "signal"], "shoes": ["sole", "leather", "laces", "comfort"]}
    rows = [
        (" ".join([*rng.choice(own, 3), *rng.choice(["good", "bad", "fast", "thing", "really", "bought"], 4)]), kind)
        for kind, own in vocabulary.items()
        for _ in range(80)
    ]
    catalog = Catalog(Vocabulary([f"t{i}" for i in range(160)]), table(rows), "title")
    finder = Finder.of(shop().with_catalog(catalog), None, popularity=np.zeros(160))
    intent = finder.learned.intent
    assert intent is not None and intent.share_right == 1.0
    told = dict(zip(intent.categories, intent.shares(["camera", "batteri", "really", "good", "fast", "bought", "thing"]), strict=True))
    assert told["phones"] > 0.9
    assert intent.shares(["camera"]).sum() < 0.5, "one word says little"
    assert intent.shares(["unheard"]).sum() == 0.0
    found = finder.search("really good thing bought fast with camera and signal and battery", 10)
    assert {rows[item.item_ix][1] for item in found} == {"phones"}


def test_the_formula_of_the_score() -> None:
    spec = FindingSpec(meaning=0.5, intent=2.0)
    score = fused(np.float32([4, 2, 0]), 4.0, np.float32([0.1, 0.5, 0.3]), 0.1, np.float32([0.0, 0.5, 0.0]), spec)
    assert np.allclose(score, [0.5, 0.25 + 0.5 + 1.0, 0.25])
    assert np.allclose(fused(np.float32([4, 2]), 4.0, None, 0.0, None, spec), [1.0, 0.5])
    assert np.allclose(preferred(np.float32([2, 1]), np.float32([np.nan, 7]), 0.25), [0.75, 0.375])
    assert title_likeness("Dune", ["Dune", "dune!", "Foundation"]).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "words_"),
    [
        (lambda f: f.search("  "), "the text to search for is empty"),
        (lambda f: f.search("a", 0), "n = 0 items from place 0 cannot be shown"),
        (lambda f: f.search("a", offset=-1), "from place -1"),
        (lambda f: f.search("a", allowed=np.ones(3, np.bool_)), "'allowed' has 3 values for 24 items"),
        (lambda f: f.search("a", preference=np.ones(3)), "'preference' has 3 values for 24 items"),
        (lambda f: f.complete("a", 0), "n = 0 completions"),
    ],
)
def test_questions_that_make_no_sense_are_refused(words: Finder, call, words_: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=words_):
        call(words)


def test_an_empty_shop_answers_with_nothing() -> None:
    empty = Finder.of(
        shop().with_catalog(Catalog(Vocabulary([]), table([]).cast({"kind": pl.String}), "title")), None, popularity=np.zeros(0)
    )
    assert empty.search("手机").items == () and empty.complete("s") == []


def test_search_never_imports_torch() -> None:
    code = "import sys; import zhiyin.pipeline.finding; print([m for m in ('torch', 'sklearn', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_vectors_beside_the_index_are_as_exact_as_those_in_it() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((700, 8)).astype(np.float32)
    near = Near.of(matrix)
    changed = np.array([3, 699])
    moved = np.vstack([matrix, rng.standard_normal((5, 8))]).astype(np.float32)
    moved[changed] = rng.standard_normal((2, 8))
    moved[704] = 0.0
    later = near.with_rows(moved, changed)
    more = np.vstack([moved, moved[:1]])
    latest = later.with_rows(more, np.array([702]))
    for seed in range(20):
        query = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
        allowed = np.random.default_rng(seed).random(len(more)) < 0.5
        for known, vectors, mask in ((later, moved, None), (latest, more, None), (latest, more, allowed)):
            cosine = np.where(vectors.any(axis=1) & (True if mask is None else mask), vectors @ query, -np.inf)
            rows, scores = known.closest(query, 5, mask, share=-99.0)
            assert rows.tolist() == np.lexsort((np.arange(len(vectors)), -cosine))[:5].tolist()
            assert np.allclose(scores, cosine[rows], atol=1e-5)
    assert len(Near.of(matrix).with_rows(rng.standard_normal((1_800, 8)).astype(np.float32), changed).loose) == 0, "built again"
