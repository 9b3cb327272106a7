"""Between a call and its answer: what is sent, what is tried again, and what an answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from zhiyin.base.errors import ZhiyinError

T = TypeVar("T")
LONGEST_WAIT_S = 10.0
_PROBLEM = "application/problem+json"
_LATER = (429, 503)


class CallError(ZhiyinError, RuntimeError):
    """The server refused a call (``status``, and ``code`` as its documentation has it), or nobody answered (status 0)."""

    code = "E830"

    def __init__(self, message: str, hint: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code or type(self).code


class _Problem(msgspec.Struct):
    """What is read of application/problem+json."""

    detail: str = ""
    code: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Sent:
    """One call as it goes out: the same bytes, and so the same event ids, however often it is tried."""

    method: str
    path: str
    content: bytes | None
    media: str
    query: Mapping[str, Any]

    @classmethod
    def of(cls, method: str, path: str, body: Any, query: Mapping[str, Any] | None) -> Sent:
        media = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        return cls(method, path, content, media, {name: value for name, value in (query or {}).items() if value is not None})

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        headers = {} if self.content is None else {"content-type": self.media}
        return http.build_request(self.method, self.path, content=self.content, headers=headers, params=self.query or None)


def wait_s(attempt: int, retries: int, outcome: httpx.Response | CallError) -> float | None:
    """How long to wait before the next try, None = this was the last: after no answer, or one that says when to come back.

    Every operation may be repeated: events count once by their ids, everything else says how things shall be.
    """
    if attempt >= retries:
        return None
    if isinstance(outcome, CallError):
        return min(0.1 * 2.0**attempt, LONGEST_WAIT_S)
    said = outcome.headers.get("retry-after", "")
    if outcome.status_code not in _LATER or not said.isdigit():
        return None
    return min(float(said), LONGEST_WAIT_S)


def unreachable(address: str, error: httpx.TransportError) -> CallError:
    """The error of a call that nobody answered."""
    why = str(error) or type(error).__name__
    return CallError(f"no answer from {address}: {why}", "Is it running? zhiyin serve FOLDER")


def value_of(outcome: httpx.Response | CallError, gives: type[T]) -> T:
    """The answer as its type; raises ``CallError`` for a problem. Health says what it says with status 503 as well."""
    if isinstance(outcome, CallError):
        raise outcome
    kind = outcome.headers.get("content-type", "").partition(";")[0]
    if kind == _PROBLEM or (outcome.status_code >= 300 and kind != "application/json"):
        raise _refused(outcome)
    if gives is bytes:
        return outcome.content  # type: ignore[return-value]
    try:
        return msgspec.json.decode(outcome.content, type=gives)
    except msgspec.DecodeError as error:
        raise CallError(f"the answer cannot be read: {error}", "Are client and server of one version?", outcome.status_code) from None


def _refused(answer: httpx.Response) -> CallError:
    try:
        said = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        said = _Problem()
    detail = said.detail or f"status {answer.status_code} {answer.reason_phrase} from {answer.url.path}".rstrip()
    return CallError(detail, said.hint, answer.status_code, said.code)
