"""Settings of the field's methods; those of the learner and of memory are shared by all."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.fields import Config, above_zero, at_least, check, setting


@dataclass(frozen=True)
class DerppSettings(Config):
    """DER++ (Buzzega et al. 2020); the weights are those of its table for Split MNIST."""

    alpha: float = setting(1.0, "Weight of the squared distance to the stored logits.")
    beta: float = setting(0.5, "Weight of the cross-entropy of memory images; 0 is DER.")
    logit_step: float = setting(
        0.25, "Distance of two stored logits (ours): a byte holds those of -128 to 127 steps."
    )

    def _validate(self) -> None:
        at_least(self, 0, "alpha", "beta")
        above_zero(self, "logit_step")


@dataclass(frozen=True)
class AgemSettings(Config):
    """A-GEM (Chaudhry et al. 2019); the sample is the paper's for MNIST."""

    sample_size: int = setting(256, "Memory images whose gradient is the reference of a step.")

    def _validate(self) -> None:
        at_least(self, 1, "sample_size")


@dataclass(frozen=True)
class MirSettings(Config):
    """MIR (Aljundi et al. 2019); the paper searches 50 for batches of 10, Avalanche 200."""

    subsample: int = setting(
        200, "Memory images drawn for a step, of which the most interfered are replayed."
    )

    def _validate(self) -> None:
        at_least(self, 1, "subsample")


@dataclass(frozen=True)
class EwcSettings(Config):
    """EWC (Kirkpatrick et al. 2017).

    The weight is ours: gradient descent diverges where step size x weight x information exceeds 2,
    so that the paper's 400, for a step size of 0.001, is too much for the learner's 0.05.
    """

    penalty: float = setting(10.0, "Weight of the penalty, lambda in the paper.", flag="lambda")
    fisher_images: int = setting(
        1000, "Images of an experience that its Fisher information is estimated on."
    )

    def _validate(self) -> None:
        at_least(self, 0, "penalty")
        at_least(self, 1, "fisher_images")


@dataclass(frozen=True)
class SiSettings(Config):
    """Synaptic intelligence (Zenke et al. 2017).

    Weight and damping are those that the code of Buzzega et al. 2020 (mammoth) has for SGD on Split
    MNIST. The paper's damping of 0.001 goes with Adam; a step size of 0.05 diverges with it.
    """

    strength: float = setting(1.0, "Weight of the surrogate loss, c in the paper.", flag="c")
    damping: float = setting(0.9, "Damping of the division, xi in the paper.")

    def _validate(self) -> None:
        at_least(self, 0, "strength")
        above_zero(self, "damping")


@dataclass(frozen=True)
class LwfSettings(Config):
    """Learning without forgetting (Li & Hoiem 2016); weight 1 and temperature 2 are the paper's."""

    alpha: float = setting(1.0, "Weight of the distillation, lambda_o in the paper.")
    temperature: float = setting(2.0, "Temperature of both networks' outputs.")

    def _validate(self) -> None:
        at_least(self, 0, "alpha")
        above_zero(self, "temperature")


@dataclass(frozen=True)
class BicSettings(Config):
    """BiC (Wu et al. 2019); the share and the temperature are the paper's.

    Step size and number of steps are Avalanche's (200 passes, 0.1).
    """

    validation_share: float = setting(
        0.1, "Part of each class's memory held out to fit the bias, and as many new images."
    )
    temperature: float = setting(2.0, "Temperature of the distillation.")
    bias_steps: int = setting(200, "Steps that fit the two parameters of the bias.")
    bias_learning_rate: float = setting(0.1, "Step size of the bias.")

    def _validate(self) -> None:
        share = self.validation_share
        check(0 < share < 1, "validation_share", "a number between 0 and 1", share)
        above_zero(self, "temperature", "bias_learning_rate")
        at_least(self, 1, "bias_steps")
