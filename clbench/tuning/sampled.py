"""Settings proposed by Optuna's sampler, which learns from what was tried before.

The sampler is a tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011). It is seeded and hears the trials in their order: a search that was stopped
proposes the same again and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.errors import InputError
from clbench.tuning.search import Candidate, Trial
from clbench.tuning.space import Axis

_REFUSED = 0.0  # accuracy that the sampler hears of settings that cannot be used


def load_optuna() -> Any:
    """Return Optuna, quiet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(
            "expected the package optuna, which proposes settings, found none; "
            "pip install 'clbench[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Sampled:
    """Proposals for one strategy: its defaults, then what the sampler makes of the space.

    Attributes:
        strategy: whose settings.
        num: how many candidates are proposed.
    """

    def __init__(
        self,
        strategy: str,
        axes: Sequence[Axis],
        *,
        num: int,
        seed: int,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a study; nothing is proposed yet.

        Args:
            strategy: whose settings.
            axes: of the space; none leaves the defaults alone.
            num: candidates, the defaults included.
            seed: of the sampler.
            fixed: settings of every candidate.
        """
        self.strategy, self._axes = strategy, axes
        self._fixed = dict(fixed or {})
        self.num = num if axes else 1
        self._optuna = load_optuna()
        sampler = self._optuna.samplers.TPESampler(seed=seed)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._asked: Any = None
        self._begun = False

    def propose(self) -> Candidate:
        """Return the next candidate; `tell` is due before the one after."""
        if not self._begun:
            self._begun = True
            return Candidate(self.strategy, self._fixed)
        self._asked = self._study.ask()
        chosen = {axis.option: self._suggested(axis) for axis in self._axes}
        return Candidate(self.strategy, {**self._fixed, **chosen})

    def _suggested(self, axis: Axis) -> str:
        if axis.values:
            return str(self._asked.suggest_categorical(axis.option, axis.values))
        if axis.whole:
            low, high = int(axis.low), int(axis.high)
            return axis.text(self._asked.suggest_int(axis.option, low, high, log=axis.log))
        return axis.text(self._asked.suggest_float(axis.option, axis.low, axis.high, log=axis.log))

    def tell(self, trial: Trial) -> None:
        """Hear what the candidate that was proposed last came to."""
        if self._asked is None:
            return
        value = _REFUSED if trial.accuracy is None else trial.accuracy
        self._study.tell(self._asked, value)
        self._asked = None
