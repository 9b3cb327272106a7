"""Which ids every store can keep: files, SQLite and PostgreSQL agree on these."""

from __future__ import annotations

from collections.abc import Sequence

from zhiyin.base.errors import DataError

MAX_ID_BYTES = 512
"""The longest id, in UTF-8; a database index takes no more than some 2,000."""


def check_id(what: str, value: str) -> None:
    """Raises DataError for an id that is empty, too long, or has characters no database keeps."""
    if value.isascii() and 0 < len(value) <= MAX_ID_BYTES and "\0" not in value:
        return
    if not value:
        raise DataError(f"the {what} is empty", "Give it at least one character.")
    if "\0" in value:
        raise DataError(f"the {what} {value[:60]!r} contains a NUL character", "Remove it; no database keeps it.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise DataError(f"the {what} {value[:60]!r} is not text (half a surrogate pair)", "Send it as UTF-8.") from None
    if size > MAX_ID_BYTES:
        raise DataError(f"the {what} '{value[:60]}...' has {size:,} bytes, more than {MAX_ID_BYTES}", "Shorten it.")


def all_plain(values: Sequence[str]) -> bool:
    """Whether all of many are ids at first sight: ASCII, short, and not empty. Others may be ids too; ask ``check_id``."""
    whole = "".join(values)
    return whole.isascii() and "\0" not in whole and all(values) and max(map(len, values), default=0) <= MAX_ID_BYTES
