"""OpenTelemetry, where it is wanted: one span for each request, under that of the caller. Off, it costs nothing.

Only the API is used; what collects the spans is configured as OpenTelemetry does it, by its variables:
``ZHIYIN_OTEL=true opentelemetry-instrument zhiyin serve shop``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zhiyin.base.errors import MissingExtraError

Ended = Callable[[int], None]
Spans = Callable[[str, str, Mapping[bytes, bytes]], contextlib.AbstractContextManager[Ended]]


def spans() -> Spans:
    """What opens a span: given operation, tenant and headers; called with the status at its end. Names no person and no id.

    Raises ``MissingExtraError`` where OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        raise MissingExtraError("OpenTelemetry is not installed", "pip install 'zhiyin[otel]'") from None
    tracer = trace.get_tracer("zhiyin")

    @contextlib.contextmanager
    def span(operation: str, tenant: str, headers: Mapping[bytes, bytes]) -> Iterator[Ended]:
        carrier = {name: headers[name.encode()].decode("latin-1") for name in ("traceparent", "tracestate") if name.encode() in headers}
        attributes: dict[str, Any] = {"zhiyin.operation": operation, "zhiyin.tenant": tenant}
        context = propagate.extract(carrier)
        with tracer.start_as_current_span(operation, context, trace.SpanKind.SERVER, attributes) as current:

            def ended(status: int) -> None:
                current.set_attribute("http.response.status_code", status)
                if status >= 500:
                    current.set_status(trace.StatusCode.ERROR)

            yield ended

    return span
