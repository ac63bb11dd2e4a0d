"""The table of what is measured; light to import: a row names the code behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.speed.paired import Conditions, Pair


@dataclass(frozen=True)
class RowInfo:
    """One comparison.

    Attributes:
        make: the two forms, under given conditions.
        fast: clbench's form, in words.
        plain: what it is compared with.
        unit: of the work that both do.
        aim: the least ratio that we want (ours).
        tolerance: by how much the outcomes of the two forms may differ, in ``differs``'s unit.
        differs: what of the outcomes is compared.
        quick: among those that run where none is named.
    """

    make: Callable[[Conditions], Pair]
    fast: str
    plain: str
    unit: str
    aim: float
    tolerance: float
    differs: str
    quick: bool = True


def _offline(network: str, *, quick: bool = False) -> RowInfo:
    return RowInfo(
        Lazy("clbench.speed.offline:OfflinePair", network),
        f"{network} on full data",
        "bare loop",
        "images/s",
        0.95,
        1e-4,
        "weights",
        quick,
    )


_GRADIENT = "adjoint of 10 steps"
_UNROLLED = "unrolling"

ROWS: Table[RowInfo] = Table(
    {
        "learner": RowInfo(
            Lazy("clbench.speed.learner:LearnerPair"),
            "learner with replay", "bare loop", "images/s", 0.95, 1e-4, "weights",
        ),
        "matching": RowInfo(
            Lazy("clbench.speed.matching:MatchingPair"),
            "DataDAM, same updates", "paper's loop", "updates/s", 0.95, 5e-3, "pixels",
        ),
        "matching-loss": RowInfo(
            Lazy("clbench.speed.matching:EqualLossPair"),
            "DataDAM, to equal loss", "paper's loop", "sets/s", 5.0, 0.0,
            "loss above",
        ),
        "matching-accuracy": RowInfo(
            Lazy("clbench.speed.accuracy:EqualAccuracyPair"),
            "DataDAM, to equal accuracy", "paper's loop", "sets/s", 30.0, 0.0,
            "accuracy below", quick=False,
        ),
        "matching-floor": RowInfo(
            Lazy("clbench.speed.floor:FloorPair"),
            "DataDAM, amortised", "its products alone", "updates/s", 0.5, 0.0,
            "multiply-adds",
        ),
        "trajectories": RowInfo(
            Lazy("clbench.speed.trajectories:GradientPair", "seconds"),
            _GRADIENT, _UNROLLED, "gradients/s", 0.5, 1e-3, "gradient",
        ),
        "trajectories-memory": RowInfo(
            Lazy("clbench.speed.trajectories:GradientPair", "memory"),
            "its peak memory", _UNROLLED, "gradients/GiB", 2.0, 1e-3, "gradient",
        ),
        "offline-mlp": _offline("mlp", quick=True),
        "offline-convnet": _offline("convnet", quick=True),
        "offline-lenet": _offline("lenet"),
        "offline-cnn": _offline("cnn"),
        "encode": RowInfo(
            Lazy("clbench.speed.codecs:CodingPair", "encode"),
            "grey levels, written", "loop over pixels", "images/s", 20.0, 0.0,
            "bytes",
        ),
        "decode": RowInfo(
            Lazy("clbench.speed.codecs:CodingPair", "decode"),
            "grey levels, read", "loop over pixels", "images/s", 3.0, 0.0,
            "pixels",
        ),
        "start": RowInfo(
            Lazy("clbench.speed.decoding:StartPair"),
            "second start", "first start", "images/s", 10.0, 0.0, "pixels",
        ),
    },
    group="clbench.speed",
    kind=RowInfo,
    what="speed row",
)  # fmt: skip


def quick_rows() -> list[str]:
    """Return the rows that run where none is named."""
    return [name for name, row in ROWS.items() if row.quick]
