"""What is known of a public data set before it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from zhiyin.base.errors import DataError, MissingDataError
from zhiyin.data.tables import Tables

AMAZON_TERMS = "McAuley Amazon review data: research use, cite; do not redistribute."
MOVIELENS_TERMS = "MovieLens / GroupLens: research use, acknowledge; no redistribution, no commercial use without permission."

NO_EVENTS = pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String})  # of sources without behaviour


@dataclass(frozen=True)
class Source:
    """One line, the terms, the published counts, the reader.

    ``statistics`` are what the data set's own publication counts; a test repeats them on the files.
    ``files``, relative to the data root, must be there for it to be available. ``behaviour`` is False
    where nobody acted on the items (texts, a bare catalogue): ``read`` works, a Dataset cannot be made.
    """

    name: str
    about: str
    terms: str
    statistics: Mapping[str, int]
    files: tuple[str, ...]
    read: Callable[[Path], Tables] = field(repr=False)
    behaviour: bool = True

    def missing(self, root: Path) -> list[str]:
        """Files that are not under a data root."""
        return [file for file in self.files if not (root / file).is_file()]

    def tables(self, root: Path) -> Tables:
        """Read from a data root; says which file is missing, and whether it is damaged."""
        missing = self.missing(root)
        if missing:
            raise MissingDataError(
                f"data set '{self.name}' needs {missing[0]}, which is not under {root}",
                f"Put the files there, or point ZHIYIN_DATA at the folder that holds {self.name}.",
            )
        try:
            return self.read(root)
        except pl.exceptions.PolarsError as error:
            said = str(error).splitlines()[0].rstrip(".")
            raise DataError(f"a file of data set '{self.name}' cannot be read: {said}", "Copy the files again.") from None


def links(pairs: pl.DataFrame, head: str, relation: str, tail: str, *, of_users: bool = False) -> pl.DataFrame:
    """Pairs of ids as rows of a relations table: head, relation, tail; ends that are users become ``user:ID``."""
    prefix = "user:" if of_users else ""
    ends = [(prefix + pl.col(end).cast(pl.String)).alias(name) for end, name in ((head, "head"), (tail, "tail"))]
    return pairs.select(ends[0], pl.lit(relation).alias("relation"), ends[1])
