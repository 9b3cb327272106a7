"""Wrong requests by the thousand, made from the OpenAPI document: every operation x parameter x kind of mistake.

A case is bytes to send. What is expected of each: an answer below 500 within the time limit (a deliberate 503 says
when to come back), and a problem that says what is wrong where the status is 400 or more.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from bad_input_values import BODIES, MEDIA, METHODS, TEXTS, VALUES
from zhiyin.testing.calls import GONE, Described, changed, fields_of, sample
from zhiyin.testing.wire import chunks, request

IDS = {"tenant": "shop", "item": "i1", "user": "u1", "trace": "1-0-x", "tag": "sale", "id": "i1"}
COLUMNS = {"title": "a shoe", "price": 3.5, "stock": 2, "tags": ["sale"], "publish_at": "2024-02-03", "lat": 31.0, "category": "shoes"}
SAID = IDS | {
    "placement": "product", "filter": "price > 1", "text": "red shoe", "context": {"device": "phone"}, "cursor": "",
    "time": 1_720_000_000_000_000, "columns": COLUMNS, "history": ["i1", "i2"], "candidates": ["i1", "i2", "i3"], "language": "en",
    "repeat": "allow", "placements": ["home"],
}  # fmt: skip
"""What makes a right call say something: the more of it is understood, the further a mistake gets."""


@dataclass(frozen=True)
class Case:
    """``kind`` is the class of mistake; ``alone`` = what it sends spoils a connection; ``no_body`` = the answer has none."""

    operation: str
    kind: str
    sent: bytes
    alone: bool = False
    no_body: bool = False


def json_of(value: Any) -> bytes:
    return msgspec.json.encode(value)


def cases(operations: list[Described], seed: int, n_mixed: int) -> Iterator[Case]:
    """Every case; ``n_mixed`` further ones with several mistakes at once, drawn at random."""
    for operation in operations:
        yield from in_bodies(operation)
        yield from in_addresses(operation)
        yield from in_heads(operation)
    yield from framing(operations)
    yield from mixed(operations, random.Random(seed), n_mixed)


def send(
    operation: Described, body: bytes | None, *lines: str, ids: dict[str, str] | None = None, query: str = "", method: str = ""
) -> bytes:
    path = operation.sent({**IDS, **(ids or {})}, {}, None).path + query
    media = [f"content-type: {operation.media}"] if body is not None and not any(line.startswith("content-type") for line in lines) else []
    return request(path, body or b"", *media, *lines, method=method or operation.method)


def right(operation: Described, *, full: bool) -> Any:
    return None if operation.body is None else sample(operation.body, operation.schemas, SAID, full=full)


def in_bodies(operation: Described) -> Iterator[Case]:
    """Each field of a full body with each wrong value, missing, unknown; whole bodies that are something else."""
    name = operation.name
    for kind, body in BODIES.items():
        yield Case(name, f"body {kind}", send(operation, body))
    if operation.body is None or operation.media != "application/json":
        return
    full, small = right(operation, full=True), right(operation, full=False)
    if full == {}:  # columns of any name
        full = small = COLUMNS
    yield Case(name, "as it should be", send(operation, json_of(full)))
    for path in fields_of(full):
        place = ".".join(map(str, path)) or "all"
        with_one = beside(small, full, path)
        for kind, value in VALUES.items():
            yield Case(name, f"{place} {kind}", send(operation, json_of(changed(full, path, value))))
            if with_one != full:
                yield Case(name, f"only {place} {kind}", send(operation, json_of(changed(with_one, path, value))))
        if path:
            yield Case(name, f"{place} missing", send(operation, json_of(changed(full, path, GONE))))
    for base in (full, small):
        inner = base[0] if isinstance(base, list) and base else base
        if isinstance(inner, dict):
            for key in ("unknown", "__class__", "", "ａ", "x" * 10_000, "\n"):
                wrong = {**inner, key: 1}
                yield Case(name, "extra key", send(operation, json_of([wrong] if isinstance(base, list) else wrong)))


def beside(small: Any, full: Any, path: Sequence[str | int]) -> Any:
    """The smallest right body that has the place ``path`` as well: a mistake there is the only thing to stumble over."""
    if not path:
        return small
    first, rest = path[0], path[1:]
    if isinstance(full, list):
        return [beside(small[0], full[0], rest)]
    return {**small, first: beside(small[first], full[first], rest) if first in small and rest else full[first]}


def in_addresses(operation: Described) -> Iterator[Case]:
    """Each name of the path and each parameter with each wrong text, unknown parameters, parameters twice."""
    name = operation.name
    body = None if operation.body is None else b"x" if operation.media != "application/json" else json_of(right(operation, full=False))
    bytes_ = {
        "NUL": "%00",
        "not UTF-8": "%ff%fe",
        "surrogate": "%ed%a0%80",
        "slash": "%2F",
        "dots": "..%2f..",
        "cut": "%",
        "half": "%2",
        "double": "%2500",
        "raw": "\xe9",
        "plus": "+",
    }
    texts = {kind: quote(text[:3000], safe="") for kind, text in TEXTS.items()} | bytes_
    for part in operation.names:
        for kind, text in texts.items():
            path = operation.path.replace(f"{{{part}}}", text or "%20")
            for other in operation.names:
                path = path.replace(f"{{{other}}}", IDS.get(other, "none"))
            media = [] if body is None else [f"content-type: {operation.media}"]
            yield Case(name, f"path {part} {kind}", request(path, body or b"", *media, method=operation.method))
    numbers = {
        "zero": "0",
        "huge": "9" * 400,
        "float": "1.5",
        "exponent": "1e3",
        "nan": "nan",
        "inf": "inf",
        "hex": "0x1",
        "under": "1_0",
        "arabic": "%D9%A1",
    }
    for parameter in operation.query:
        for kind, text in {**texts, **numbers}.items():
            yield Case(name, f"query {parameter} {kind}", send(operation, body, query=f"?{parameter}={text}"))
        yield Case(name, f"query {parameter} twice", send(operation, body, query=f"?{parameter}=1&{parameter}=x"))
        yield Case(name, f"query {parameter} bare", send(operation, body, query=f"?{parameter}"))
    for query in (
        "?",
        "?unknown=1",
        "?%00=1",
        "?" + "a" * 5000,
        "?" + "&".join(f"k{n}=1" for n in range(300)),
        "?=",
        "?&&&",
        "?%ff=%fe",
        "?__class__=1",
        "#x",
    ):
        yield Case(name, "query unknown", send(operation, body, query=query))
    for extra in ("/", "//", "/..", "/more", "%20", ";v=1"):
        yield Case(name, "path longer", send(operation, body, query=extra))


def in_heads(operation: Described) -> Iterator[Case]:
    """Methods that are not there, media that are not JSON, keys and headers that are nonsense."""
    name = operation.name
    body = None if operation.body is None else b"x" if operation.media != "application/json" else json_of(right(operation, full=False))
    for method in METHODS:
        yield Case(name, f"method {method}", send(operation, body, method=method), alone=True, no_body=method == "HEAD")
    for media in MEDIA:
        yield Case(name, "media", send(operation, body or b"{}", f"content-type: {media}"))
    for packed in ("gzip", "br", "identity, gzip", "x" * 1000):
        yield Case(name, "encoding", send(operation, body or b"{}", f"content-encoding: {packed}"))
    for line in (
        "authorization: Bearer", "authorization: Bearer " + "x" * 5000, "authorization: Basic dTpw", "authorization: \xff",
        "x-api-key: ", "x-api-key: zy_nobody",
        "accept: image/png", "accept-encoding: nothing", "if-match: *", "range: bytes=0-1", "cookie: " + "a=b;" * 500,
        "x-forwarded-for: \xff, ::::, 1", "forwarded: for=\"", "traceparent: 00-zz",
        "expect: 100-continue", "connection: close", "connection: upgrade\r\nupgrade: websocket",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x", "te: trailers", "host: ", "host: evil.example",
        "origin: https://evil.example", "origin: null", "content-length: -1", "content-length: 1, 1",
    ):  # fmt: skip
        yield Case(name, f"head {line[:24]}", send(operation, body, line), alone=True)


def framing(operations: Iterable[Described]) -> Iterator[Case]:
    """Bodies in broken chunks, lengths that lie, several requests at once, and what is no HTTP at all."""
    for operation in operations:
        path = operation.sent(IDS, {}, None).path
        head = request(path, b"", "transfer-encoding: chunked", "content-type: application/json", method=operation.method, length=-1)
        broken = {
            "good": chunks(b"{", b"}"), "one byte": chunks(*[b" "] * 500, b"{}"), "no end": b"2\r\n{}\r\n", "no size": b"\r\n{}\r\n",
            "bad size": b"zz\r\n{}\r\n", "minus": b"-1\r\n{}\r\n", "huge size": b"ffffffffffffffff1\r\n{}",
            "large size": b"7fffffff\r\n{}", "short": b"5\r\n{}\r\n0\r\n\r\n", "long": b"1\r\n{}\r\n0\r\n\r\n",
            "extension": b"2;" + b"x" * 5000 + b"\r\n{}\r\n0\r\n\r\n", "trailer": b"2\r\n{}\r\n0\r\nx: y\r\n\r\n",
            "bare lf": b"2\n{}\n0\n\n", "only end": b"0\r\n\r\n",
        }  # fmt: skip
        for kind, body in broken.items():
            yield Case(operation.name, f"chunks {kind}", head + body, alone=True)
        line = f"{operation.method} {path} HTTP/1.1\r\nhost: localhost\r\n".encode()
        wrong = {
            "length short": line + b"content-length: 1\r\n\r\n{}", "length long": line + b"content-length: 50\r\n\r\n{}",
            "length huge": line + b"content-length: " + b"9" * 40 + b"\r\n\r\n{}",
            "length twice": line + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
            "length text": line + b"content-length: two\r\n\r\n{}",
            "both": line + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "gzip, chunked": line + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "folded": line + b"x: a\r\n b\r\n\r\n",
            "no colon": line + b"nonsense\r\n\r\n", "space": line + b"x : y\r\n\r\n", "nul": line + b"x: \0\r\n\r\n",
            "name": line + b"\xff\xfe: y\r\n\r\n", "no host": f"{operation.method} {path} HTTP/1.1\r\n\r\n".encode(),
            "1.0": f"{operation.method} {path} HTTP/1.0\r\n\r\n".encode(),
            "0.9": f"{operation.method} {path}\r\n\r\n".encode(), "2.0": f"{operation.method} {path} HTTP/2.0\r\n\r\n".encode(),
            "9.9": f"{operation.method} {path} HTTP/9.9\r\n\r\n".encode(),
            "absolute": f"{operation.method} http://evil.example{path} HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
            "bare lf": line.replace(b"\r\n", b"\n") + b"\n",
            "many heads": line + b"".join(b"x-%d: y\r\n" % n for n in range(500)) + b"\r\n",
            "pipelined": request(path, b"{}", method=operation.method) * 30,
            "pipelined and broken": request(path, b"{}", method=operation.method) * 3 + b"GARBAGE\r\n\r\n",
        }  # fmt: skip
        for kind, sent in wrong.items():
            yield Case(operation.name, f"http {kind}", sent, alone=True)
    for kind, sent in {
        "garbage": b"\xde\xad\xbe\xef" * 100, "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40), "lines": b"\r\n" * 5000,
        "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        "socks": b"\x05\x01\x00", "redis": b"*1\r\n$4\r\nPING\r\n", "long line": b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
        "nothing": b"",
    }.items():  # fmt: skip
        yield Case("none", f"wire {kind}", sent, alone=True)


def mixed(operations: list[Described], draw: random.Random, n: int) -> Iterator[Case]:
    """Several mistakes at once, and right requests with bytes turned."""
    with_body = [o for o in operations if o.body is not None and o.media == "application/json"]
    values = list(VALUES.values())
    full = {o.name: right(o, full=True) for o in with_body}
    places = {o.name: [path for path in fields_of(full[o.name]) if path] for o in with_body}
    for i in range(n):
        operation = draw.choice(with_body)
        body = full[operation.name]
        if i % 3 == 0 or not places[operation.name]:
            sent = bytearray(json_of(body))
            for _ in range(draw.randint(1, 6)):
                sent[draw.randrange(len(sent))] = draw.randrange(256)
            yield Case(operation.name, "bytes turned", send(operation, bytes(sent)))
            continue
        for path in draw.sample(places[operation.name], min(draw.randint(2, 5), len(places[operation.name]))):
            try:
                body = changed(body, path, draw.choice(values))
            except (KeyError, IndexError, TypeError, ValueError):
                continue  # its place went with an earlier change
        yield Case(operation.name, "several", send(operation, json_of(body)))
