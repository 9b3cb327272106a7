"""``zhiyin``, the default: several models whose opinions are added with weights learned out of sample.

score(j) = sum over parts k of  w_log,k * log(share_k(j) + floor)  +  w_lin,k * linear_k(j)

where share_k(j) is part k's positive score of j over their sum, and linear_k its score in standard
deviations of that request's row (for the sequence model, which speaks in logits, its logit as it is).
Weights are non-negative; they maximise the likelihood of the validation answers among the parts' best
candidates, then climb on NDCG itself, and give way to the best single part if that is level: the blend
is never worse than its best part on validation.

An item nobody has touched yet has no collaborative score. It gets the score that touched items of equal
text score get on average in the same request (a regression per request), so it competes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Bool, Float32, Float64
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.split import default_split
from zhiyin.data.truth import Holdout
from zhiyin.index.exact import NEVER, top_k
from zhiyin.models.retrieve.blend_weights import Learned, learn_weights
from zhiyin.models.retrieve.cold_weights import dense, learn_cold_weights, standardised
from zhiyin.models.retrieve.dense import DenseRetriever, forbid
from zhiyin.models.roles import Model, ModelSpec, State, chunk_rows

FLOOR = 1e-4
"""Share given to an item a part says nothing about: about one of ten thousand."""

READS_TEXT = ("content", "text-neighbours", "text-ease")
SHARES = ("popular", "buy-again", "item-neighbours", "user-neighbours", "transitions", "ease", "text-neighbours", "text-ease")
"""Parts whose scores are counts of evidence, where ratios mean something."""

VALIDATION_REQUESTS = 6_000

EASE_ITEMS = 20_000
"""Its matrix has n_items^2 numbers: 1.6 GB here."""

TEXT_EASE_ITEMS = 6_000
"""Up to here a second and third EASE cost seconds; they are fitted anew to learn what cold items are worth."""


class BlendSpec(ModelSpec):
    """Choose by default. ``parts`` are model tables such as ``{kind = "ease", l2 = 100}``.

    Without ``parts`` they follow from the data: transitions, sequence, EASE and item neighbours,
    buy-again where repeats are allowed, and the text models where items have text. Costs the sum of
    its parts; see ``sequence`` when one model must do.
    """

    kind: ClassVar[str] = "zhiyin"
    validates: ClassVar[bool] = True

    parts: tuple[dict[str, Any], ...] = ()
    n_candidates: Annotated[int, Field(ge=10)] = 100

    def part_specs(self, data: Dataset) -> list[ModelSpec]:
        """The specs of the parts on this data."""
        from zhiyin.models.registry import spec_of

        given = self.parts or default_parts(data)
        specs = [spec_of(part, f"zhiyin.parts[{i}]") for i, part in enumerate(given)]
        if any(isinstance(spec, BlendSpec) for spec in specs):
            raise ConfigError("a blend cannot be part of a blend", "Name its parts instead.")
        return specs

    def fit(self, data: Dataset, run: Run) -> Blend:
        specs = self.part_specs(data)
        cut = default_split(data) if run.holdout is None else None
        past, holdout = (data, run.holdout) if cut is None else (cut.before_test, cut.test)
        parts: list[Model] = []
        for i, spec in enumerate(specs):
            folder = run.folder / f"part-{i}-{spec.kind}" if run.folder else None
            run.report({"stage": "zhiyin", "note": f"fitting {spec.kind}", "step": i, "of": len(specs) + 1})
            parts.append(spec.fit(past, replace(run, folder=folder, holdout=holdout)))
        run.report({"stage": "zhiyin", "note": "weighing the parts", "step": len(specs), "of": len(specs) + 1})
        blend = self.of_parts(past, parts, replace(run, holdout=holdout))
        run.report({"stage": "zhiyin", "note": blend.learned.told(), "step": len(specs) + 1, "of": len(specs) + 1})
        if cut is None:
            return blend
        # The weights are known: what costs little learns from the newest events too.
        parts = [part if spec.validates else spec.fit(data, replace(run, folder=None)) for spec, part in zip(specs, parts, strict=True)]
        return replace(blend, parts=tuple(parts), touched=data.positive.item_counts > 0)

    def of_parts(self, data: Dataset, parts: Iterable[Model], run: Run) -> Blend:
        """Weigh models that are fitted on ``data`` already, by the run's validation set."""
        if run.holdout is None:
            raise FitError("a blend needs validation requests to weigh its parts", "Give run.holdout.")
        fitted = tuple(parts)
        spec = self.model_copy(update={"parts": tuple(part.spec.described() for part in fitted)})
        blank = Blend(
            spec, data.catalog, fitted, Learned.equal(len(_columns(fitted))), _cold(fitted, data, run), data.positive.item_counts > 0
        )
        return replace(blank, learned=blank.learn(run.holdout.sample(VALIDATION_REQUESTS, run.seed), self.n_candidates))

    def restore(self, state: State, catalog: Catalog) -> Blend:
        from zhiyin.models.registry import spec_of

        specs = [spec_of(described, "the saved blend") for described in self.parts]
        parts = tuple(spec.restore(state.under(f"part{i}"), catalog) for i, spec in enumerate(specs))
        learned = Learned(state.arrays["weights"].astype(np.float64), state.meta["validation"], tuple(state.meta["alone"]))
        return Blend(self, catalog, parts, learned, state.arrays["cold"].astype(np.float64), state.arrays["touched"] > 0)


def default_parts(data: Dataset) -> list[dict[str, Any]]:
    """What usually helps on data of this kind."""
    parts: list[dict[str, Any]] = []
    if data.manifest.order != "none":
        # What follows within ten steps, and what follows next: together better than either.
        parts += [{"kind": "sequence"}, {"kind": "transitions"}, {"kind": "transitions", "reach": 1, "backward": 0.0, "row_power": 1.0}]
    parts += [{"kind": "ease"}] if data.n_items <= EASE_ITEMS else [{"kind": "item-neighbours"}]
    if data.manifest.repeat.policy != "never":
        parts += [{"kind": "buy-again"}]
    parts += [{"kind": "popular"}]
    if "text" in data.catalog.vectors:
        parts += [{"kind": "text-neighbours"}]
        if data.n_items <= TEXT_EASE_ITEMS:
            parts += [{"kind": "text-ease"}, {"kind": "text-ease", "method": "ridge"}]
        else:
            parts += [{"kind": "content"}]
    return parts


def _cold(parts: tuple[Model, ...], data: Dataset, run: Run) -> Float64:
    """One weight per text part for items nobody touched, learned on hidden ones; equal where too few can be hidden."""
    specs = [part.spec for part in parts if part.spec.kind in READS_TEXT]
    if len(specs) < 2:
        return np.ones(len(specs))
    try:
        return learn_cold_weights(specs, data, run).weights
    except FitError:
        return np.ones(len(specs))


def _columns(parts: tuple[Model, ...] | list[Model]) -> list[tuple[int, str]]:
    """(part, transform) of every weight."""
    hows = {"sequence": ("logit",), **dict.fromkeys(SHARES, ("log", "linear"))}
    return [(i, how) for i, part in enumerate(parts) for how in hows.get(part.spec.kind, ("linear",))]


@dataclass(frozen=True)
class Blend(DenseRetriever):
    """``touched`` (n_items at fit,): items that had events; the others are scored by text, with the weights
    ``cold`` of the text parts."""

    spec: BlendSpec
    catalog: Catalog
    parts: tuple[Model, ...]
    learned: Learned
    cold: Float64  # (n_text_parts,)
    touched: Bool

    def scores(self, requests: Requests) -> Float32:
        return self._total(self._rows(requests))

    def candidates(self, requests: Requests, k: int) -> Slates:
        """The same lists as ``retrieve``, with what every part says of each item as columns "score.<part>.<how>"."""
        found = []
        for chunk in requests.chunks(chunk_rows(len(self.catalog))):
            rows = self._rows(chunk)
            total = self._total(rows)
            forbid(total, chunk, self.catalog)
            best = top_k(total, k)
            for i, (part, how) in enumerate(_columns(self.parts)):
                said = transformed(rows[part], how, self._basis)[best.items.rows, best.item_ix]
                best = best.with_column(f"score.{i}.{self.parts[part].spec.kind}.{how}", said)
            found.append(best)
        return Slates.concatenated(found)

    def _total(self, rows: list[Float32]) -> Float32:
        total = np.zeros(rows[0].shape, np.float32)
        for weight, (part, how) in zip(self.learned.weights, _columns(self.parts), strict=True):
            if weight > 0:
                total += np.float32(weight) * transformed(rows[part], how, self._basis)
        self._place_untouched(total, rows)
        known = np.zeros(total.shape, np.bool_)
        for row in rows:
            known |= row > NEVER
        total[~known] = NEVER
        return total

    def _rows(self, requests: Requests) -> list[Float32]:
        return [dense(part).scores(requests) for part in self.parts]

    @cached_property
    def untouched(self) -> Bool:
        """Items without events, new ones included: (n_items,)."""
        out = np.ones(len(self.catalog), np.bool_)
        out[: len(self.touched)] = ~self.touched
        return out

    @cached_property
    def _basis(self) -> Bool | None:
        """Items whose scores set the scale of a row: the touched ones, so that new items move nobody's score."""
        return ~self.untouched if self.untouched.any() and not self.untouched.all() else None

    def _place_untouched(self, total: Float32, rows: list[Float32]) -> None:
        """Give untouched items, in place, the average score of touched items of equal text score."""
        if self._basis is None:
            return
        cold, warm = self.untouched, self._basis
        texts = [transformed(rows[i], "linear", warm) for i, part in enumerate(self.parts) if part.spec.kind in READS_TEXT]
        if not texts:
            total[:, cold] = total[:, warm].min(axis=1, keepdims=True)
            return
        text = np.sum([np.float32(w) * row for w, row in zip(self.cold, texts, strict=True)], axis=0)
        x, y = text[:, warm], total[:, warm]
        x_mean, y_mean = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
        slope = ((x - x_mean) * (y - y_mean)).sum(axis=1, keepdims=True) / np.maximum(((x - x_mean) ** 2).sum(axis=1, keepdims=True), 1e-9)
        total[:, cold] = y_mean + np.maximum(slope, 1e-6) * (text[:, cold] - x_mean)

    def learn(self, holdout: Holdout, n_candidates: int) -> Learned:
        """Weights for the columns from validation requests and their answers."""
        columns = _columns(self.parts)
        pools, features, answers = [], [], []
        start = 0
        for chunk in holdout.requests.chunks(256):
            truth = holdout.truth.take(np.arange(start, start + len(chunk)))
            start += len(chunk)
            rows = self._rows(chunk)
            changed = [transformed(rows[part], how, self._basis) for part, how in columns]
            for row in rows:
                forbid(row, chunk, self.catalog)
            at = np.nonzero(pool := _pool(rows, n_candidates))
            stacked = [column[at] for column in changed]
            relevant = np.zeros(pool.shape, np.bool_)
            relevant[truth.items.rows, truth.items.values] = True
            pools.append(pool.sum(axis=1))
            features.append(np.stack(stacked, axis=1))
            answers.append(relevant[at])
        if not features:
            raise FitError("the validation set of the blend is empty", "Give more events or another split.")
        return learn_weights(np.concatenate(features), np.concatenate(pools), np.concatenate(answers), holdout.truth.items.lengths)

    def state(self) -> State:
        arrays: dict[str, AnyArray] = {"weights": self.learned.weights, "cold": self.cold, "touched": self.touched.astype(np.int8)}
        meta: dict[str, Any] = {
            "validation": self.learned.validation,
            "alone": list(self.learned.alone),
        }
        return State(arrays, meta).holding({f"part{i}": part.state() for i, part in enumerate(self.parts)})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog, parts=tuple(part.with_catalog(catalog) for part in self.parts))


def transformed(scores: Float32, how: str, basis: Bool | None = None) -> Float32:
    """A part's rows made comparable with others': no -inf, the same order, no scale of their own.

    ``basis`` (n_items,) are the items that set the scale, None = all. What a part knows nothing of
    gets the floor ("log"), the average ("linear") or the lowest score ("logit").
    """
    known = scores > NEVER
    own = scores if basis is None else scores[:, basis]
    if how == "logit":
        top = own.max(axis=1, keepdims=True)
        low = np.where(own > NEVER, own, np.inf).min(axis=1, keepdims=True)
        return np.asarray(np.where(top > NEVER, np.where(known, scores, low) - top, 0), np.float32)
    if how == "log":
        total = np.maximum(own, 0).sum(axis=1, keepdims=True)
        share = np.maximum(scores, 0) / np.maximum(total, 1e-12)
        return np.asarray(np.log(share + np.float32(FLOOR)) - np.float32(np.log(FLOOR)), np.float32)
    return standardised(scores, basis)


def _pool(rows: list[Float32], n: int) -> Bool:
    """Union of every part's best n: (n_requests, n_items)."""
    pool = np.zeros(rows[0].shape, np.bool_)
    n_items = rows[0].shape[1]
    skip = n_items - min(n, n_items)
    for row in rows:
        best: AnyArray = np.argpartition(row, skip, axis=1)[:, skip:] if skip else np.tile(np.arange(n_items), (len(row), 1))
        np.put_along_axis(pool, best, True, axis=1)
    everything = np.stack([row > NEVER for row in rows]).any(axis=0)
    return np.asarray(pool & everything)


def weights_by_part(blend: Blend) -> Mapping[str, Float64]:
    """What was learned, by part name: for reports."""
    out: dict[str, Float64] = {}
    for weight, (part, how) in zip(blend.learned.weights, _columns(blend.parts), strict=True):
        out[f"{blend.parts[part].spec.kind}.{how}"] = weight
    return out
