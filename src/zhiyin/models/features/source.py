"""What every feature source promises: fitted on a past, asked as of now, saved, grown with the catalogue."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from zhiyin.base.arrays import Float32
from zhiyin.base.spec import Spec
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.roles import State

LEFT_OUT = "left_out"
"""A slate column for training on untimed data: the item of the event that a row stands for, or that it is the
negative of. Counts are then those of a log without that event, whatever the row's label (taking only positives
out of their own counts would tell the label by a difference of one: measured). NaN or no column = nothing."""

FAMILIES = ("behaviour", "interest", "context", "social")
"""What a column is reported under."""


@runtime_checkable
class FittedSource(Protocol):
    """A FeatureSource that can be saved. It answers as of ``requests.now_us``: later events change nothing."""

    @property
    def spec(self) -> FeatureSpec: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def features(self, requests: Requests, slates: Slates) -> Float32: ...

    def state(self) -> State: ...

    def with_catalog(self, catalog: Catalog) -> Self: ...


class FeatureSpec(Spec):
    """Base of every feature source's configuration. ``family`` is the one it is reported under.

    ``as_of`` False: on data with time it answers as of the end of what it was fitted on, not of ``now_us``.
    """

    kind: ClassVar[str] = ""
    family: ClassVar[str] = "behaviour"  # one of FAMILIES
    as_of: ClassVar[bool] = True

    def family_of(self, column: str) -> str:
        """The family of one of its columns; a source of several says which."""
        return self.family

    def described(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def names_on(self, data: Dataset) -> tuple[str, ...]:
        """The columns it gives on such data; raises as ``fit`` does where it cannot. A source that counts says so without counting."""
        return self.fit(data).names

    def fit(self, data: Dataset) -> FittedSource:
        raise TypeError(f"{type(self).__name__} does not say how to fit")

    def restore(self, state: State, data: Dataset) -> FittedSource:
        """From what was saved; ``data`` gives catalogue and manifest, its events are not looked at."""
        raise TypeError(f"{type(self).__name__} does not say how to restore")
