import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError, DataError
from zhiyin.page import plots
from zhiyin.page.style import number, shortened, tick, width_in

SVG = "{http://www.w3.org/2000/svg}"
EVERY = {
    "bars": lambda: plots.bars(["知音", "b & <c>"], [1.0, 2.5], [0.5, 2.0], [1.5, 3.0], title="bars <1>", x_label="ndcg@10"),
    "grouped": lambda: plots.grouped_bars(["cold", "warm"], {"a": [1, np.nan], "b": [2, 3]}, {"a": ([0, 1], [2, 3])}, title="g"),
    "lines": lambda: plots.lines([1, 10, 100], {"序列": [1, 2, 3], "b": [3, 2, 1]}, title="l", log_x=True, log_y=True, markers=True),
    "dates": lambda: plots.lines(np.arange("2011-01", "2011-07", dtype="datetime64[M]"), {"n": range(6)}, title="d"),
    "one date": lambda: plots.lines(np.array(["2023-11-14"], "datetime64[D]"), {"n": [2]}, title="o"),
    "one hour": lambda: plots.lines(np.array(["2023-11-14T05"], "datetime64[h]"), {"n": [2]}, title="o"),
    "one month": lambda: plots.lines(np.array(["2023-11"], "datetime64[M]"), {"n": [2]}, title="o"),
    "scatter": lambda: plots.scatter([1, 10, 11], [0.1, 0.2, 0.2], ["a", "b", "c"], [0, 0.1, 0.1], [0.2, 0.3, 0.3], title="s", log_x=True),
    "trade off": lambda: plots.trade_off(
        {"a": [0.1, 0.2, np.nan], "b": [0.1, 0.3, 0.4]},
        {"a": [0.5, 0.4, 0.3], "b": [1, 2, 3]},
        ["0", "0.5", "1"],
        {"a": ([0.0, 0.1, 0.2], [0.2, 0.3, 0.4])},
        {"a": ([0.4] * 3, [0.6] * 3)},
        title="t",
        x_label="more",
        y_label="less",
    ),
    "histogram": lambda: plots.histogram([1, 1, 2, 1000], title="h", log_x=True, log_y=True),
    "heatmap": lambda: plots.heatmap([[1, 2], [np.nan, 4]], ["周一", "Tue"], ["0", "1"], title="m", annotate=True),
    "nothing": lambda: plots.histogram([], title="empty"),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_plot_is_valid_titled_and_the_same_twice(name: str) -> None:
    plot = EVERY[name]()
    svg = plot.svg()
    root = ElementTree.fromstring(svg)
    title = root.find(f"{SVG}title")
    assert title is not None and title.text == plot.title
    assert svg == EVERY[name]().svg()
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg), "nothing is fetched"
    assert "<metadata" not in svg


def test_text_stays_text_and_colours_follow_the_page() -> None:
    svg = EVERY["bars"]().svg()
    texts = [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert {"知音", "b & <c>", "bars <1>", "ndcg@10"} <= set(texts)
    assert "var(--c0, #2f6db5)" in svg and "var(--ink, #20242c)" in svg


def test_ids_of_two_plots_in_a_page_do_not_clash() -> None:
    both = EVERY["bars"]().svg() + EVERY["heatmap"]().svg()
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids))


def test_bar_lengths_are_proportional_to_the_values() -> None:
    svg = plots.bars(["a", "b", "c"], [1.0, 2.0, 4.0]).svg()
    blue = list(re.findall(r'<path d="([^"]+)"[^>]*--c0', svg))
    wide = []
    for path in blue:
        xs = [float(v) for v in re.findall(r"[ML] ([-\d.]+) ", path)]
        wide.append(max(xs) - min(xs))
    assert np.allclose(np.array(wide) / wide[0], [1, 2, 4], rtol=1e-4)


def test_a_saved_svg_keeps_plain_colours_and_a_png_is_a_png(tmp_path) -> None:
    plot = EVERY["bars"]()
    svg = plot.save(tmp_path / "deep" / "x.svg").read_text(encoding="utf-8")
    assert svg.startswith("<?xml") and "var(" not in svg and "#2f6db5" in svg
    first = plot.save(tmp_path / "x.png").read_bytes()
    assert first.startswith(b"\x89PNG") and first == plot.save(tmp_path / "y.png").read_bytes()
    with pytest.raises(ConfigError, match=r"a plot cannot be saved as 'x.pdf' \(E300\). End the name in .svg or .png."):
        plot.save(tmp_path / "x.pdf")


def test_unequal_lengths_are_named() -> None:
    with pytest.raises(DataError, match="plot 'q' has 2 labels but 1 values"):
        plots.bars(["a", "b"], [1], title="q")
    with pytest.raises(DataError, match="plot 'q' has 2 x but 3 series 'n'"):
        plots.lines([1, 2], {"n": [1, 2, 3]}, title="q")
    with pytest.raises(DataError, match="plot 'q' has 1 rows but 2 matrix rows"):
        plots.heatmap([[1], [2]], ["a"], ["b"], title="q")


def test_numbers_as_people_read_them() -> None:
    assert [number(v) for v in (6040, 0.1722, 1500.55, float("nan"))] == ["6,040", "0.1722", "1,500.5", ""]
    assert [tick(v) for v in (0, 0.05, 1000, 20000, 3e6)] == ["0", "0.05", "1000", "20k", "3M"]
    assert width_in("知音") == pytest.approx(2 * 9 / 72)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(4, 40))
def test_a_shortened_text_never_takes_more_room(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert width_in(short) <= width_in("a") * (limit + 2)
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_points_at_one_place_of_a_log_axis_warn_of_nothing() -> None:
    """Three closed forms that all took no measurable time."""
    assert "<svg" in plots.scatter([0.01] * 3, [0.1, 0.2, 0.3], ["a", "b", "c"], [0.05] * 3, [0.4] * 3, log_x=True).svg()


def test_a_trade_off_needs_a_point_for_every_label() -> None:
    with pytest.raises(DataError, match="3 x of 'a' but 2 y"):
        plots.trade_off({"a": [1, 2, 3]}, {"a": [1.0, 2.0]}, ["0", "0.5", "1"])
    with pytest.raises(DataError, match="2 x of 'a' but 3 labels"):
        plots.trade_off({"a": [1, 2]}, {"a": [1.0, 2.0]}, ["0", "0.5", "1"])
