"""Figures about the server for Prometheus: requests by operation and status, and how long they took."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The folder of the figures of several workers, in their environment from before they start."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Meter:
    """One registry per server; nothing about people is in it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("zhiyin_requests_total", "Requests answered", ["operation", "status"], registry=self.registry)
        self._seconds = Histogram("zhiyin_request_seconds", "Time to answer", ["operation"], registry=self.registry, buckets=BUCKETS)
        self.events = Counter("zhiyin_events_total", "Events taken", ["tenant", "outcome"], registry=self.registry)
        # Of several workers, each writes its figures into files of a folder, and any of them tells the sum.
        self.degraded = Gauge(
            "zhiyin_degraded_answers", "Answers without the model", ["tenant"], registry=self.registry, multiprocess_mode="sum"
        )

    def timer(self, operation: str) -> Callable[[int, float], None]:
        """What an endpoint calls after each request."""
        seconds = self._seconds.labels(operation)
        counters: dict[int, Counter] = {}

        def done(status: int, took_s: float) -> None:
            counter = counters.get(status)
            if counter is None:
                counter = counters[status] = self._requests.labels(operation, str(status))
            counter.inc()
            seconds.observe(took_s)

        return done

    def text(self, tenants: Collection[str]) -> bytes:
        """The exposition format of Prometheus; of figures of one tenant only those of ``tenants``."""
        registry = self.registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        lines = generate_latest(registry).split(b"\n")
        own = [f'tenant="{_escaped(name)}"'.encode() for name in tenants]
        return b"\n".join(line for line in lines if b'{tenant="' not in line or any(label in line for label in own))


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
