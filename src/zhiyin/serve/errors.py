"""The one table from errors to HTTP, and the shape errors travel in: RFC 9457, application/problem+json."""

from __future__ import annotations

from typing import Any

import msgspec

from zhiyin.base.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    ModelFileError,
    StoreBusyError,
    StoreConflictError,
    StoreError,
    UnknownNameError,
    ZhiyinError,
)


class AccessError(ZhiyinError, PermissionError):
    """No key, a wrong key, or a key that may not do this."""

    code = "E800"

    def __init__(self, message: str, hint: str = "", status: int = 403) -> None:
        super().__init__(message, hint)
        self.status = status


class TooMuchError(ZhiyinError, RuntimeError):
    """A limit was reached; ``retry_after_s`` says when to come back."""

    code = "E810"

    def __init__(self, message: str, hint: str = "", status: int = 429, retry_after_s: int = 1) -> None:
        super().__init__(message, hint)
        self.status = status
        self.retry_after_s = retry_after_s


class RequestError(ZhiyinError, ValueError):
    """A request cannot be read: no JSON (400), of another type (415), or JSON of another shape than the operation takes (422)."""

    code = "E820"

    def __init__(self, message: str, hint: str = "", status: int = 400) -> None:
        super().__init__(message, hint)
        self.status = status


STATUS: tuple[tuple[type[ZhiyinError], int], ...] = (
    (StoreBusyError, 503),
    (StoreConflictError, 409),
    (StoreError, 503),
    (MissingDataError, 404),
    (UnknownNameError, 404),
    (ModelFileError, 500),
    (ConfigError, 422),
    (DataError, 422),
)
"""First match wins; what is not listed is a 500."""


def status_of(error: ZhiyinError) -> int:
    if isinstance(error, AccessError | TooMuchError | RequestError):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


class Problem(msgspec.Struct, frozen=True):
    """What went wrong (``detail``), what to do (``hint``), and the code that the documentation explains."""

    type: str
    title: str
    status: int
    detail: str
    code: str = ""
    hint: str = ""


_TITLES = {
    400: "Bad request", 401: "Key needed", 403: "Not allowed", 404: "Not found", 405: "Method not allowed", 408: "Too slow",
    409: "Conflict", 413: "Too large", 415: "Not JSON", 422: "Cannot be done", 429: "Too many requests", 431: "Too large",
    500: "Internal error", 503: "Not now",
}  # fmt: skip
_encoder = msgspec.json.Encoder()


Ready = tuple[int, bytes, dict[str, str]]
"""Status, body and headers of a response."""


def problem(status: int, detail: str, *, code: str = "", hint: str = "", headers: dict[str, str] | None = None) -> Ready:
    """Status, body and headers of an error."""
    kind = f"urn:zhiyin:error:{code or status}"
    body = _encoder.encode(Problem(kind, _TITLES.get(status, "Error"), status, detail, code, hint))
    return status, body, {"content-type": "application/problem+json", **(headers or {})}


def told(error: ZhiyinError) -> Ready:
    """The problem of one of our errors."""
    status = status_of(error)
    headers: dict[str, Any] = {}
    if isinstance(error, TooMuchError) and status in (429, 503):
        headers["retry-after"] = str(error.retry_after_s)
    elif status == 503:
        headers["retry-after"] = "1"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return problem(status, error.message, code=error.code, hint=error.hint, headers=headers)
