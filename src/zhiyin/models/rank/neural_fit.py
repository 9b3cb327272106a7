"""Training of neural rankers: rows drawn anew each epoch, one loss, one loop. The only part that needs torch."""

from __future__ import annotations

from collections.abc import Sequence as List
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.data.run import Run
from zhiyin.models.rank.columns import Scaler, binary, check_examples, columns_read, matrix_of
from zhiyin.models.rank.neural import Inputs, Neural, NeuralSpec, code_values, text_of
from zhiyin.models.rank.quality import quality
from zhiyin.models.roles import RankingExamples
from zhiyin.nn.ranking import Rows
from zhiyin.nn.towers import ItemTower
from zhiyin.train.checkpoint import discard
from zhiyin.train.loop import Settings, train

LEAST_STEPS = 400
"""Few examples make few batches: then they are made smaller, or the network stops before it has learned."""

START = 10.0
"""Embeddings of items start that much larger than those of the sequence model: standard deviation .2."""


def fit(spec: NeuralSpec, examples: RankingExamples, run: Run, validation: RankingExamples | None) -> Neural:
    """Train and return the ranker with its best validated weights (the last ones without validation)."""
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    inputs = inputs_of(spec, examples)
    net = Net(inputs, examples)
    draw = Draw(examples, spec)

    def validate() -> float:
        return 0.0 if validation is None else quality(validation, net.frozen().score(validation.requests, validation.slates))

    data = digest_arrays(examples.labels, examples.slates.item_ix, net.columns.numpy())
    train(
        net,
        lambda epoch: draw.batches(np.random.default_rng([run.seed, epoch])),
        net.loss,
        Settings(
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            l2=spec.l2,
            warm_up=20,
            patience=spec.patience,
            seed=run.seed,
            save_every=run.checkpoint_steps,
            stage=spec.kind,
        ),
        validate=None if validation is None else validate,
        folder=run.folder,
        fingerprint=digest_json([spec.digest(), run.seed, data]),
        report=run.report,
    )
    if run.folder is not None:
        discard(run.folder)
    return net.frozen()


def inputs_of(spec: NeuralSpec, examples: RankingExamples) -> Inputs:
    """Which columns are numbers and which codes, the scale of the former and the values of the latter."""
    named = spec.columns or tuple(name for name in examples.slates.columns if name not in spec.embed)
    check_examples(examples, spec.kind)
    # Codes or a history alone are enough to learn from.
    columns = columns_read(named, examples, spec.kind) if named or not (spec.embed or spec.time) else ()
    codes = tuple(_known(code_values(name, examples.requests, examples.slates, spec.kind)) for name in spec.embed)
    return Inputs(spec, columns, Scaler.of(matrix_of(examples.slates, columns, spec.kind)), codes)


def _known(values: Float64) -> Float64:
    """Ascending; never empty, so that a look-up always has somewhere to look."""
    found = np.unique(values[np.isfinite(values)])
    return found if len(found) else np.array([np.inf])


@dataclass(frozen=True)
class Draw:
    """All chosen rows and some of the others, anew each epoch, in batches of whole lists."""

    examples: RankingExamples
    spec: NeuralSpec

    def batches(self, rng: np.random.Generator) -> List[Tensor]:
        """Row numbers; the same for the same generator."""
        chosen = self.examples.labels > 0
        lists = self.examples.slates.items.rows
        useful = np.ones(len(lists), np.bool_)
        if self.spec.objective == "list":
            useful = np.bincount(lists[chosen], minlength=len(self.examples.slates))[lists] > 0
        others = np.flatnonzero(useful & ~chosen)
        if self.spec.negatives_per_positive is not None:
            others = rng.permutation(others)[: self.spec.negatives_per_positive * int(chosen.sum())]
        rows = np.concatenate([np.flatnonzero(chosen), others])
        size = int(np.clip(len(rows) * self.spec.epochs // LEAST_STEPS, 16, self.spec.batch_size))
        turn = rng.permutation(len(self.examples.slates))[lists[rows]]
        order = np.argsort(turn, kind="stable")
        rows, turn = rows[order], turn[order]
        starts = np.flatnonzero(np.diff(turn, prepend=-1))  # where a list begins
        cuts = starts[np.flatnonzero(np.diff(starts // size, prepend=0))]
        return [torch.from_numpy(part) for part in np.split(rows, cuts) if len(part)]


class Net(nn.Module):
    """Embeddings and a body over the examples; ``loss`` for a batch of row numbers, ``frozen`` as a numpy model."""

    def __init__(self, inputs: Inputs, examples: RankingExamples) -> None:
        super().__init__()
        self.inputs, spec = inputs, inputs.spec
        requests, slates = examples.requests, examples.slates
        self.text = text_of(spec, examples.catalog)
        self.columns = torch.from_numpy(inputs.numbers(slates))
        self.coded = torch.from_numpy(inputs.coded(requests, slates))
        self.codes = nn.ModuleList(Codes(n=len(known) + 1, dim=spec.dim, forget=spec.id_dropout) for known in inputs.codes)
        self.request = torch.from_numpy(slates.items.rows)
        self.target = torch.from_numpy(examples.labels if spec.objective == "list" else binary(examples.labels))
        self.weight = torch.from_numpy(np.ascontiguousarray(examples.weights, np.float32))
        self.body = spec.body(self.columns.shape[1], len(self.codes))
        if spec.time:
            self.item = torch.from_numpy(slates.item_ix.astype(np.int64))
            past = inputs.past(requests)
            self.past = torch.from_numpy(past)
            self.items = _tower(spec, self.text, slates.item_ix, past)

    def loss(self, batch: Tensor) -> tuple[Tensor, int]:
        """Mean loss over the rows of a batch, or over its lists."""
        logits, target, weight = self.body(self._rows(batch)), self.target[batch], self.weight[batch]
        if self.inputs.spec.objective == "binary":
            each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            return (each * weight).mean(), len(batch)
        lists = torch.unique_consecutive(self.request[batch], return_inverse=True)[1]
        n = int(lists[-1]) + 1
        top = torch.full((n,), -torch.inf).scatter_reduce(0, lists, logits.detach(), "amax")
        norm = torch.zeros(n).index_add(0, lists, (logits - top[lists]).exp()).log() + top
        return ((norm[lists] - logits) * target * weight).sum() / n, n

    def _rows(self, batch: Tensor) -> Rows:
        dim, n = self.inputs.spec.dim, len(batch)
        codes = [table(self.coded[batch, i]) for i, table in enumerate(self.codes)]
        coded = torch.stack(codes, dim=1) if codes else torch.zeros(n, 0, dim)
        requests, request = torch.unique_consecutive(self.request[batch], return_inverse=True)
        if not self.inputs.spec.time:
            m = len(requests)
            return Rows(self.columns[batch], coded, torch.zeros(n, dim), torch.zeros(m, 0, dim), torch.zeros(m, 0), request)
        table = F.pad(self.items(), (0, 0, 0, 1))  # the last row, -1, stands for nothing
        past = self.past[requests]
        return Rows(
            self.columns[batch],
            coded,
            F.embedding(self.item[batch], table),
            F.embedding(torch.where(past < 0, len(table) - 1, past), table),
            (past >= 0).float(),
            request,
        )

    def frozen(self) -> Neural:
        """The same function as plain arrays."""
        weights = {name: tensor.detach().numpy().copy() for name, tensor in self.state_dict().items()}
        return Neural(self.inputs.spec, self.inputs, weights, self.text)


class Codes(nn.Module):
    """An embedding for each code; code 0, the unknown, also stands for a share ``forget`` of the others while learning."""

    def __init__(self, *, n: int, dim: int, forget: float) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(n, dim) * 0.05)
        self.forget = forget

    def forward(self, codes: Tensor) -> Tensor:
        if self.training and self.forget:
            codes = codes * (torch.rand(len(codes)) >= self.forget)
        return F.embedding(codes, self.embedding)


def _tower(spec: NeuralSpec, text: Float32 | None, candidates: AnyArray, past: Int64) -> ItemTower:
    """Items nobody was shown or touched start, and so stay, at zero: the same as an item that comes later."""
    n_items = max(int(candidates.max(initial=0)), int(past.max(initial=0))) + 1
    n_items = n_items if text is None else max(n_items, len(text))
    padded = None if text is None else torch.from_numpy(np.pad(text, ((0, n_items - len(text)), (0, 0))))
    tower = ItemTower(n_items=n_items, dim=spec.dim, text=padded, id_dropout=spec.id_dropout)
    known = torch.zeros(n_items, dtype=torch.bool)
    known[torch.from_numpy(np.union1d(candidates, past[past >= 0]).astype(np.int64))] = True
    with torch.no_grad():
        for start in (tower.embedding, *((tower.adapter.weight,) if padded is not None else ())):
            start *= START  # a ranker has few steps, and products of small numbers teach nothing
        tower.embedding[~known] = 0.0
    return tower
