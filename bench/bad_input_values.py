"""Texts, values and bodies that no operation expects."""

from __future__ import annotations

from typing import Any

import msgspec

TEXTS: dict[str, str] = {
    "empty": "", "space": " ", "long": "x" * 600, "very long": "长" * 50_000, "emoji": "👩‍👩‍👧‍👦" * 20, "right to left": "\u202eabc\u05d0",
    "combining": "a" + "\u0301" * 400,
    "zero width": "\u200b", "control": "\u0001\u001b[2J", "line breaks": "a\r\nx-injected: 1\r\n\r\n", "tab": "\t", "bom": "\ufeff",
    "not a character": "\uffff\ufffe", "last": "\U0010ffff",
    "quotes": "'\"`;--", "sql": "x'); DROP TABLE items;--", "path": "../../../../etc/passwd", "template": "{{7*7}}${7*7}%s%n{0}",
    "html": "<script>alert(1)</script>",
    "number": "1e309", "nan": "NaN", "infinity": "-Infinity", "bool": "true", "null": "null", "date": "2024-02-30",
    "early": "0000-00-00T00:00:00", "first": "0001-01-01", "latest": "9999-12-31T23:59:59.999999-23:59",
    "far zone": "2024-01-01T00:00:00+99:99", "negative": "-1", "trace": "1-0-ffffff", "bad trace": "zz-zz-zz",
    "huge trace": "f" * 60 + "-" + "f" * 60 + "-x", "minus trace": "--",
    "filter": "price <", "deep filter": "(" * 500 + "price > 1" + ")" * 500, "many parts": " or ".join(["price > 1"] * 600),
    "not not": "not " * 800 + "on_sale", "overflow": "stock > 1e400",
    "big int": "stock = " + "9" * 400, "radius": "within(999, 999, -1 km)", "unknown column": "nope = 1", "wrong type": 'price = "x"',
    "in nothing": "category in []", "backtick": "`" * 9,
}  # fmt: skip
VALUES: dict[str, Any] = {
    "null": None, "true": True, "false": False, "zero": 0, "minus one": -1, "half": 0.5, "2^31": 2**31, "2^53+1": 2**53 + 1,
    "2^63": 2**63, "-2^63-1": -(2**63) - 1, "2^64": 2**64,
    "googol": msgspec.Raw(b"1" + b"0" * 100), "1e308": 1e308, "-1e308": -1e308, "tiny": 5e-324, "minus zero": -0.0,
    "1e999": msgspec.Raw(b"1e999"), "NaN": msgspec.Raw(b"NaN"), "Infinity": msgspec.Raw(b"Infinity"), "hex": msgspec.Raw(b"0x10"),
    "leading zero": msgspec.Raw(b"007"), "plus": msgspec.Raw(b"+1"), "list": [], "list of null": [None], "list of list": [[[]]],
    "object": {}, "object in object": {"a": {"b": {}}}, "empty key": {"": ""}, "mixed": [1, "a", None, {}, []],
    "NUL": msgspec.Raw(b'"a\\u0000b"'), "raw NUL": msgspec.Raw(b'"a\0b"'), "half a pair": msgspec.Raw(b'"\\ud800"'),
    "wrong pair": msgspec.Raw(b'"\\udc00\\ud800"'), "not UTF-8": msgspec.Raw(b'"\xff\xfe"'),
    "surrogate bytes": msgspec.Raw(b'"\xed\xa0\x80"'),
    "overlong": msgspec.Raw(b'"\xc0\x80"'), "bad escape": msgspec.Raw(b'"\\x41"'), "open text": msgspec.Raw(b'"abc'),
    "deep 40": msgspec.Raw(b"[" * 40 + b"]" * 40), "deep 900": msgspec.Raw(b"[" * 900 + b"]" * 900),
    "deep 20000": msgspec.Raw(b"[" * 20_000),
    "deep objects": msgspec.Raw(b'{"a":' * 900 + b"1" + b"}" * 900), "20,000 numbers": [7] * 20_000, "20,000 texts": ["i1"] * 20_000,
    "11,000 items": [f"i{n}" for n in range(11_000)], "2,000 keys": {f"k{n}": n for n in range(2_000)},
    "same key": msgspec.Raw(b'{"a":1,"a":2}'), "comment": msgspec.Raw(b"/**/1"), "trailing comma": msgspec.Raw(b"[1,]"),
    "price filter": {"price": {"<": "x"}}, "all": {"all": [{"all": []}]}, "nested not": {"not": {"not": {"not": {}}}},
    "operator": {"price": {"in": [None, [], {}]}}, "any of any": {"any": [{"price": {">": 10**40}}]},
    "geo": {"within": {"latitude": 1e308, "longitude": -1e308, "radius_m": -1}},
    **{f"text {name}": text for name, text in TEXTS.items()},
}  # fmt: skip
BODIES: dict[str, bytes] = {
    "empty": b"", "space": b"   ", "null": b"null", "text": b'"x"', "number": b"7", "two": b"{}{}", "cut off": b'{"n":',
    "bom": b"\xef\xbb\xbf{}", "utf-16": "{}".encode("utf-16"), "latin-1": b'{"user":"\xe9"}',
    "binary": bytes(range(256)), "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0", "xml": b"<a/>",
    "form": b"n=1&user=u1", "nul": b"\0" * 64, "deep": b"[" * 200_000, "deep objects": b'{"a":' * 100_000,
    "brackets": b"]" * 1000, "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}",
    "spaces": b" " * 300_000 + b"{}", "2 MB": b'{"user":"' + b"x" * (2 << 20) + b'"}', "line breaks": b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
}  # fmt: skip
MEDIA = [
    "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/msgpack",
    "", ";", "application/json" * 500, "*/*", "json", "application/octet-stream", "application/ld+json",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "get", "FOO", "CONNECT"]
