import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError, DataError
from zhiyin.page.page import Page
from zhiyin.page.plots import bars


class _Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        assert not self.stack, f"unclosed {self.stack}"

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.stack and self.stack.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)


def _full() -> Page:
    page = Page("知音 report", "A & B", language="zh-CN")
    page.heading("One").text("first\n\nsecond").facts({"users": 6040, "span": "3 years"})
    page.heading("Two").note("Look here.", "warn", "Do that.")
    page.table(["model", "ndcg@10"], [["popular", 0.05], ["ease", None]], caption="t", strong={(0, 1)})
    page.heading("Three").plot(bars(["a"], [1], title="p"), "a caption").raw_html("<p id='mine'>raw</p>")
    return page.json_data("people", {"name": "</script><b>", "zh": "知音"})


def test_one_file_that_fetches_nothing(tmp_path) -> None:
    html = _full().save(tmp_path / "a" / "r.html").read_text(encoding="utf-8")
    reader = _Reader(html)
    for _tag, attributes in reader.tags:
        assert not {"src", "href"} & set(attributes) or str(attributes.get("href")).startswith("#")
    assert "@import" not in html and "url(http" not in html
    assert ("html", {"lang": "zh-CN"}) in reader.tags
    assert any(a.get("name") == "viewport" for t, a in reader.tags if t == "meta")
    said = " ".join(reader.text)
    for words in ("知音 report", "A & B", "first", "second", "6,040", "Look here.", "Do that.", "popular", "0.0500", "a caption", "raw"):
        assert words in said, words


def test_three_headings_make_a_list_of_contents_that_leads_to_them() -> None:
    html = _full().html()
    assert re.findall(r'<a href="#(section-\d)">(\w+)</a>', html) == [("section-1", "One"), ("section-2", "Two"), ("section-3", "Three")]
    assert 'id="section-3"' in html
    assert "<nav" not in Page("t").heading("only").html()


def test_numbers_align_right_and_sort_by_their_value() -> None:
    html = Page("t").table(["n"], [[1500.5], [2000], [math.nan]]).html()
    assert '<td class="n" data-sort="1500.5">1,500.5</td>' in html
    assert '<td class="n" data-sort="2000.0">2,000</td>' in html
    assert '<td class="n"></td>' in html


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(DataError, match="row 2 of table 'x' has 1 cells for 2 columns"):
        Page("t").table(["a", "b"], [[1, 2], [3]], caption="x")
    with pytest.raises(ConfigError, match="page data 'd' is not JSON"):
        Page("t").json_data("d", [math.nan])
    with pytest.raises(ConfigError, match="'a b' cannot name page data"):
        Page("t").json_data("a b", 1)
    with pytest.raises(ConfigError, match="'d' cannot name page data"):
        Page("t").json_data("d", 1).json_data("d", 2)
    with pytest.raises(ConfigError, match=r"a page cannot be saved as 'x\.pdf'"):
        Page("t").save("x.pdf")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40))
def test_any_text_is_shown_as_text_and_data_comes_back(text: str) -> None:
    nasty = text + "<script>alert(1)</script>&</script>\"'"
    page = Page(nasty, nasty).heading(nasty).text(nasty).note(nasty, remedy=nasty).facts({nasty: nasty})
    page.table([nasty], [[nasty]], caption=nasty).json_data("d", {nasty: [nasty]})
    reader = _Reader(page.html())
    assert sum(tag == "script" for tag, _ in reader.tags) == 2  # the data and the sorting
    inside = re.search(r'id="d">(.*?)</script>', page.html(), re.DOTALL)
    assert inside and json.loads(inside[1]) == {nasty: [nasty]}


def test_plots_of_a_page_are_saved_beside_it(tmp_path: Path) -> None:
    page = Page("t").plot(bars(["a", "b"], [1.0, 2.0], title="NDCG@10 by items!")).plot(bars(["a"], [1.0], title="?"))
    saved = page.save_plots(tmp_path / "plots")
    assert [path.name for path in saved] == ["01-ndcg@10-by-items.svg", "02-plot.svg"]
    assert all(path.read_text(encoding="utf-8").startswith("<?xml") for path in saved)
    assert all(path.with_suffix(".png").read_bytes().startswith(b"\x89PNG") for path in saved)


def test_no_line_ends_within_an_interval_or_a_short_name() -> None:
    html = Page("t").table(["model", "ndcg@10"], [["buy-again", "0.24 [0.21, 0.27]"], ["ease", "+5% [-1%, +9%] of [a, b]"]]).html()
    assert "0.24 [0.21,\u00a00.27]" in html and "+5% [-1%,\u00a0+9%] of [a, b]" in html
    assert '<td class="k">buy-again</td>' in html
