"""Avalanche strategies that learn from tensors: Avalanche's loop and plugins, our batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from clbench.machine import compat

compat.prepare()

from avalanche.benchmarks.utils.utils import concat_datasets  # noqa: E402
from avalanche.core import SupervisedPlugin  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin  # noqa: E402
from avalanche.training.templates import SupervisedTemplate  # noqa: E402

from clbench import networks  # noqa: E402
from clbench.codecs.protocol import Codec  # noqa: E402
from clbench.coded import read_back  # noqa: E402
from clbench.config import LearnerConfig, SetTrainingConfig  # noqa: E402
from clbench.distillation.augmentation import parse  # noqa: E402
from clbench.errors import Diverged, require_finite  # noqa: E402
from clbench.machine.steps import in_steps  # noqa: E402
from clbench.memory import ImageMemory, dataset_images  # noqa: E402
from clbench.seeding import derive, generator, global_state, set_global_state  # noqa: E402
from clbench.strategies.batches import MemoryBatches, TensorBatches  # noqa: E402
from clbench.training import Training, finish, require_finite_weights  # noqa: E402
from clbench.types import ImageSpec, LabelledImages  # noqa: E402

_EVALUATION_BATCH = 512
_COUNTERS = (
    "train_iterations",
    "train_exp_counter",
    "train_exp_epochs",
    "train_exp_iterations",
    "train_epoch_iterations",
    "total_iterations",
)  # of Avalanche's clock


class NoEvaluation(EvaluationPlugin):
    """No metrics, no loggers, no cost: clbench evaluates between experiences itself.

    Avalanche's own plugin copies the experience on every callback even when it has no metric.
    """

    def __init__(self) -> None:
        """Nothing to configure."""
        # An empty function instead of no logger: Avalanche warns about the latter.
        super().__init__(loggers=[_Silent()], collect_all=False)

    # Avalanche's own answers to every callback there is; without it there is none to call, which
    # spares an exception and a closure for each of ten callbacks a step.
    __getattribute__ = object.__getattribute__

    def _update_metrics_and_loggers(self, strategy: Any, callback: str) -> list[Any]:
        return []


class _Silent:
    """A logger that is never called."""


def make_optimizer(network: nn.Module, config: LearnerConfig) -> torch.optim.Optimizer:
    """The learner's optimiser."""
    if config.optimizer == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


class TensorLearner(SupervisedTemplate):
    """Fine-tuning on the current experience, with everything Avalanche's plugins expect.

    Experiences may come from any Avalanche stream of images that fit the spec; clbench's own
    hand over their tensors without decoding.

    Attributes:
        num_trained_images: images of all training batches so far, memory's included.
        on_step: called after each step of training, with False, and with True where a phase of
            another kind comes next; `state_within` may be asked for then.
    """

    steps_are_epochs = False

    def __init__(
        self,
        *,
        config: LearnerConfig,
        spec: ImageSpec,
        seed: int,
        device: torch.device | str = "cpu",
        plugins: Sequence[SupervisedPlugin] = (),
        evaluator: EvaluationPlugin | None = None,
        current_codec: Codec | None = None,
    ) -> None:
        """Make the network and its optimiser.

        Args:
            config: network, optimiser, batches, augmentation.
            spec: of the stream's images.
            seed: initial weights, order of the images, augmentation.
            device: where to train.
            plugins: Avalanche plugins.
            evaluator: Avalanche's evaluation plugin; None for none at all.
            current_codec: training images are seen as this codec writes them; None as they are.

        Raises:
            InputError: an unknown network or augmentation.
        """
        self.config, self.spec, self.seed = config, spec, seed
        self.augmentation = parse(config.augmentation or "none", spec)
        self.num_trained_images = 0
        self.current_codec = current_codec
        self.on_step: Callable[[bool], None] | None = None
        self._within: dict[str, Any] | None = None
        network = networks.build(config.network, spec, seed=seed)
        network.to(device)
        super().__init__(
            model=network,
            optimizer=make_optimizer(network, config),
            train_mb_size=config.batch_size,
            train_epochs=config.epochs or 1,
            eval_mb_size=_EVALUATION_BATCH,
            device=device,
            plugins=list(plugins),
            evaluator=NoEvaluation() if evaluator is None else evaluator,
        )

    @property
    def num_steps(self) -> int:
        """Steps that training on the current experience takes."""
        return len(self.dataloader) * self.train_epochs

    def skip(self, experience: Any) -> None:
        """Pass over an experience that was learnt before `load_state_dict`."""
        self.experience = experience
        self.train_dataset_adaptation()

    def state_dict(self) -> dict[str, Any]:
        """Between two experiences this is all there is, but for the memory.

        Generators are derived from the seed and the counters. A strategy whose plugins have a state
        adds it here.
        """
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clock": {name: getattr(self.clock, name) for name in _COUNTERS},
            "num_trained_images": self.num_trained_images,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        # Avalanche empties an optimiser that it meets for the first time.
        self.make_optimizer(reset_optimizer_state=True)
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _COUNTERS:
            setattr(self.clock, name, state["clock"][name])
        self.num_trained_images = state["num_trained_images"]

    def state_within(self) -> dict[str, Any]:
        """In the middle of an experience, after a step: what `state_dict` says and the rest."""
        return {
            **self.state_dict(),
            "within": {"batches": self.dataloader.state_dict(), "randomness": global_state()},
        }

    def go_on_within(self, state: dict[str, Any]) -> None:
        """Begin the next experience where `state_within` was taken, and not at its start."""
        self._within = state

    @property
    def num_steps_done(self) -> int:
        """Steps of the current experience that are done, in the units of `num_steps`."""
        return int(self.clock.train_exp_iterations)

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        """Avalanche's loop over epochs, or the rest of it; a stop waits for the end of a step."""
        state, self._within = self._within, None
        with nullcontext() if self.on_step is None else in_steps():
            if state is None:
                super()._train_exp(experience, eval_streams, **kwargs)
            else:
                self._rest_of_experience(state, **kwargs)
        self._stepped(last=True)

    def _rest_of_experience(self, state: dict[str, Any], **kwargs: Any) -> None:
        self._be_within(state)
        first = self.clock.train_exp_epochs
        for epoch in range(first, self.train_epochs):
            self._before_training_epoch(**kwargs)
            if epoch == first:
                # This epoch had begun: what its beginning counted and drew is not done twice.
                self._be_within(state)
            self.training_epoch(**kwargs)
            self._after_training_epoch(**kwargs)

    def _be_within(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state)
        self.dataloader.load_state_dict(state["within"]["batches"])
        set_global_state(state["within"]["randomness"])

    def _after_training_iteration(self, **kwargs: Any) -> None:
        """Avalanche's, then `on_step`."""
        super()._after_training_iteration(**kwargs)
        self._stepped()

    def _stepped(self, *, last: bool = False) -> None:
        if self.on_step is not None:
            self.on_step(last)

    def training_images(self) -> LabelledImages:
        """What the current experience is trained on, on the device."""
        found = dataset_images(self.adapted_dataset, self.spec)
        if self.current_codec is not None:
            found = read_back(found, self.current_codec, self.spec.shape)
        return found.to(self.device)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Whole-tensor batches; Avalanche's loader arguments do not apply."""
        k = self.clock.train_exp_counter
        self.dataloader = TensorBatches(
            self.training_images(),
            self.spec,
            self.train_mb_size,
            generator=generator(self.seed, "batches", k),
            augmentation=self.augmentation,
            augmentation_generator=generator(self.seed, "augmentation", k),
        )

    def make_eval_dataloader(self, **kwargs: Any) -> None:
        """Whole-tensor batches in stored order."""
        data = dataset_images(self.adapted_dataset, self.spec).to(self.device)
        self.dataloader = TensorBatches(data, self.spec, self.eval_mb_size)

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Avalanche's, with the optimiser's state forgotten between experiences if configured."""
        kwargs.setdefault("reset_optimizer_state", self.config.reset_optimizer)
        super().check_model_and_optimizer(**kwargs)

    def _after_training_epoch(self, **kwargs: Any) -> None:
        """Avalanche's, if the learner has not diverged: nan stays, so the last loss tells."""
        if isinstance(self.loss, torch.Tensor):
            require_finite(float(self.loss.detach().sum()), self._where, self._remedy)
        super()._after_training_epoch(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        """Avalanche's, if all weights are numbers: the last step may have been the one too far."""
        require_finite_weights(self.model, self._where, self._remedy)
        super()._after_training_exp(**kwargs)

    @property
    def _where(self) -> str:
        epoch = min(self.clock.train_exp_epochs + 1, self.train_epochs)
        return f"training the learner, epoch {epoch} of {self.train_epochs}"

    @property
    def _remedy(self) -> str:
        return f"lower --learning-rate (it is {self.config.learning_rate:g})"

    def _unpack_minibatch(self) -> None:
        """Batches are lists of tensors on the device already."""
        if self.is_training:
            self.num_trained_images += len(self.mbatch[0])


class CumulativeLearner(TensorLearner):
    """Trains on everything seen so far at every experience: the upper bound."""

    def __init__(self, **kwargs: Any) -> None:
        """See `TensorLearner`."""
        super().__init__(**kwargs)
        self._datasets: list[Any] = []
        self._images: list[LabelledImages] = []

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        """Put together the datasets of all experiences so far."""
        dataset = self.experience.dataset
        self._datasets.append(dataset)
        self._images.append(dataset_images(dataset, self.spec))
        self.adapted_dataset = concat_datasets(self._datasets).train()

    def training_images(self) -> LabelledImages:
        """All images so far, on the device."""
        return LabelledImages.concatenate(self._images).to(self.device)


class GDumbLearner(TensorLearner):
    """After each experience a fresh learner, trained on the memory alone.

    GDumb (Prabhu et al., "GDumb: A Simple Approach that Questions Our Progress in Continual
    Learning", ECCV 2020) with any memory. There are no iterations over current data, so plugins see
    the callbacks of experiences and epochs, not those of iterations.
    """

    steps_are_epochs = True

    @property
    def _remedy(self) -> str:
        return f"lower --set-learning-rate (it is {self.set_training.learning_rate:g})"

    def __init__(self, *, memory: ImageMemory, set_training: SetTrainingConfig, **kwargs: Any):
        """See `TensorLearner`; ``set_training`` says how the fresh learner is trained."""
        super().__init__(**kwargs)
        self.memory, self.set_training = memory, set_training
        self._training: Training | None = None

    @property
    def num_steps(self) -> int:
        """Epochs on the memory."""
        return self.set_training.epochs

    def state_within(self) -> dict[str, Any]:
        """See `TensorLearner.state_within`; the memory holds the experience already."""
        training = None if self._training is None else self._training.state_dict()
        return {
            **self.state_dict(),
            "within": {"training": training, "randomness": global_state()},
        }

    @property
    def num_steps_done(self) -> int:
        """See `TensorLearner.num_steps_done`."""
        return int(self.clock.train_exp_epochs)

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        state, self._within, self._training = self._within, None, None
        resume = None
        if state is None:
            self.memory.post_adapt(self, experience)
            self._stepped(last=True)
        else:
            self.load_state_dict(state)
            set_global_state(state["within"]["randomness"])
            resume = state["within"]["training"]
        if resume is None:
            seed = derive(self.seed, "gdumb", self.clock.train_exp_counter)
            fresh = networks.build(self.config.network, self.spec, seed=seed)
            # The same module throughout, so that whoever holds the model holds the current one.
            self.model.load_state_dict(fresh.state_dict())
        self._train_on_memory(resume, **kwargs)
        self._training = None

    def _train_on_memory(self, resume: dict[str, Any] | None, **kwargs: Any) -> None:
        contents = self.memory.contents()

        def on_epoch(epoch: int, loss: float) -> None:
            self.loss = torch.tensor(loss)
            self.num_trained_images += len(contents)
            self._after_training_epoch(**kwargs)
            if epoch < self.set_training.epochs:
                self._before_training_epoch(**kwargs)

        self._training = training = Training(
            self.model,
            contents,
            self.spec,
            self.set_training,
            generator=generator(self.seed, "set_training", self.clock.train_exp_counter),
            device=self.device,
        )
        if resume is not None:
            training.load_state_dict(resume)
        self._before_training_epoch(**kwargs)
        try:
            finish(training, on_epoch=on_epoch, on_step=self._stepped)
        except Diverged as error:
            # The set's training does not know which option it was given.
            raise Diverged(f"{str(error).partition(';')[0]}; {self._remedy}") from None


class MemoryReplay(SupervisedPlugin):
    """Adds memory images to every batch of a `TensorLearner`, and fills the memory afterwards.

    The first experience is trained on current data only.
    """

    def __init__(self, memory: ImageMemory, *, batch_size: int, seed: int) -> None:
        """Set up replay.

        Args:
            memory: decoded once per experience and kept on the learner's device.
            batch_size: memory images per step, class-balanced, see `balanced_plan`.
            seed: of the draws; they do not shift the order of the current data.
        """
        super().__init__()
        self.memory, self.batch_size, self.seed = memory, batch_size, seed

    def before_training_exp(self, strategy: TensorLearner, **kwargs: Any) -> None:
        """Join memory to the experience's batches."""
        if not len(self.memory.contents()):
            return
        images, labels = self.memory.normalised(strategy.device)
        rng = generator(self.seed, "memory_batches", strategy.clock.train_exp_counter)
        strategy.dataloader.memory = MemoryBatches(images, labels, self.batch_size, rng)

    def after_training_exp(self, strategy: TensorLearner, **kwargs: Any) -> None:
        """Condense the experience into memory."""
        self.memory.post_adapt(strategy, strategy.experience)
