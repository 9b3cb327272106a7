"""The methods of the client and the shapes of its answers, from the operations of the server.

    python tools/client.py           writes src/zhiyin/client/{shapes,calls,calls_async}.py

Run it whenever an operation or a shape of the API changes; tests/unit/client/test_written.py says when it is due.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from zhiyin.serve.app import Server
from zhiyin.serve.operation import Operation
from zhiyin.serve.routes import OPERATIONS
from zhiyin.serve.routes.server import with_own
from zhiyin.serve.settings import Settings

CLIENT = Path(__file__).resolve().parent.parent / "src" / "zhiyin" / "client"
MADE_HERE = "event_id"
"""A field that the client fills in where the caller does not."""
WIDTH = 140
NOTE = "Written by tools/client.py from the operations of the server; do not edit."
TOP = ("# fmt: off", "")


class Shapes:
    """The structs that answers and lists of inputs consist of, by name, each after those it consists of."""

    def __init__(self) -> None:
        self.found: dict[str, type[msgspec.Struct]] = {}
        self.asked: set[str] = set()

    def words(self, t: Any, *, asked: bool = False) -> str:
        """A type as Python says it; ``asked`` types take any sequence and mapping."""
        origin, parts = get_origin(t), get_args(t)
        if origin is Annotated:
            return self.words(parts[0], asked=asked)
        if origin in (Union, UnionType):
            return " | ".join(dict.fromkeys(self.words(part, asked=asked) for part in parts))
        if origin is Literal:
            return f"Literal[{', '.join(map(repr, parts)).replace(chr(39), chr(34))}]"
        if origin in (list, dict):
            name = {list: "Sequence", dict: "Mapping"}[origin] if asked else origin.__name__
            return f"{name}[{', '.join(self.words(part, asked=asked) for part in parts)}]"
        if t is NoneType:
            return "None"
        if t is Any:
            return "Any"
        return self.name(t) if isinstance(t, type) and issubclass(t, msgspec.Struct) else str(t.__name__)

    def name(self, struct: type[msgspec.Struct]) -> str:
        """The name of a struct here; a second one of the same name must say the same."""
        known = self.found.get(struct.__name__)
        if known is None:
            for field in msgspec.structs.fields(struct):
                self.words(field.type)
            self.found[struct.__name__] = struct
        elif known is not struct and self._fields(known) != self._fields(struct):
            raise SystemExit(f"two different shapes are named {struct.__name__}: {known.__module__}, {struct.__module__}")
        return struct.__name__

    def text(self) -> str:
        return "\n\n".join(self._class(struct) for struct in self.found.values())

    def _fields(self, struct: type[msgspec.Struct]) -> list[str]:
        return [f"{f.encode_name}: {self.words(f.type)}{default(f)}" for f in msgspec.structs.fields(struct)]

    def _class(self, struct: type[msgspec.Struct]) -> str:
        lines = [f"class {struct.__name__}(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):"]
        said = inspect.cleandoc(struct.__doc__ or "")
        if said:
            lines += [*textwrap.indent(f'"""{said}\n"""' if "\n" in said else f'"""{said}"""', "    ").splitlines(), ""]
        lines += [f"    {field}" for field in self._fields(struct)] or ["    pass"]
        if struct.__name__ in self.asked:
            lines = [re.sub(rf"^(    {MADE_HERE}: str)$", r"\1 = msgspec.field(default_factory=fresh_id)", line) for line in lines]
        return "\n".join(lines) + "\n"


def default(field: FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f" = {field.default_factory()!r}"
    return "" if field.default is msgspec.NODEFAULT else f" = {literal(field.default)}"


def literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Call:
    """One operation as a method: its parameters, and how they are sent."""

    def __init__(self, op: Operation, shapes: Shapes) -> None:
        self.op = op
        self.shapes = shapes
        self.names = [name for name in re.findall(r"{(\w+)}", op.path) if name != "tenant"]
        self.first = [f"{name}: str" for name in self.names]
        self.more: list[str] = []
        self.sent: list[str] = []
        self.said: list[str] = []
        self._take_body()
        if op.query is not None:
            if self.said:
                raise SystemExit(f"{op.name} has fields in its body and in its address: say which are which")
            self._take_fields(op.query)
            self.sent.append("query=said")

    def _take_body(self) -> None:
        body = self.op.body
        while get_origin(body) is Annotated:
            body = get_args(body)[0]
        if body is None:
            return
        if isinstance(body, type) and issubclass(body, msgspec.Struct):
            self._take_fields(body)
            self.sent.append("said")
        elif get_origin(body) is list and self._struct(get_args(body)[0]):
            name, shape = self.op.path.split("/")[3], self.shapes.name(self._struct(get_args(body)[0]))
            self.first.append(f"{name}: Iterable[{shape} | Mapping[str, Any]]")
            self.shapes.asked.add(shape)
            self.sent.append(f"each({shape}, {name})")
        else:
            name = {dict: "columns", list: "ids"}.get(get_origin(body), "content" if body is bytes else "document")
            self.first.append(f"{name}: {self.shapes.words(body, asked=True)}")
            self.sent.append(name)

    @staticmethod
    def _struct(t: Any) -> Any:
        return t if isinstance(t, type) and issubclass(t, msgspec.Struct) else None

    def _take_fields(self, struct: type[msgspec.Struct]) -> None:
        """The fields of a struct as parameters, and the words that send them."""
        for field in msgspec.structs.fields(struct):
            words = self.shapes.words(field.type, asked=True)
            made_here = field.name == MADE_HERE
            if made_here:
                self.more.append(f"{field.name}: {words} | None = None")
            elif field.required:
                self.first.append(f"{field.name}: {words}")
            else:
                value = () if field.default_factory is list else field.default
                self.more.append(f"{field.name}: {words} = {literal(value)}")
            self.said.append(f"{field.encode_name}={field.name}{' or fresh_id()' if made_here else ''}")

    def text(self, *, awaited: bool) -> str:
        op = self.op
        gives = self.shapes.words(op.gives) if op.gives is not dict else "dict[str, Any]"
        given = ["self", *self.first, *(["*", *self.more] if self.more else [])]
        path = op.path.replace("{tenant}", "{self._tenant}")
        for name in self.names:
            path = re.sub(rf"{{{name}}}", f"{{part({name})}}", path)
        sent = [gives, f'"{op.method}"', f'{"f" if "{" in path else ""}"{path}"', *self.sent]
        head = "async def" if awaited else "def"
        lines = wrapped(f"{head} {op.name}(", given, f") -> {gives}:")
        lines.append(f'    """{op.summary} ``{op.method} {op.path}``"""')
        if self.said:
            lines += [f"    {line}" for line in wrapped("said = given(", self.said, ")")]
        lines += [f"    {line}" for line in wrapped(f"return {'await ' if awaited else ''}self._call(", sent, ")")]
        return "\n".join(f"    {line}" for line in lines) + "\n"


def wrapped(head: str, parts: Sequence[str], tail: str) -> list[str]:
    """One line, or a few, broken between parts, where that is too long."""
    whole = ", ".join(parts)
    if len(head + whole + tail) + 8 <= WIDTH:
        return [head + whole + tail]
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part) + 14 > WIDTH:
            lines.append("")
        lines[-1] += f"{part}, "
    return [head, *(f"    {line.rstrip()}" for line in lines), tail]


def files(operations: Sequence[Operation]) -> dict[str, str]:
    """The text of each file by its name."""
    shapes = Shapes()
    calls = [Call(op, shapes) for op in operations]
    waiting, awaited = ("\n".join(call.text(awaited=awaited) for call in calls) for awaited in (False, True))
    return {
        "shapes.py": shapes_file(shapes),
        "calls.py": calls_file("class Calls(ABC):", "One method for each operation.", "def", waiting, shapes),
        "calls_async.py": calls_file("class AsyncCalls(ABC):", "One method to await for each operation.", "async def", awaited, shapes),
    }


def shapes_file(shapes: Shapes) -> str:
    text = shapes.text()
    lines = [f'"""What the server answers, and what it takes lists of. {NOTE}"""', "", *TOP, "from __future__ import annotations", ""]
    lines += [f"from typing import {', '.join(used(('Any', 'Literal'), text))}", "", "import msgspec", ""]
    return "\n".join([*lines, "from zhiyin.client.given import fresh_id", "", "", text])


def calls_file(head: str, about: str, define: str, methods: str, shapes: Shapes) -> str:
    call = f"{define} _call(self, gives: type[T], method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> T:"
    body = "\n".join(
        [head, f'    """{about}"""', "", "    _tenant: str", "", "    @abstractmethod", f"    {call}", "        ...", "", methods]
    )
    lines = [f'"""{about} {NOTE}"""', "", *TOP, "from __future__ import annotations", ""]
    lines += [
        "from abc import ABC, abstractmethod",
        f"from collections.abc import {', '.join(used(('Iterable', 'Mapping', 'Sequence'), body))}",
    ]
    lines += [f"from typing import {', '.join(used(('Any', 'Literal'), body))}, TypeVar", ""]
    lines += [f"from zhiyin.client.given import {', '.join(used(('each', 'fresh_id', 'given', 'part'), body))}"]
    lines += ["from zhiyin.client.shapes import (", *(f"    {name}," for name in used(sorted(shapes.found), body)), ")"]
    return "\n".join([*lines, "", 'T = TypeVar("T")', "", "", body])


def used(names: Iterable[str], text: str) -> list[str]:
    """Those of the names that a text uses."""
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def main() -> None:
    for name, text in files(every()).items():
        (CLIENT / name).write_text(text, encoding="utf-8")


def every() -> tuple[Operation, ...]:
    """The operations of the tenants with those of the server over them."""
    return with_own(Server({}, Settings()), OPERATIONS)


if __name__ == "__main__":
    main()
