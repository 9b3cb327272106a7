"""Rates, bytes in flight, and whom a rate counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from zhiyin.serve.access import Keys
from zhiyin.serve.app import Server, build_app
from zhiyin.serve.errors import TooMuchError
from zhiyin.serve.limits import InFlight, Rates, address_of
from zhiyin.serve.operation import Call, Operation, Scope
from zhiyin.serve.settings import Settings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, who: str) -> bool:
    try:
        rates.take(who)
    except TooMuchError:
        return False
    return True


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=60), st.sampled_from([0.5, 2.0, 10.0]), st.integers(1, 5))
def test_rates_are_the_token_bucket_of_the_textbook(calls: list[tuple[str, int]], per_s: float, burst: int) -> None:
    clock = Clock()
    rates = Rates(per_s, burst, clock=clock)
    tokens, since = dict.fromkeys("ab", float(burst)), dict.fromkeys("ab", 0.0)
    for who, tenths in calls:
        clock.now += tenths / 16  # exact in binary
        tokens[who] = min(burst, tokens[who] + (clock.now - since[who]) * per_s)
        since[who] = clock.now
        expected = tokens[who] >= 1 - 1e-6
        assert taken(rates, who) == expected
        tokens[who] -= expected


def test_who_is_refused_learns_when_to_come_back_and_may() -> None:
    clock = Clock()
    rates = Rates(0.25, 1, clock=clock)
    rates.take("a")
    clock.now = 1.5
    with pytest.raises(TooMuchError) as error:
        rates.take("a")
    assert (error.value.status, error.value.retry_after_s) == (429, 3)
    clock.now += error.value.retry_after_s
    rates.take("a")


def test_a_million_callers_take_bounded_room_and_the_busy_one_stays_bounded() -> None:
    rates = Rates(0.001, 2, most=100, clock=Clock())
    passed = 0
    for n in range(2_000):
        rates.take(f"someone {n}")
        passed += n % 10 == 0 and taken(rates, "busy")
        assert len(rates) <= 202
    assert passed == 2


def test_bytes_in_flight_are_bounded_but_one_body_always_comes() -> None:
    room = InFlight(10, 100)
    room.hold(500)
    with pytest.raises(TooMuchError):
        room.hold(1)
    room.release(500)
    room.hold(60)
    room.hold(40)
    with pytest.raises(TooMuchError) as error:
        room.hold(1)
    assert error.value.status == 503
    assert room.n_bytes == 100


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        (("10.1.2.3", 5), "10.1.2.3"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::"),
        (("2001:db8:1:2:ffff::9", 5), "2001:db8:1:2::"),
        (("::ffff:10.1.2.3", 5), "::ffff:10.1.2.3"),
        (("testclient", 5), "testclient"),
        (None, "unknown"),
    ],
)
def test_an_address_counts_as_one_caller(client: tuple[str, int] | None, counted: str) -> None:
    assert address_of(client) == counted


class Tenant:
    """As much of a tenant as access asks for."""

    def __init__(self, home: Path) -> None:
        self.keys = Keys(home)

    def close(self) -> None: ...


async def nothing(call: Call) -> str:
    return "done"


def test_every_key_and_every_address_has_a_rate_of_its_own(tmp_path: Path) -> None:
    operations = (
        Operation("some", "GET", "/v1/{tenant}/some", Scope.READ, nothing, "Some."),
        Operation("open", "GET", "/open", Scope.PUBLIC, nothing, "Open."),
    )
    keys = Keys(tmp_path)
    one, two = (keys.make(name, ["read"], 1) for name in ("one", "two"))
    server = Server({"shop": Tenant(tmp_path)}, Settings(rate_per_s=0.01, rate_burst=2))  # type: ignore[dict-item]
    with TestClient(build_app(server, operations)) as client:

        def asked(key: str | None, path: str = "/v1/shop/some") -> tuple[int, str | None]:
            given = client.get(path, headers={} if key is None else {"x-api-key": key})
            return given.status_code, given.headers.get("retry-after")

        assert [asked(one)[0] for _ in range(3)] == [200, 200, 429]
        assert asked(one) == (429, "100")
        assert [asked(two)[0] for _ in range(3)] == [200, 200, 429]
        # Who guesses keys is slowed down too, and gets no further word about whether one is right.
        assert [asked(key)[0] for key in ("zy_a", "zy_b", "zy_c", None)] == [401, 401, 429, 429]
        assert [asked(None, "/open")[0] for _ in range(5)] == [200] * 5
