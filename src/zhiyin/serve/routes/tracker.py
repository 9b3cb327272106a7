"""The browser's part: a script that sends what visitors do, for pages that want no code of their own."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from zhiyin.serve.operation import Answered, Call, Operation, Scope

_TEXTS = re.compile(r'("[^"]*"|`[^`]*`)')
_SPACES = re.compile(r"\s*([{}()\[\],;:=<>?&|!+*])\s*")
_HEADERS = {"cache-control": "public, max-age=3600"}


async def tracker(_: Call) -> Answered:
    return Answered(raw=script(), media="text/javascript; charset=utf-8", headers=_HEADERS)


@cache
def script() -> bytes:
    """The tracker without comments, and without spaces outside its texts."""
    text = resources.files("zhiyin.serve.routes").joinpath("tracker.js").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    parts = _TEXTS.split(code)  # code and texts in turn
    parts[::2] = [_SPACES.sub(r"\1", part) for part in parts[::2]]
    return "".join(parts).strip().encode()


OPERATIONS = (Operation("tracker", "GET", "/tracker.js", Scope.PUBLIC, tracker, "A script for pages: it sends what visitors do.", bytes),)
