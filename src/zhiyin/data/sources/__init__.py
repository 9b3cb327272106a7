"""Readers of public data sets: ``SOURCES`` lists them, ``open_source`` reads one into a Dataset."""

from zhiyin.data.sources.registry import SOURCES, available, data_root, open_source, read_source, source
from zhiyin.data.sources.source import Source

__all__ = ["SOURCES", "Source", "available", "data_root", "open_source", "read_source", "source"]
