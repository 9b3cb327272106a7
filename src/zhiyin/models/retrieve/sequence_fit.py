"""Training of the sequence model: windows, batches, loss, validation. The only part that needs torch."""

from __future__ import annotations

from collections.abc import Sequence as List
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import FitError
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.truth import ndcg_at
from zhiyin.models.retrieve.pair_memory import PairMemory
from zhiyin.models.retrieve.sequence import Sequence, SequenceSpec
from zhiyin.nn.losses import Drawn, Sparse, full_softmax, gbce, sampled_softmax
from zhiyin.nn.samplers import draw, popularity_log_q
from zhiyin.nn.towers import HistoryTower, ItemTower
from zhiyin.train.checkpoint import discard
from zhiyin.train.loop import Settings, train

FULL_SOFTMAX_ITEMS = 50_000
LEAST_STEPS = 400
"""Few people make few batches: then they are made smaller, or the model stops before it has learned (measured: town of 300)."""
VALIDATION_REQUESTS = 6_000
"""Early stopping looks at no more: its error is then below .005 of NDCG, and it costs little."""


def fit(spec: SequenceSpec, data: Dataset, run: Run) -> Sequence:
    """Train and return the model with its best validated weights (the last ones without a holdout)."""
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    liked = data.positive
    windows = Windows.of(liked, spec.max_len)
    if not len(windows.users):
        raise FitError(
            f"no user of '{data.manifest.name}' has two events, one after the other, to learn an order from", "Use 'ease' or 'content'."
        )
    size = int(np.clip(len(windows.users) * spec.epochs // LEAST_STEPS, 4, spec.batch_size))
    net = Net(spec, liked)
    holdout = None if run.holdout is None or not len(run.holdout) else run.holdout.sample(VALIDATION_REQUESTS, run.seed)

    def validate() -> float:
        if holdout is None:
            return 0.0
        model = net.frozen(spec, data)
        return float(np.nanmean(ndcg_at(model.retrieve(holdout.requests, 10), holdout.truth, 10)))

    fingerprint = digest_json([spec.digest(), run.seed, digest_arrays(liked.events.user_ix, liked.events.item_ix, liked.events.time_us)])
    train(
        net,
        lambda epoch: windows.batches(size, np.random.default_rng([run.seed, epoch])),
        net.loss,
        Settings(
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            l2=spec.l2,
            patience=spec.patience,
            validate_every=spec.validate_every,
            seed=run.seed,
            save_every=run.checkpoint_steps,
            stage="sequence",
        ),
        validate=None if holdout is None else validate,
        folder=run.folder,
        fingerprint=fingerprint,
        report=run.report,
    )
    if run.folder is not None:
        discard(run.folder)
    return net.frozen(spec, data)


@dataclass(frozen=True)
class Windows:
    """Every user's liked items in order; an epoch cuts long ones at fresh places, so nothing is lost."""

    items: Int32  # (n_events,) grouped by user, oldest first
    instants: Int64  # (n_events,) rising within a user; equal for the things of one basket
    offsets: Int64  # (n_users + 1,)
    max_len: int

    @classmethod
    def of(cls, data: Dataset, max_len: int) -> Windows:
        rows, offsets = data.by_user
        time = data.events.time_us[rows]
        return cls(data.events.item_ix[rows], np.cumsum(np.diff(time, prepend=time[:1]) != 0), offsets, max_len)

    @cached_property
    def users(self) -> AnyArray:
        """Those with two instants or more: only they have something that comes next."""
        some = np.flatnonzero(np.diff(self.offsets) >= 2)
        return some[self.instants[self.offsets[some]] < self.instants[self.offsets[some + 1] - 1]]

    def spans(self, rng: np.random.Generator) -> AnyArray:
        """(n_windows, 2) start and end, two instants or more in each; neighbours share one event, so each event is a target
        once (of a basket that is cut, only the part in the window of the basket before)."""
        width = self.max_len + 1
        start, end = self.offsets[self.users], self.offsets[self.users + 1]
        late = np.where(rng.random(len(start)) < 0.5, 0, rng.integers(0, max(self.max_len // 2, 1), len(start)))
        end = np.where(end - start > width, end - late, end)
        found = []
        while len(start):
            begin = np.maximum(start, end - width)
            found.append(np.stack([begin, end], axis=1))
            more = begin > start
            start, end = start[more], begin[more] + 1
        spans = np.concatenate(found)
        # A window inside one large basket asks nothing, and a batch of such windows has no mean loss.
        return np.asarray(spans[self.instants[spans[:, 0]] < self.instants[spans[:, 1] - 1]])

    def batches(self, size: int, rng: np.random.Generator) -> List[Tensor]:
        """Windows of similar length together, padded with -1 at the end, in random order.

        A batch holds about ``size`` windows of ``max_len`` or correspondingly more short ones. An epoch whose cuts
        leave one large basket of each person asks nothing.
        """
        spans = self.spans(rng)
        if not len(spans):
            return []
        lengths = spans[:, 1] - spans[:, 0]
        order = np.argsort(lengths * rng.uniform(0.97, 1.03, len(lengths)), kind="stable")
        out, start = [], 0
        budget = size * min(self.max_len, float(lengths.mean()) * 1.2)
        while start < len(order):
            width = int(lengths[order[start : start + size]].max())
            picked = order[start : start + max(1, int(budget // width))]
            out.append(self._padded(spans[picked]))
            start += len(picked)
        return [out[i] for i in rng.permutation(len(out))]

    def _padded(self, spans: AnyArray) -> Tensor:
        """(n, time, 2): item and instant. Padding is at the end: item -1, later than everything."""
        lengths = (spans[:, 1] - spans[:, 0])[:, None]
        steps = np.arange(lengths.max())
        at = spans[:, :1] + np.minimum(steps, lengths - 1)
        items = np.where(steps < lengths, self.items[at], -1)
        instants = self.instants[at] - self.instants[spans[:, :1]] + np.maximum(steps - lengths + 1, 0)
        return torch.from_numpy(np.stack([items, instants], axis=2).astype(np.int64))


class Asked(NamedTuple):
    """What a batch of windows asks: from everything up to (window, place), which item came in the next instant?"""

    window: Tensor  # (n_targets,)
    place: Tensor  # (n_targets,) the last event of the instant before the target's
    item: Tensor  # (n_targets,)

    @classmethod
    def of(cls, items: Tensor, instants: Tensor) -> Asked:
        """Every event after the first instant is a target: all things of a basket, from the basket before."""
        begins = F.pad(instants[:, 1:] != instants[:, :-1], (1, 0))
        first = torch.where(begins, torch.arange(items.shape[1]), 0).cummax(dim=1).values
        window, place = ((items >= 0) & (first > 0)).nonzero(as_tuple=True)
        return cls(window, first[window, place] - 1, items[window, place])


class Net(nn.Module):
    """Item towers and history tower; ``loss`` for a batch of windows, ``frozen`` as a numpy model."""

    def __init__(self, spec: SequenceSpec, data: Dataset) -> None:
        super().__init__()
        self.spec = spec
        vectors = data.catalog.vectors.get("text") if spec.text == "auto" else None
        text = None if vectors is None else torch.from_numpy(vectors.matrix)
        self.seen = ItemTower(n_items=data.n_items, dim=spec.dim, text=text, id_dropout=spec.id_dropout)
        own = ItemTower(n_items=data.n_items, dim=spec.dim, text=text, id_dropout=spec.id_dropout)
        self.next = self.seen if spec.shared_items else own
        self.tower = HistoryTower(
            dim=spec.dim,
            layers=spec.layers,
            heads=spec.heads,
            max_len=spec.max_len,
            hidden=spec.dim * spec.hidden_ratio,
            dropout=spec.dropout,
        )
        if spec.score == "bilinear":
            self.bilinear = nn.Parameter(torch.eye(spec.dim))
        if spec.score == "cosine":
            self.log_temperature = nn.Parameter(torch.tensor(2.5))
        self.memory = None if spec.memory is None else PairMemory.of(spec.memory, data)
        if self.memory is not None:
            self.memory_strength = nn.Parameter(torch.tensor(0.5))
            self.log_memory_scale = nn.Parameter(torch.tensor(-4.0))
        self.counts = torch.from_numpy(data.item_counts.astype(np.float32))
        full = spec.loss == "full" or (spec.loss == "auto" and data.n_items <= FULL_SOFTMAX_ITEMS)
        self.kind = "full" if full else ("gbce" if spec.loss == "gbce" else "sampled")
        self.log_q = popularity_log_q(self.counts, 0.0 if self.kind == "gbce" else 0.75, spec.n_negatives)

    def loss(self, batch: Tensor) -> tuple[Tensor, int]:
        """Mean loss over all next events of a batch (n, time, 2) of items and instants."""
        items, instants = batch[..., 0], batch[..., 1]
        asked = Asked.of(items, instants)
        plain = bool((instants == torch.arange(instants.shape[1])).all())
        seen = self.seen()
        states = self.tower(F.embedding(items[:, :-1].clamp(min=0), seen), None if plain else instants[:, :-1])
        state = states[asked.window, asked.place]
        table = seen if self.next is self.seen else self.next()
        if self.spec.score == "bilinear":
            state = state @ self.bilinear.T
        if self.spec.score == "cosine":
            state, table = F.normalize(state, dim=1) * self.log_temperature.exp(), F.normalize(table, dim=1)
        found = None
        if self.memory is not None:
            found = self.memory.evidence(items.numpy(), instants.numpy(), asked.window.numpy(), asked.place.numpy())
        return self._loss(state, table, asked.item, found), len(asked.item)

    def _loss(self, state: Tensor, table: Tensor, wanted: Tensor, found: sp.csr_matrix | None) -> Tensor:
        """``found`` (n_targets, n_items) is what the pair memory says."""
        if self.kind == "full":
            return full_softmax(state, table, wanted, plus=None if found is None else self._everywhere(found))
        negatives = draw(self.log_q, self.spec.n_negatives)
        plus = None
        if found is not None:
            plus = Drawn(
                self._heard(np.asarray(found[np.arange(len(wanted)), wanted.numpy().copy()]).ravel()),
                self._heard(found[:, negatives.numpy().copy()].toarray()),
            )
        if self.kind == "gbce":
            return gbce(state, table, wanted, negatives, plus=plus)
        return sampled_softmax(state, table, wanted, negatives, self.log_q, plus)

    def _everywhere(self, found: sp.csr_matrix) -> Sparse:
        places = (torch.from_numpy(found.indptr.astype(np.int64)), torch.from_numpy(found.indices.astype(np.int64)))
        return Sparse(*places, self._heard(found.data))

    def _heard(self, evidence: AnyArray) -> Tensor:
        """Evidence as logits: much of it is worth little more than some."""
        return self.memory_strength * torch.log1p(torch.from_numpy(evidence) * torch.exp(-self.log_memory_scale))

    def frozen(self, spec: SequenceSpec, data: Dataset) -> Sequence:
        """The same function as plain arrays."""
        weights: dict[str, Float32] = {"trained": (self.counts.numpy() > 0).astype(np.float32)}
        for name, tensor in self.tower.state_dict().items():
            weights[name] = tensor.numpy().copy()
        for name, tower in (("seen", self.seen), ("next", self.next)):
            if name == "next" and spec.shared_items:
                continue
            weights[f"{name}.embedding"] = tower.embedding.detach().numpy().copy()
            if tower.text is not None:
                weights[f"{name}.adapter"] = tower.adapter.weight.detach().numpy().copy()
                weights[f"{name}.gate"] = tower.gate.detach().numpy().copy()
        if spec.score == "bilinear":
            weights["bilinear"] = self.bilinear.detach().numpy().copy()
        if spec.score == "cosine":
            weights["temperature"] = np.array([self.log_temperature.exp().item()], np.float32)
        if self.memory is None:
            return Sequence(spec, data.catalog, weights)
        weights["memory_strength"] = np.array([self.memory_strength.item()], np.float32)
        weights["memory_scale"] = np.array([self.log_memory_scale.exp().item()], np.float32)
        return Sequence(spec, data.catalog, weights, self.memory.model)
