"""Metrics: (slates, truth) -> one value per request."""

from zhiyin.evaluate.metrics.lists import Judged
from zhiyin.evaluate.metrics.registry import ACCURACY, BEYOND, TOTALS, Metric, measure, metric, metrics_of

__all__ = ["ACCURACY", "BEYOND", "TOTALS", "Judged", "Metric", "measure", "metric", "metrics_of"]
