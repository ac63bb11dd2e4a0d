"""What is measured of a learner: rows of the accuracy matrix, the confusion matrix, the AUC."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clbench import strategies
from clbench.benchmarks import Benchmark
from clbench.config import RunConfig
from clbench.errors import Diverged
from clbench.measuring.cost import Stopwatch
from clbench.measuring.metrics import (
    MOST_CONFUSED,
    all_metrics,
    recall,
    roc_auc,
    two_class_metrics,
    unequal_class_metrics,
    unequal_recall_metrics,
)
from clbench.run.progress import RunProgress
from clbench.training import predict_logits
from clbench.types import LabelledImages

_STATE = (
    "matrix",
    "validation_matrix",
    "untrained",
    "confusion",
    "counts",
    "num_evaluated",
    "_margins",
)


MOST_TOGETHER = 500  # images: one batch of `predict_logits`


def together(sizes: Sequence[int], most: int) -> Iterator[range]:
    """Yield runs of positions whose sizes add up to at most ``most``, or single positions."""
    start, held = 0, 0
    for k, size in enumerate(sizes):
        if k > start and held + size > most:
            yield range(start, k)
            start, held = k, 0
        held += size
    if sizes:
        yield range(start, len(sizes))


class Measuring:
    """Tests a learner on every experience, and keeps what it finds.

    Attributes:
        test: test images of each experience.
        validation: validation images of each; empty where none are held out.
        matrix: R so far, one row per experience learnt, accuracy in 0..1.
        validation_matrix: the same on the validation stream.
        untrained: accuracy of the untrained network on each experience.
        confusion: (K, K) counts of the last test, in the data set's own numbers; empty where
            there are more than `MOST_CONFUSED` classes.
        counts: right predictions and test images of each class in the last test, likewise.
        num_evaluated: images tested so far.
    """

    def __init__(
        self,
        config: RunConfig,
        benchmark: Benchmark,
        device: torch.device,
        clock: Stopwatch,
        progress: RunProgress,
    ) -> None:
        """Load the images that are tested on; nothing is tested yet."""
        self._config, self._device, self._clock = config, device, clock
        self._progress, self._spec = progress, benchmark.spec
        self._class_order = benchmark.class_order
        experiences = range(len(benchmark))
        self.test = [benchmark.tensors("test", k) for k in experiences]
        self.validation: list[LabelledImages] = []
        if benchmark.has_validation:
            self.validation = [benchmark.tensors("validation", k) for k in experiences]
        self.matrix: list[list[float]] = []
        self.validation_matrix: list[list[float]] = []
        self.untrained: list[float] = []
        self.confusion: list[list[int]] = []
        self.counts: tuple[list[int], list[int]] = ([], [])
        self.num_evaluated = 0
        self._margins: list[tuple[Tensor, Tensor]] = []

    @property
    def num_test(self) -> list[int]:
        """Test images of each experience."""
        return [len(data) for data in self.test]

    def before(self, model: nn.Module) -> None:
        """Test the untrained network."""
        self._progress.phase("evaluate", len(self.test))
        self.untrained, pairs = self._evaluate(model, self.test)
        self._count(pairs)

    def after_experience(self, model: nn.Module) -> None:
        """Add a row to the matrices.

        Raises:
            Diverged: an output is nan or infinite; no row is added.
        """
        self._progress.phase("evaluate", len(self.test) + len(self.validation))
        row, pairs = self._evaluate(model, self.test)
        self.matrix.append(row)
        self._count(pairs)
        if self.validation:
            self.validation_matrix.append(self._evaluate(model, self.validation)[0])

    def state_dict(self) -> dict[str, Any]:
        """What was found so far."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what was found before."""
        for name in _STATE:
            setattr(self, name, state[name])

    def metrics(self) -> dict[str, float | None]:
        """Return every metric of the matrix, and those of two or of unequal classes."""
        return {
            **all_metrics(self.matrix, self.untrained, self.num_test),
            **self._unequal(),
            **self._auc(),
        }

    @property
    def recall(self) -> list[float | None]:
        """Of each class in the last test, in the data set's own numbers."""
        return recall(*self.counts)

    def _unequal(self) -> dict[str, float]:
        if self.confusion:
            return unequal_class_metrics(self.confusion)
        return unequal_recall_metrics(*self.counts)

    def _count(self, pairs: Tensor) -> None:
        """Count what was taken for what: true and predicted labels, (2, N), of the last test."""
        num_classes = self._spec.num_classes
        truth, predicted = torch.tensor(self._class_order)[pairs]
        right = truth[truth == predicted].bincount(minlength=num_classes)
        self.counts = right.tolist(), truth.bincount(minlength=num_classes).tolist()
        self.confusion = []
        if num_classes <= MOST_CONFUSED:
            cells = (truth * num_classes + predicted).bincount(minlength=num_classes**2)
            self.confusion = cells.view(num_classes, num_classes).tolist()

    def _evaluate(
        self, model: nn.Module, parts: Sequence[LabelledImages]
    ) -> tuple[list[float], Tensor]:
        """Accuracy on each part; true and predicted labels of all, (2, N)."""
        row, pairs = list[float](), list[Tensor]()
        with self._clock.phase("evaluate"):
            for data, logits in zip(parts, self._logits(model, parts), strict=True):
                if not logits.isfinite().all():
                    raise Diverged(self._outputs_diverged())
                predicted = logits.argmax(1)
                if parts is self.test:
                    self._keep_margins(logits, data.labels, first=not row)
                row.append(float((predicted == data.labels).double().mean()))
                pairs.append(torch.stack([data.labels, predicted]))
                self.num_evaluated += len(data)
                self._progress.advance()
        return row, torch.cat(pairs, dim=1)

    def _logits(self, model: nn.Module, parts: Sequence[LabelledImages]) -> Iterator[Tensor]:
        """Yield the logits of each part; small ones go through the network together.

        A stream of E experiences is tested E + 1 times, so one pass for each would be E squared.
        Of two classes the last digits count, for the AUC, and every part goes alone.
        """
        most = 0 if self._spec.num_classes == 2 else MOST_TOGETHER
        for group in together([len(data) for data in parts], most):
            some = [parts[k] for k in group]
            data = some[0] if len(some) == 1 else LabelledImages.concatenate(some)
            logits = predict_logits(model, data, self._spec, self._device)
            yield from logits.split([len(one) for one in some])

    def _outputs_diverged(self) -> str:
        alone = strategies.STRATEGIES.find(self._config.strategy).training == "gdumb"
        trained = self._config.set_training if alone else self._config.learner
        option = "--set-learning-rate" if alone else "--learning-rate"
        return (
            "testing: expected finite outputs of the learner, found others; lower "
            f"{option} (it is {trained.learning_rate:g})"
        )

    def _keep_margins(self, logits: Tensor, labels: Tensor, *, first: bool) -> None:
        """Keep by how much class 1 of two is preferred, for all test images of this moment."""
        if self._spec.num_classes != 2:
            return
        positive = self._class_order.index(1)
        margins = logits[:, positive] - logits[:, 1 - positive]
        before = [] if first else self._margins
        self._margins = [*before, (margins, (labels == positive).long())]

    def _auc(self) -> dict[str, float]:
        if not (self.confusion and two_class_metrics(self.confusion)):
            return {}
        scores, labels = (torch.cat(parts) for parts in zip(*self._margins, strict=True))
        if not scores.isfinite().all():
            return {"auc": math.nan}
        return {"auc": roc_auc(scores.double().numpy(), labels.numpy())}
