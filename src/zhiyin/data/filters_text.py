"""Filters written as text.

    price < 20 and (category in ["shoes", "hats"] or tags contains "sale") and within(place, 31.2, 121.5, 2 km)

    filter     = both { "or" both }          both = single { "and" single }
    single     = "not" single | "(" filter ")" | comparison
    comparison = column (= | != | < | <= | > | >=) value [ ... ]     value < column <= value
               | column ["not"] "in" "[" value { "," value } "]"     column "contains" "words"
               | column "is" ["not"] "missing"                       flag
               | "within" "(" [column ","] latitude "," longitude "," radius ("m" | "km") ")"

Columns that are no plain word stand in backticks. Recursive descent by hand: no code is run, and the
depth and the number of parts are bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from zhiyin.data import filters_check as check
from zhiyin.data.filters_check import MAX_DEPTH, MAX_PARTS, Columns, problem
from zhiyin.data.filters_tree import RESERVED, Filter, Op, all_of, any_of, negated

MAX_TEXT = 10_000
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<word>[^\W\d]\w*)
  | (?P<sign><=|>=|!=|<>|==|[<>=≤≥≠(),\[\]])
  | (?P<other>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
OPS: dict[str, Op] = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "≠": "!=", "<": "<", "<=": "<=", "≤": "<=", ">": ">", ">=": ">=", "≥": ">=",
}  # fmt: skip
TURNED: dict[Op, Op] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
METRES = {"m": 1.0, "km": 1000.0}


class Token(NamedTuple):
    kind: str  # number, text, quoted, word, sign, end
    text: str
    at: int  # characters before it


def parse_text(text: str, columns: Columns) -> Filter:
    """Raises ``ConfigError`` with the character where the first mistake stands."""
    if len(text) > MAX_TEXT:
        raise problem("filter", f"{len(text):,} characters are too many", f"At most {MAX_TEXT:,}.")
    parser = _Parser(_tokens(text), columns)
    found = parser.either(0)
    if parser.now.kind != "end":
        raise problem(parser.place, f"'{parser.now.text}' stands where 'and', 'or' or the end should", "")
    return found


def _tokens(text: str) -> list[Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            break
        kind, start = match.lastgroup, match.start(match.lastgroup)
        if kind == "other":
            open_quote = text[start] in "\"'`"
            hint = "A quote is not closed." if open_quote else "Text stands in quotes, columns that are no plain word in backticks."
            raise problem(f"filter, character {start + 1}", f"'{text[start]}' means nothing here", hint)
        found.append(Token(kind, match.group(kind), start))
        at = match.end()
    return [*found, Token("end", "the end", end)]


@dataclass
class _Parser:
    tokens: list[Token]
    columns: Columns
    at: int = 0
    parts: int = field(default=0)

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    @property
    def place(self) -> str:
        return f"filter, character {self.now.at + 1}"

    def next(self) -> Token:
        token = self.now
        self.at += token.kind != "end"
        return token

    def is_word(self, *words: str) -> bool:
        return self.now.kind == "word" and self.now.text.lower() in words

    def is_sign(self, *signs: str) -> bool:
        return self.now.kind == "sign" and self.now.text in signs

    def need(self, sign: str) -> None:
        if not self.is_sign(sign):
            raise problem(self.place, f"'{sign}' is missing before {self.said}")
        self.next()

    @property
    def said(self) -> str:
        return "the end" if self.now.kind == "end" else f"'{self.now.text[:40]}'"

    def count(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise problem(self.place, "a filter has too many parts", f"At most {MAX_PARTS} comparisons and values.")

    def either(self, depth: int) -> Filter:
        found = [self.both(depth)]
        while self.is_word("or"):
            self.next()
            found.append(self.both(depth))
        return any_of(found)

    def both(self, depth: int) -> Filter:
        found = [self.single(depth)]
        while self.is_word("and"):
            self.next()
            found.append(self.single(depth))
        return all_of(found)

    def single(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise problem(self.place, "a filter is nested too deep", f"At most {MAX_DEPTH} levels.")
        if self.is_word("not"):
            self.next()
            return negated(self.single(depth + 1))
        if self.is_sign("("):
            self.next()
            found = self.either(depth + 1)
            self.need(")")
            return found
        return self.comparison()

    def comparison(self) -> Filter:
        self.count()
        place = self.place
        if self.now.kind in ("number", "text"):
            return self.turned()
        if self.is_word("within") and self.tokens[self.at + 1].text == "(":
            return self.within(place)
        column = self.column()
        if self.now.kind == "sign" and self.now.text in OPS:
            op = OPS[self.next().text]
            return check.compare(self.columns, column, op, self.value(), place)
        if self.is_word("in"):
            return self.among(column, place)
        if self.is_word("not") and self.tokens[self.at + 1].text.lower() == "in":
            self.next()
            return negated(self.among(column, place))
        if self.is_word("contains"):
            self.next()
            return check.contains(self.columns, column, self.value(), place)
        if self.is_word("is"):
            return self.missing(column, place)
        if self.columns.kind(column, place) == "flag":
            return check.compare(self.columns, column, "=", True, place)
        raise problem(self.place, f"column '{column}' is followed by {self.said}", "Say =, !=, <, <=, >, >=, in, contains or is missing.")

    def turned(self) -> Filter:
        """``10 <= price < 20``, or its first half alone."""
        place, low = self.place, self.value()
        if not (self.now.kind == "sign" and self.now.text in OPS):
            raise problem(self.place, f"a comparison is missing before {self.said}", "Say: 10 <= price < 20.")
        op = TURNED[OPS[self.next().text]]
        column = self.column()
        first = check.compare(self.columns, column, op, low, place)
        if not (self.now.kind == "sign" and self.now.text in OPS):
            return first
        self.count()
        upper = OPS[self.next().text]
        return all_of([first, check.compare(self.columns, column, upper, self.value(), place)])

    def among(self, column: str, place: str) -> Filter:
        self.next()
        self.need("[")
        values = []
        while not self.is_sign("]"):
            self.count()
            values.append(self.value())
            if not self.is_sign("]"):
                self.need(",")
        self.next()
        return check.among(self.columns, column, values, place)

    def missing(self, column: str, place: str) -> Filter:
        self.next()
        wanted = not self.is_word("not")
        if not wanted:
            self.next()
        if not self.is_word("missing"):
            raise problem(self.place, f"'is' is followed by {self.said}", "Say: is missing, or is not missing.")
        self.next()
        return check.missing(self.columns, column, place, wanted=wanted)

    def within(self, place: str) -> Filter:
        self.next()
        self.need("(")
        column = None
        if self.now.kind != "number":
            column = self.column()
            self.need(",")
        latitude = self.number()
        self.need(",")
        longitude = self.number()
        self.need(",")
        radius = self.number()
        if not self.is_word(*METRES):
            raise problem(self.place, f"the radius has no unit before {self.said}", "Say: 500 m or 2 km.")
        radius *= METRES[self.next().text.lower()]
        self.need(")")
        return check.within(self.columns, column, (latitude, longitude), radius, place)

    def column(self) -> str:
        token = self.now
        if token.kind == "quoted":
            self.next()
            return re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if token.kind != "word" or token.text.lower() in RESERVED:
            raise problem(self.place, f"a column is missing before {self.said}", "Text values stand in quotes, after the column.")
        self.next()
        return token.text

    def value(self) -> Any:
        token = self.now
        if token.kind == "number":
            return self.number()
        if token.kind == "text":
            self.next()
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if self.is_word("true", "false"):
            return self.next().text.lower() == "true"
        hint = f'Text stands in quotes: "{token.text[:40]}".' if token.kind == "word" else ""
        raise problem(self.place, f"a value is missing before {self.said}", hint)

    def number(self) -> float:
        if self.now.kind != "number":
            raise problem(self.place, f"a number is missing before {self.said}")
        return float(self.next().text)
