"""One self-contained HTML file: opens from a folder, offline, on a phone, light or dark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from zhiyin.base.errors import ConfigError, DataError
from zhiyin.page.plots import Plot
from zhiyin.page.style import number

if TYPE_CHECKING:
    from jinja2 import Template

Severity = Literal["info", "warn", "bad", "good"]


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    sort: str  # what the column sorts by
    numeric: bool
    strong: bool


class Page:
    """Blocks from top to bottom; every method adds one and returns the page.

    All text is escaped except what goes through ``raw_html``. ``language`` is the HTML ``lang``.
    """

    def __init__(self, title: str, lead: str = "", *, language: str = "en") -> None:
        self.title = title
        self.lead = lead
        self.language = language
        self._blocks: list[dict[str, Any]] = []
        self._data: dict[str, str] = {}
        self._plots: list[Plot] = []

    def heading(self, text: str) -> Self:
        """Start a section; with three or more the page shows a list of contents."""
        n = sum(b["kind"] == "heading" for b in self._blocks)
        return self._add("heading", text=text, anchor=f"section-{n + 1}")

    def text(self, text: str) -> Self:
        """Paragraphs, split at empty lines."""
        return self._add("text", paragraphs=[p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()])

    def note(self, text: str, severity: Severity = "info", remedy: str = "") -> Self:
        """One finding with a coloured edge, and what to do about it."""
        return self._add("note", text=text, severity=severity, remedy=remedy)

    def facts(self, values: Mapping[str, object]) -> Self:
        """A row of large numbers with their names."""
        return self._add("facts", facts=[(name, _cell(value, strong=False).text) for name, value in values.items()])

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        caption: str = "",
        strong: AbstractSet[tuple[int, int]] = frozenset(),
    ) -> Self:
        """A table people can sort by clicking a column. ``strong`` holds (row, column) cells to print bold.

        A row of another length than ``columns`` raises ``DataError``.
        """
        body = []
        for i, row in enumerate(rows):
            if len(row) != len(columns):
                raise DataError(f"row {i + 1} of table '{caption}' has {len(row)} cells for {len(columns)} columns", "Give one per column.")
            body.append([_cell(value, strong=(i, j) in strong) for j, value in enumerate(row)])
        numeric = [bool(body) and all(r[j].numeric or not r[j].text for r in body) for j in range(len(columns))]
        return self._add("table", columns=list(zip(columns, numeric, strict=True)), rows=body, caption=caption)

    def plot(self, plot: Plot, caption: str = "") -> Self:
        self._plots.append(plot)
        return self._add("plot", svg=plot.svg(), caption=caption)

    def raw_html(self, html: str) -> Self:
        """Trusted HTML as it is: whoever calls this has escaped the data in it."""
        return self._add("raw", html=html)

    def json_data(self, name: str, value: Any) -> Self:
        """Data for scripts: ``JSON.parse(document.getElementById(name).textContent)``.

        Raises ``ConfigError`` for a name that is no plain identifier or is taken, and for NaN or infinity.
        """
        if not re.fullmatch(r"[A-Za-z][\w-]*", name) or name in self._data:
            raise ConfigError(f"'{name}' cannot name page data", "Use a new name of letters, digits, '-' and '_'.")
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"page data '{name}' is not JSON: {error}", "Use plain numbers, text, lists and dicts; None for missing."
            ) from None
        # Inside a script element the only danger is "</script" and "<!--".
        self._data[name] = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return self

    def html(self) -> str:
        """The whole file as text."""
        headings = [b for b in self._blocks if b["kind"] == "heading"]
        return _template().render(page=self, blocks=self._blocks, data=self._data, contents=headings if len(headings) > 2 else [])

    def save(self, path: str | Path) -> Path:
        """Write the file (folders are made) and return its path."""
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"a page cannot be saved as '{path.name}'", "End the name in .html.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def save_plots(self, folder: str | Path) -> list[Path]:
        """Every plot of the page as SVG and as PNG, numbered and named by its title; returns the SVG paths."""
        saved = []
        for i, plot in enumerate(self._plots, 1):
            name = re.sub(r"[^\w@-]+", "-", plot.title.lower()).strip("-") or "plot"
            saved.append(plot.save(Path(folder) / f"{i:02d}-{name}.svg"))
            plot.save(Path(folder) / f"{i:02d}-{name}.png")
        return saved

    def _add(self, kind: str, **values: Any) -> Self:
        self._blocks.append({"kind": kind, **values})
        return self


INTERVAL = re.compile(r"(\[[-+]?[\d.]+%?), (?=[-+]?[\d.]+%?\])")
"""[0.21, 0.27]: a line may end before the bracket, never within it."""


def _cell(value: object, *, strong: bool) -> _Cell:
    if value is None:
        return _Cell("", "", numeric=False, strong=strong)
    if isinstance(value, bool | np.bool_):
        return _Cell("yes" if value else "no", str(int(value)), numeric=False, strong=strong)
    if isinstance(value, int | float | np.integer | np.floating):
        missing = value != value
        return _Cell(number(float(value)), "" if missing else repr(float(value)), numeric=True, strong=strong)
    text = str(value)
    return _Cell(INTERVAL.sub("\\1,\u00a0", text), text, numeric=False, strong=strong)


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files("zhiyin.page").joinpath("page.html").read_text(encoding="utf-8"))
