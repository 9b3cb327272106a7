"""What happens to rows that are empty, unreadable, doubled or odd: as the manifest says, and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int32, Int64
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.base.units import US_PER_MINUTE
from zhiyin.data.columns import Parsed, Problem, Source, mask
from zhiyin.data.schema import Cleaning
from zhiyin.data.tables import toml_key

Parser = Callable[[pl.Series, str], Parsed]
QUARANTINE = pl.Schema({"file": pl.String, "row": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String})


@dataclass(frozen=True, slots=True)
class Change:
    """So many rows of a table were dropped, filled, flagged, clipped, moved or merely noted, and why."""

    table: str
    column: str
    action: str
    reason: str
    rows: int


@dataclass(frozen=True)
class LoadReport:
    """What reading did: rows read and kept per table, every change, and the rows put aside."""

    read: Mapping[str, int]
    kept: Mapping[str, int]
    changes: tuple[Change, ...]
    quarantine: pl.DataFrame  # file, row (1 = first data row), column, value, reason

    def rows(self, action: str, table: str = "events") -> int:
        """How many rows of a table met an action; rows may meet several."""
        return sum(c.rows for c in self.changes if c.action == action and c.table == table)

    def table(self) -> pl.DataFrame:
        """The changes as a table: table, column, action, reason, rows."""
        schema = {"table": pl.String, "column": pl.String, "action": pl.String, "reason": pl.String, "rows": pl.Int64}
        return pl.DataFrame([(c.table, c.column, c.action, c.reason, c.rows) for c in self.changes], schema=schema, orient="row")

    def lines(self) -> list[str]:
        """One sentence per table and per change, for people."""
        out = [f"{name}: {self.kept[name]:,} of {n:,} rows kept" for name, n in self.read.items()]
        of = [f" '{c.column}'" if c.column else "" for c in self.changes]
        return out + [f"{c.table}{o}: {c.rows:,} rows {c.action}: {c.reason}" for c, o in zip(self.changes, of, strict=True)]


@dataclass
class Ledger:
    """Collects the changes while tables are read."""

    read: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    aside: list[pl.DataFrame] = field(default_factory=list)

    def note(self, table: str, column: str, action: str, reason: str, rows: int) -> None:
        """Count a change; a column that the manifest names twice is counted once."""
        change = Change(table, column, action, reason, int(rows))
        if rows and change not in self.changes:
            self.changes.append(change)

    def report(self) -> LoadReport:
        aside = pl.concat(self.aside) if self.aside else pl.DataFrame(schema=QUARANTINE)
        return LoadReport(dict(self.read), dict(self.kept), tuple(self.changes), aside)


class Rows:
    """The rows of one table on their way in: each column is settled, then the kept rows are taken."""

    def __init__(self, source: Source, clean: Cleaning, ledger: Ledger) -> None:
        self.source = source
        self.clean = clean
        self.ledger = ledger
        self.keep: Bool = np.ones(source.height, np.bool_)
        self.flags: dict[str, pl.Series] = {}
        ledger.read[source.name] = source.height

    def place(self, column: str) -> str:
        return f"{self.source.file} column '{column}'"

    def drop(self, rows: Bool, column: str, reason: str, raw: pl.Series | None = None) -> None:
        """Leave rows out and put them aside with a reason; rows already left out do not count twice."""
        gone = np.flatnonzero(rows & self.keep)
        if not len(gone):
            return
        self.keep[gone] = False
        self.ledger.note(self.source.name, column, "dropped", reason, len(gone))
        values = raw.gather(gone).cast(pl.String, strict=False) if raw is not None and not raw.dtype.is_nested() else None
        frame = {"file": self.source.file, "row": gone + 1, "column": column, "value": values, "reason": reason}
        self.ledger.aside.append(pl.DataFrame(frame, schema=QUARANTINE))

    def discard(self, rows: Bool, column: str, reason: str) -> None:
        """Leave sound rows out (doubles, too few events): counted, not put aside."""
        gone = rows & self.keep
        self.keep &= ~gone
        self.ledger.note(self.source.name, column, "dropped", reason, int(gone.sum()))

    def fail(self, raw: pl.Series, column: str, problem: Problem) -> DataError:
        """One sentence about the first row of a problem."""
        rows = np.flatnonzero(problem.rows & self.keep)
        more = f" (and {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
        value = raw[int(rows[0])]
        said = "is empty" if value is None else f"{_short(value)} {problem.why}"
        hint = problem.hint or f'Correct it, or leave such rows out: [clean.missing] {toml_key(column)} = "drop".'
        return DataError(f"{self.source.file} row {rows[0] + 1:,}, column '{column}': {said}{more}", hint)

    def settle(self, column: str, raw: pl.Series, parse: Parser, *, needed: bool = False) -> pl.Series:
        """Read a column; what is empty or unreadable meets the rule of the manifest, or raises."""
        rule = self.clean.missing.get(column)
        parsed = parse(raw, self.place(column))
        problems = [p for p in parsed.problems if bool((p.rows & self.keep).any())]
        if problems and rule is None:
            raise self.fail(raw, column, problems[0])
        if rule == "drop":
            for problem in problems:
                self.drop(problem.rows, column, problem.why, raw)
            self.drop(mask(parsed.values.is_null()), column, "is empty", raw)
            return parsed.values
        if rule == "flag":
            if needed:
                said = f'clean.missing.{column} = "flag" cannot be: every event needs {self.place(column)}'
                raise ConfigError(said, 'Say "drop", or give a value to fill in.')
            return self._flagged(column, parsed.values)
        values = parsed.values if rule is None else self._filled(column, parsed.values, rule, parse)
        if needed and values.null_count():
            empty = Problem(mask(values.is_null()), "is empty")
            if bool((empty.rows & self.keep).any()):
                raise self.fail(values, column, empty)
        return values

    def _flagged(self, column: str, values: pl.Series) -> pl.Series:
        absent = values.is_null()
        self.flags[f"{column}_missing"] = absent.alias(f"{column}_missing")
        self.ledger.note(self.source.name, column, "flagged", "is empty", int(absent.sum()))
        return values

    def _filled(self, column: str, values: pl.Series, rule: float | str, parse: Parser) -> pl.Series:
        filler = parse(pl.Series([rule]), self.place(column))
        if filler.problems:
            raise ConfigError(f"clean.missing.{column} = {rule!r} in the manifest {filler.problems[0].why}", "Give a value of that type.")
        absent = values.is_null()
        self.ledger.note(self.source.name, column, "filled", f"was empty, is {rule}", int(absent.sum()))
        if not absent.any():
            return values
        fill = filler.values
        if fill.dtype != values.dtype:
            values, fill = (values.cast(pl.String), fill.cast(pl.String)) if fill.dtype == pl.String else (values, fill.cast(values.dtype))
        return pl.select(pl.when(absent).then(pl.lit(fill[0], dtype=values.dtype)).otherwise(values)).to_series()

    def done(self) -> None:
        self.ledger.kept[self.source.name] = int(self.keep.sum())


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def clip_or_drop_outliers(rows: Rows, column: str, values: pl.Series) -> pl.Series:
    """Numbers further than ``outlier_z`` robust deviations from the median are clipped or their rows dropped.

    z = |x - median| / (1.4826 median|x - median|); where more than half the values are equal the mean
    absolute deviation (times 1.2533) takes the place of the median one.
    """
    rule = rows.clean.outlier.get(column)
    if rule is None:
        return values
    x = np.asarray(values.cast(pl.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
    seen = x[rows.keep & ~np.isnan(x)]
    if not len(seen):
        return values
    middle, scale = robust_scale(seen)
    reach = rows.clean.outlier_z * scale
    far = np.abs(x - middle) > reach
    far &= rows.keep
    if rule == "drop":
        rows.drop(far, column, f"lies outside {middle - reach:g} .. {middle + reach:g} (robust z above {rows.clean.outlier_z:g})", values)
        return values
    rows.ledger.note(rows.source.name, column, "clipped", f"to {middle - reach:g} .. {middle + reach:g}", int(far.sum()))
    clipped = pl.Series(np.clip(x, middle - reach, middle + reach)).fill_nan(None)
    return clipped if far.any() else values


def robust_scale(x: Float64) -> tuple[float, float]:
    """Median and robust standard deviation of numbers (n,); the deviation is 0 only where all are equal."""
    middle = float(np.median(x))
    distance = np.abs(x - middle)
    scale = 1.4826 * float(np.median(distance))
    return middle, scale if scale > 0 else 1.2533 * float(distance.mean())


def bursts(user: Int32, time_us: Int64, per_minute: int) -> Bool:
    """Events that lie in any stretch of a minute in which their user has more than ``per_minute``: (n,)."""
    n = len(user)
    out = np.zeros(n, np.bool_)
    if n <= per_minute:
        return out
    order = np.lexsort((time_us, user))
    u, t = user[order], time_us[order]
    starts = (u[per_minute:] == u[:-per_minute]) & (t[per_minute:] - t[:-per_minute] < US_PER_MINUTE)
    edges = np.zeros(n + 1, np.int64)
    at = np.flatnonzero(starts)
    np.add.at(edges, at, 1)
    np.add.at(edges, at + per_minute + 1, -1)
    out[order] = np.cumsum(edges[:-1]) > 0
    return out


def few_events(user: Int32, item: Int32, keep: Bool, min_user: int, min_item: int) -> Bool:
    """Rows to leave out so that every user and item left has enough events (k-core, iterated): (n,)."""
    left = keep.copy()
    while True:
        rows = np.flatnonzero(left)
        if not len(rows):
            break
        few = (np.bincount(user[rows])[user[rows]] < min_user) | (np.bincount(item[rows])[item[rows]] < min_item)
        if not few.any():
            break
        left[rows[few]] = False
    return keep & ~left


def doubles(columns: Mapping[str, AnyArray | pl.Series], keep: Bool) -> Bool:
    """Kept rows that say the same as an earlier kept row in all the columns: (n,)."""
    frame = pl.DataFrame(dict(columns)).with_row_index("row").filter(pl.Series(keep))
    first = frame.unique([c for c in frame.columns if c != "row"], keep="first")["row"].to_numpy()
    out = keep.copy()
    out[first] = False
    return out
