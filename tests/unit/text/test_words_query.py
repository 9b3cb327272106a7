"""Queries against a dozen titles: what is found, and how the query was read."""

from __future__ import annotations

from collections import Counter

import pytest

from zhiyin.index.lexical import LexicalIndex
from zhiyin.text.synonyms import Synonyms
from zhiyin.text.words_lexicon import Lexicon
from zhiyin.text.words_query import QueryReader, Reading
from zhiyin.text.words_terms import said

TITLES = (
    "苹果手机 iPhone 15 Pro 128G",
    "华为手机壳 透明",
    "无线蓝牙耳机",
    "Women's running shoes size 40",
    "Wi-Fi router",
    "罗技鼠标",
    "运动鞋男",
    "收集袋",
    "Harry Potter and the Goblet of Fire",
    "手机",
    "重庆火锅底料",
    "书 women she",
)
SYNONYMS = Synonyms.from_pairs([["earphones", "耳机", "head phones"]], {"sneaker": ["运动鞋"]})


@pytest.fixture(scope="module")
def reader() -> QueryReader:
    read = [said(title, in_title=True) for title in TITLES]
    index = LexicalIndex.of([[r.terms] for r in read])
    return QueryReader(Lexicon.of(Counter(word for r in read for word in set(r.words))), index.count, SYNONYMS)


def found(reading: Reading) -> list[str]:
    index = LexicalIndex.of([[said(title, in_title=True).terms] for title in TITLES])
    return [TITLES[i] for i in index.search([reading.groups], 3, have="all").item_ix]


@pytest.mark.parametrize(
    ("typed", "understood", "how", "first"),
    [
        ("手機", "手机", "word", "手机"),
        ("shouji", "手机", "pinyin", "手机"),
        ("shou ji", "手机", "pinyin", "手机"),
        ("pingguo shouji", "苹果手机", "pinyin", TITLES[0]),
        ("chongqinghuoguo", "重庆火锅", "pinyin", TITLES[10]),
        ("sj", "手机", "initials", "手机"),
        ("手鸡", "手机", "sound", "手机"),
        ("手几", "手机", "sound", "手机"),
        ("无线耳几", "无线耳机", "word", TITLES[2]),
        ("滑鼠", "鼠标", "word", TITLES[5]),
        ("hary poter", "harry potter", "typo", TITLES[8]),
        ("goblt of fier", "goblet of fire", "typo", TITLES[8]),
        ("wifi", "wifi", "word", TITLES[4]),
        ("wi-fi ruter", "wi-fi router", "word", TITLES[4]),
        ("iphone15", "iphone15", "parts", TITLES[0]),
        ("earphone", "耳机", "synonym", TITLES[2]),
        ("head phones", "head phones", "word", TITLES[2]),
        ("sneakers", "运动鞋", "synonym", TITLES[6]),
        ("鞋", "鞋", "word", TITLES[6]),
        ("women", "women", "word", TITLES[11]),
        ("the", "the", "word", TITLES[8]),
    ],
)
def test_what_is_typed_finds_what_is_meant(reader: QueryReader, typed: str, understood: str, how: str, first: str) -> None:
    reading = reader.read(typed)
    assert reading.understood == understood
    assert reading.parts[0].ways[0].how == how
    assert found(reading)[0] == first


def test_a_known_word_is_doubted_only_when_asked_to(reader: QueryReader) -> None:
    assert [way.how for way in reader.read("size").parts[0].ways] == ["word"]
    assert reader.read("pire").parts[0].ways[0].word == "fire"
    doubted = reader.read("fire", lenient=True).parts[0].ways
    assert doubted[0].word == "fire" and doubted[0].how == "word"


def test_weights_fall_with_distance(reader: QueryReader) -> None:
    one, two = reader.read("poter").parts[0].ways[0], reader.read("potre").parts[0].ways[0]
    assert 1 > one.weight > 0 and one.word == "potter"
    ways = reader.read("rouetr").parts[0].ways
    assert {way.word for way in ways} >= {"router"} and two.weight <= one.weight


def test_stop_words_help_without_being_asked_for(reader: QueryReader) -> None:
    reading = reader.read("what is the goblet")
    assert [(part.typed, part.required) for part in reading.parts if part.required] == [("goblet", True)]
    assert found(reading) == [TITLES[8]]


def test_what_nobody_has_stays_and_is_not_found(reader: QueryReader) -> None:
    reading = reader.read("zzzqqq 16")
    assert [part.ways for part in reading.parts] == [(), ()], "another number is another thing"
    assert found(reading) == []
    assert reader.read("!!!").parts == ()
