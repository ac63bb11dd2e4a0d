"""Progress of training, heard through Avalanche's callbacks."""

from __future__ import annotations

from typing import Any

from clbench.machine import compat

compat.prepare()

from avalanche.core import SupervisedPlugin  # noqa: E402

from clbench.run.progress import RunProgress  # noqa: E402


class TrainingWatch(SupervisedPlugin):
    """Passes on every training step; of a learner without iterations, every epoch."""

    def __init__(self, progress: RunProgress) -> None:
        """Report to ``progress``."""
        super().__init__()
        self.progress = progress
        self._begun = False

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """The phase is still to begin."""
        self._begun = False

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Begin the phase at the first epoch; what was done before a stop is done."""
        if not self._begun:
            self._begun = True
            self.progress.phase("train", strategy.num_steps)
            if strategy.num_steps_done:
                self.progress.advance(strategy.num_steps_done)

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """One step."""
        self.progress.advance()

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """One step, where epochs are the steps."""
        if strategy.steps_are_epochs:
            self.progress.advance()
