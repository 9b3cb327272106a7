"""The client against a real server process: every operation, and events while the server is killed and comes back."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhiyin.client import AsyncClient, CallError, Client
from zhiyin.testing.calls import Described, operations_of, sample
from zhiyin.testing.serving import Served, serving

IDS = {"tenant": "shop", "item": "p1", "id": "p1", "user": "user3", "candidate": "p1", "history": "p2", "tag": "red"}


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("client") / "shop"
    shutil.copytree(model, folder)
    with serving(folder) as server:
        yield server


@pytest.fixture
def live(served: Served) -> Iterator[Client]:
    with Client(served.address, tenant="shop", retries=8) as client:
        yield client


def arguments(op: Described, method: Any) -> list[Any]:
    """A right value for every parameter that a method must have."""
    body = None if op.body is None else sample(op.body, op.schemas, IDS)
    given: dict[str, Any] = {**(body if isinstance(body, dict) else {}), **{name: IDS.get(name, "none") for name in op.names}}
    names = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return [given.get(name, b"" if name == "content" else {} if name == "columns" else body) for name in names]


def test_every_operation_answers_what_its_method_says(live: Client) -> None:
    for op in operations_of(live.openapi()):
        method = getattr(live, op.name)
        try:
            method(*arguments(op, method))
        except CallError as error:
            assert error.status in (400, 404, 409, 422), f"{op.name}: {error}"


def test_from_an_event_to_another_answer_and_back_to_what_was_shown(live: Client) -> None:
    before = live.recommend(user="fresh", n=5)
    assert before.served_by == "popular" and not before.degraded
    taken = live.events([{"item": f"p{i}", "user": "fresh"} for i in (0, 1, 2, 3)])
    assert (taken.new, taken.known) == (4, 0)
    after = live.recommend(user="fresh", n=4)
    assert all(item.title.startswith("red") for item in after.items)
    trace = live.replay(after.trace)
    assert (trace.ask.user, trace.items) == ("fresh", after.items)
    live.event(after.items[0].item, user="fresh", trace=after.trace, placement=after.placement)
    kept = live.export_user("fresh")
    assert kept.events[-1].trace == after.trace
    gone = live.erase_user("fresh")
    assert gone.events == 5 and gone.left == []


def test_items_pages_and_refusals(live: Client) -> None:
    live.put_item("new:1", {"title": "purple kite", "category": "purple"})
    live.put_items([{"id": "new-2", "columns": {"title": "purple hat", "category": "purple"}}])
    assert live.get_item("new-2").columns["title"] == "purple hat"
    ids, after = [], ""
    while True:
        page = live.list_items(after=after, n=10)
        ids += [item.id for item in page.items]
        if page.after is None:
            break
        after = page.after
    assert {"new:1", "new-2", "p31"} <= set(ids)
    assert live.delete_items(["new:1", "new-2"]).deleted == 2
    with pytest.raises(CallError, match="no item has the id 'new-2'") as raised:
        live.get_item("new-2")
    assert raised.value.status == 404
    with pytest.raises(CallError, match="no placement is named 'hme'"):
        live.recommend(placement="hme")


@pytest.mark.parametrize("odd", ["a/b", "/", "a b?c=d#e", "50%", "%2F", "..", ".", "../x", "知音/🎧", "a+b&c;d,e"])
def test_ids_of_any_characters_are_found_by_their_address(live: Client, odd: str) -> None:
    live.put_item(odd, {"title": "odd thing", "category": "red"})
    assert live.get_item(odd).columns["title"] == "odd thing"
    assert live.delete_item(odd).deleted == 1
    live.put_user(odd, {"city": "x"})
    live.event("p1", user=odd)
    kept = live.export_user(odd)
    assert (kept.user, [e.item for e in kept.events]) == (odd, ["p1"])
    live.put_relation(odd, "likes", odd + "2", {"since": 1})
    assert live.get_relation(odd, "likes", odd + "2").columns == {"since": 1}
    assert live.erase_user(odd).events == 1


def test_events_are_counted_once_while_the_server_is_killed_and_comes_back(served: Served, live: Client) -> None:
    n_new: list[int] = []

    def send() -> None:
        n_new.extend(live.event(f"p{i % 32}", user="steady").new for i in range(400))

    sending = threading.Thread(target=send)
    sending.start()
    served.kill()
    served.start()
    sending.join()
    assert len(n_new) == 400
    ids = [event.event_id for event in live.export_user("steady").events]
    assert len(ids) == len(set(ids)) == 400


def test_many_at_once_to_await(served: Served) -> None:
    async def asked() -> list[str]:
        async with AsyncClient(served.address, tenant="shop") as shop:
            replies = await asyncio.gather(*(shop.recommend(user=f"user{i % 40}", n=3) for i in range(50)))
            return [reply.trace for reply in replies]

    assert len(set(asyncio.run(asked()))) == 50
