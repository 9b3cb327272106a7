"""Rows as bytes: inner products at an eighth of the cost, and how wrong they can be at most.

A row x becomes whole numbers c with x_d = scale_d * (c_d + r_d), |r_d| <= 1/2, one scale per dimension;
a query q, multiplied by the scales, becomes step * (p_d + e_d) with whole p_d in -127 .. 127. Then

    q.x = step * (p.c) + step * (e.c) + (q scale).r
    |q.x - step * (p.c)| <= step * |e| max|c| + |q scale| max|r|          (Cauchy-Schwarz, twice)

and p.c is summed without rounding. That bound makes a search exact: ``scan`` looks again, in full
precision, at every row that the bound does not rule out. Processors without 8-bit dot products add two
products in 16 bits, where 2 * 127 * 127 is the most that fits: there, p_d is in -63 .. 63.

onnxruntime multiplies (MatMulInteger, one thread): .1 ms for 100,000 rows of 64, .02 ms each in a batch
of 8, where float32 BLAS takes .8 and .2 and faiss' scalar quantisers .3 (``bench/index_speed.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from zhiyin.base.arrays import AnyArray, Bool, Float32, Float64, Int32

STEPS = 127  # of a row
PAD = 32  # rows are padded to a multiple, so that ``scan`` can take maxima of equal blocks


@dataclass(frozen=True, eq=False)
class Asked:
    """b queries in the steps of a scale: what ``Bytes`` of that scale multiply, and how long a query and its rounding are."""

    scale: Float64  # (dim,)
    whole: npt.NDArray[np.uint8]  # (b, dim)
    step: Float64  # (b,)
    length: Float64  # (b,), in steps
    rounded: Float64  # (b,), in steps

    @classmethod
    def of(cls, queries: Float32, scale: Float64, n_levels: int) -> Asked:
        """From (b, dim) queries that are finite and not zero."""
        scaled = queries * scale
        step = np.maximum.reduce(np.abs(scaled), axis=1) / n_levels
        if not step.all():
            step[step == 0] = 1.0  # the rows have nothing in the dimensions asked for
        steps = scaled / step[:, None]
        whole = np.rint(steps)
        length = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        steps -= whole
        rounded = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        whole += n_levels + 1
        return cls(scale, whole.astype(np.uint8), step, length, rounded)

    def take(self, rows: AnyArray) -> Asked:
        return Asked(self.scale, self.whole[rows], self.step[rows], self.length[rows], self.rounded[rows])


@dataclass(frozen=True)
class Approximate:
    """Whole scores of b queries: the inner product of i is ``step * scores[:, i]``, give or take ``step * slack``."""

    scores: Int32  # (b, n_padded), fresh
    step: Float64  # (b,)
    slack: Float64  # (b,), in steps


@dataclass(frozen=True)
class Bytes:
    """n rows, packed. Padded rows score 0."""

    packed: npt.NDArray[np.int8]  # (dim, n_padded); may lie in a mapped file
    scale: Float64  # (dim,)
    longest: float  # max |c|
    residual: float  # max |r|, and what float32 may do to an inner product
    levels: int  # of a query, either side of zero
    session: Any

    @classmethod
    def of(cls, rows: Float32, scale: Float64 | None = None) -> Bytes:
        """Pack (n, dim) rows; a second per ten million values. A ``scale`` that is given must hold them (``holds``)."""
        if scale is None:
            largest = np.maximum(rows.max(axis=0), -rows.min(axis=0)).astype(np.float64)
            scale = np.where(largest > 0, largest / STEPS, 1.0)
        n, dim = rows.shape
        packed = np.zeros((dim, -(-n // PAD) * PAD), np.int8)
        longest = residual = 0.0
        for start in range(0, n, 16_384):  # bounded memory: the doubles of some rows at a time
            exact = rows[start : start + 16_384] / scale
            whole = np.rint(exact)
            packed[:, start : start + len(whole)] = whole.T
            longest = max(longest, float(np.square(whole).sum(axis=1).max()) ** 0.5)
            residual = max(residual, float(np.square(exact - whole).sum(axis=1).max()) ** 0.5)
        # Summed in float32 in whatever order, dim products err by less than dim 2^-23 |q||x|; twice that, as
        # the sum that ranks and the sum somebody compares it with may err either way.
        residual += 2 * dim * 2.0**-23 * (longest + residual)
        return cls._ready(packed, scale, longest, residual)

    @classmethod
    def restored(cls, arrays: Mapping[str, AnyArray]) -> Bytes:
        """From what ``arrays`` gave, on whatever processor."""
        longest, residual = arrays["bounds"].tolist()
        return cls._ready(arrays["packed"], arrays["scale"], longest, residual)

    @classmethod
    def _ready(cls, packed: npt.NDArray[np.int8], scale: Float64, longest: float, residual: float) -> Bytes:
        return cls(packed, scale, longest, residual, levels(), _multiplier(packed, levels()))

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """To be saved."""
        return {"packed": self.packed, "scale": self.scale, "bounds": np.array([self.longest, self.residual])}

    def asked(self, queries: Float32) -> Asked:
        """Queries as ``scores`` takes them; all that share this scale take the same."""
        return Asked.of(queries, self.scale, self.levels)

    def scores(self, asked: Asked) -> Approximate:
        (found,) = self.session.run(None, {"queries": asked.whole})
        return Approximate(found, asked.step, asked.length * self.residual + asked.rounded * self.longest)


def holds(scale: Float64, rows: Float32) -> Bool:
    """Which rows fit into bytes of this scale: (n,)."""
    return np.asarray((np.abs(rows) <= (STEPS + 0.49) * scale).all(axis=1))


@cache
def levels() -> int:
    """127 where this processor multiplies bytes without overflow, else 63; asked of the processor once."""
    session = _multiplier(np.full((64, PAD), 127, np.int8), 127)
    (found,) = session.run(None, {"queries": np.full((1, 64), 255, np.uint8)})
    return 127 if bool((found == 64 * 127 * 127).all()) else 63


def _multiplier(packed: npt.NDArray[np.int8], n_levels: int) -> Any:
    """A session that multiplies (b, dim) unsigned bytes, less n_levels + 1, by the packed (dim, n): (b, n) int32."""
    import onnxruntime
    from onnx import TensorProto, helper

    dim, n = packed.shape
    rows = TensorProto(name="rows", data_type=TensorProto.INT8, dims=packed.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "rows"), ("offset", "0"), ("length", str(packed.nbytes))):
        rows.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["queries", "rows", "zero"], ["scores"])],
        "scan",
        [helper.make_tensor_value_info("queries", TensorProto.UINT8, [None, dim])],
        [helper.make_tensor_value_info("scores", TensorProto.INT32, [None, n])],
        [rows, helper.make_tensor("zero", TensorProto.UINT8, [], [n_levels + 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Given beside the model, not in it: inside, serialising and parsing would copy the rows four times.
    options.add_external_initializers(["rows"], [onnxruntime.OrtValue.ortvalue_from_numpy(packed)])
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
