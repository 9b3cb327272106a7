"""What is sent, what is tried again, and what a refusal says: against a small server that does as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from zhiyin.base.errors import ZhiyinError
from zhiyin.client import AsyncClient, CallError, Client, retrying
from zhiyin.client.shapes import EventIn

TAKEN = (200, {"new": 1, "known": 0}, {})
PROBLEM = {
    "type": "urn:zhiyin:error:E310",
    "title": "Not found",
    "status": 404,
    "detail": "no item is named x",
    "code": "E310",
    "hint": "Look.",
}


class Told:
    """Answers in order what it was told to, ``None`` = ends the connection; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]] | None] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                told.asked.append((self.command, self.path, dict(self.headers), body))
                answer = told.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                status, value, headers = answer
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, said in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, said)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def shop(told: Told) -> Iterator[Client]:
    with Client(told.address, tenant="my shop", key="zy_1") as client:
        yield client


def later(seconds: str = "0") -> tuple[int, Any, dict[str, str]]:
    return 503, {**PROBLEM, "status": 503, "detail": "not now"}, {"content-type": "application/problem+json", "retry-after": seconds}


def test_an_event_is_repeated_with_its_id_until_it_is_taken(told: Told, shop: Client) -> None:
    told.answers = [None, later(), TAKEN]
    assert shop.event("i1", user="u1").new == 1
    ids = {json.loads(body)["event_id"] for _, _, _, body in told.asked}
    assert len(told.asked) == 3 and len(ids) == 1
    told.answers = [TAKEN]
    shop.event("i1", user="u1")
    assert json.loads(told.asked[-1][3])["event_id"] not in ids


def test_events_of_any_kind_carry_ids_of_their_own(told: Told, shop: Client) -> None:
    told.answers = [later(), TAKEN]
    shop.events([{"item": "i1", "user": "u1"}, EventIn(item="i2", user="u1", event_id="mine")])
    first, second = (json.loads(body) for _, _, _, body in told.asked)
    assert first == second
    assert [len(e["event_id"]) for e in first] == [32, 4]
    with pytest.raises(TypeError, match="usr"):
        shop.events([{"item": "i1", "usr": "u1"}])


def test_what_is_sent(told: Told, shop: Client) -> None:
    told.answers = [
        (200, {"items": [], "after": None}, {}),
        (200, {"versions": {"a/b": 1}}, {}),
        (200, b"figures", {"content-type": "text/plain"}),
    ]
    assert shop.list_items(n=5).after is None
    assert shop.put_item("a/b", {"title": "x"}).versions == {"a/b": 1}
    assert shop.metrics() == b"figures"
    (m1, p1, h1, _), (m2, p2, h2, body), _ = told.asked
    assert (m1, p1, h1["authorization"]) == ("GET", "/v1/my%20shop/items?after=&n=5", "Bearer zy_1")
    assert (m2, p2, json.loads(body), h2["content-type"]) == ("PUT", "/v1/my%20shop/items/a%2Fb", {"title": "x"}, "application/json")


def test_a_problem_is_one_clear_error_and_is_not_repeated(told: Told, shop: Client) -> None:
    told.answers = [(404, PROBLEM, {"content-type": "application/problem+json"})]
    with pytest.raises(CallError, match=r"no item is named x \(E310\)\. Look\.") as raised:
        shop.similar("x")
    assert isinstance(raised.value, ZhiyinError)
    assert (raised.value.status, raised.value.code, len(told.asked)) == (404, "E310", 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((502, b"<html>bad gateway", {"content-type": "text/html"}), "status 502 Bad Gateway from /v1/my shop/similar"),
        ((503, b"no JSON", {"content-type": "application/problem+json"}), "status 503"),
        ((302, b"", {"content-type": "text/html", "location": "/login"}), "status 302"),
        ((200, b'{"items": 3}', {}), "the answer cannot be read: Expected `array`"),
    ],
)
def test_answers_of_something_else_are_told(told: Told, shop: Client, answer: Any, words: str) -> None:
    told.answers = [answer]
    with pytest.raises(CallError, match=words):
        shop.similar("x")


def test_health_says_what_it_says_when_it_is_bad(told: Told, shop: Client) -> None:
    told.answers = [(503, {"ready": False}, {})]
    assert shop.ready().ready is False


def test_tries_end(told: Told, shop: Client) -> None:
    told.answers = [later()] * 6
    with pytest.raises(CallError, match="not now"):
        shop.popular()
    assert len(told.asked) == 6


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:1", tenant="shop", retries=1) as shop, pytest.raises(CallError) as raised:
        shop.popular()
    assert raised.value.status == 0
    assert str(raised.value).startswith("no answer from http://127.0.0.1:1: ")
    assert "zhiyin serve" in raised.value.hint


def test_the_same_to_await(told: Told) -> None:
    async def all_of_it() -> None:
        async with AsyncClient(told.address, tenant="shop") as shop:
            told.answers = [None, later(), TAKEN]
            assert (await shop.event("i1", session="s")).new == 1
            told.answers = [(404, PROBLEM, {"content-type": "application/problem+json"})]
            with pytest.raises(CallError, match="no item is named x"):
                await shop.similar("x")

    asyncio.run(all_of_it())
    assert len({body for _, path, _, body in told.asked if path.endswith("event")}) == 1


def test_waiting_grows_and_is_bounded() -> None:
    gone = CallError("gone")
    assert [retrying.wait_s(attempt, 9, gone) for attempt in (0, 1, 8)] == [0.1, 0.2, 10.0]
    assert retrying.wait_s(9, 9, gone) is None
