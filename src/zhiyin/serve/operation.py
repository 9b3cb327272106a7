"""One operation of the API: everything that routing, access, documentation, clients and generated tests need to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from zhiyin.serve.access import Caller
    from zhiyin.serve.hosted import Hosted


class Scope(IntEnum):
    """What a key may do. ``PUBLIC`` asks for no key."""

    PUBLIC = 0
    INGEST = 1
    RECOMMEND = 2
    READ = 3
    ADMIN = 4


@dataclass(slots=True)
class Call:
    """One request after reading: the tenant, who calls, and the decoded parts.

    ``tenants`` are those this call may hear of: its own, or for an operation without a tenant in its path all that
    its key opens (a public one: all). ``tenant`` is the first of them.
    """

    tenant: Hosted
    caller: Caller
    path: Mapping[str, str]
    body: Any = None
    query: Any = None
    tenants: Mapping[str, Hosted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a handler gives when it is more than a value: another status, headers, bytes that are ready (``raw``), or bytes
    that come piece by piece (``stream``, read in threads, so that no answer has to fit into memory)."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    stream: Iterator[bytes] | None = None
    media: str = "application/json"


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """``path`` has ``{tenant}`` first and may have more names; ``body``, ``query`` and ``gives`` are msgspec types.

    ``largest`` bounds the body in bytes. A body that is ``spooled`` reaches the handler as an open file without a name,
    however large it is. ``summary`` is one sentence for the documentation.
    """

    name: str
    method: str
    path: str
    scope: Scope
    handler: Handler
    summary: str
    gives: Any = dict
    body: Any = None
    query: type[msgspec.Struct] | None = None
    status: int = 200
    largest: int = 1 << 20
    spooled: bool = False
    tags: tuple[str, ...] = ()


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""
