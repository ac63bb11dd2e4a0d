"""Options of the commands: one row per field of the configuration, grouped in help.

Defaults are written here a second time because importing `clbench.config` takes a second, which
help must not; a test compares every one with the configuration's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from clbench.cli import names
from clbench.cli.group import RawHelp, set_debug

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Option(click.Option):
    """An option that stands under a heading in help."""

    def __init__(self, *args: Any, heading: str = "Options", **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.heading = heading


class Command(RawHelp):
    """A command whose help lists its options under headings; has ``-h`` and ``--debug``."""

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        self.params.append(
            Option(["--debug"], is_flag=True, expose_value=False, callback=set_debug, hidden=True)
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per heading, in the order of first use."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            # Arguments are explained in the text above the options.
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "heading", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=32)


@dataclass(frozen=True)
class Setting:
    """One field of `RunConfig` as an option.

    Attributes:
        flag: what the user types.
        field: dotted path from `RunConfig`.
        kind: int, float, str, bool or a tuple of choices.
        help: one sentence.
        default: the configuration's own.
        none: what a default of None means.
        complete: names offered to the shell.
    """

    flag: str
    field: str
    kind: Any
    help: str
    default: Any
    none: str = ""
    complete: tuple[str, ...] = ()

    def option(self, heading: str) -> Option:
        """The click option; absent on the command line means None, not the default."""
        shown = self.none if self.default is None else str(self.default)
        extra: dict[str, Any] = {}
        declaration = self.flag
        if self.kind is bool:
            declaration = f"{self.flag}/--no-{self.flag.removeprefix('--')}"
            shown = self.none if self.default is None else "yes" if self.default else "no"
        if isinstance(self.kind, tuple):
            extra["type"] = click.Choice(self.kind)
        elif self.kind is not bool:
            extra["type"] = self.kind
            extra["metavar"] = {int: "N", float: "X"}.get(self.kind, "NAME")
        if self.complete:
            extra["shell_complete"] = names.completer(self.complete)
        return Option(
            [declaration, self.field.replace(".", "__")],
            default=None,
            heading=heading,
            help=f"{self.help}  [default: {shown}]",
            **extra,
        )


NORMS = ("none", "batch", "instance", "layer", "group")
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid")
POOLINGS = ("none", "max", "avg")
OWN = "the network's own"
OPERATIONS = "auto, none, or operations of color, crop, cutout, flip, scale, rotate joined by _"


def network_settings(
    prefix: str, field: str, defaults: dict[str, Any], whose: str
) -> list[Setting]:
    """Options of the network at ``field``: ``--<prefix>network``, ``--<prefix>width``, ..."""
    rows: list[tuple[str, str, Any, str]] = [
        ("network", "name", str, f"Network {whose} (clbench list networks)."),
        ("width", "width", int, "Channels, or hidden units, of its layers."),
        ("depth", "depth", int, "Convolution blocks, or hidden layers."),
        ("norm", "norm", NORMS, "Normalisation."),
        ("activation", "activation", ACTIVATIONS, "Non-linearity."),
        ("pooling", "pooling", POOLINGS, "Pooling."),
        ("hidden", "hidden", int, "Units of the hidden layer behind the convolutions (cnn)."),
    ]
    return [
        Setting(
            f"--{prefix}{flag}", f"{field}.{name}", kind, text, defaults.get(name), OWN,
            names.NETWORKS if name == "name" else (),
        )
        for flag, name, kind, text in rows
    ]  # fmt: skip


IMAGES = [
    Setting("--image-size", "benchmark.image_size", int,
            "Side of the squares that image files are decoded to.", None,
            "128 of mhist, 64 of folder:PATH; other data sets have a fixed size"),
    Setting("--normalisation", "benchmark.normalisation", ("dataset", "imagenet"),
            "Whose mean and deviation pixels are normalised by.", "dataset"),
]  # fmt: skip
STREAM = [
    Setting("--benchmark", "benchmark.name", str,
            "Stream (clbench list benchmarks), or folder:PATH, the classes of your own images: "
            "a folder of CLASS/*, or train/CLASS/* and test/CLASS/*, or a CSV of "
            "path,label[,split].",
            "split_mnist5k", complete=names.BENCHMARKS),
    Setting("--num-experiences", "benchmark.num_experiences", int,
            "Experiences; classes are dealt as evenly as they go.", None,
            "5, or as many as there are classes or levels where they are fewer"),
    Setting("--shuffle-classes", "benchmark.shuffle_classes", bool,
            "Draw the class order from the seed.", False),
    Setting("--validation-fraction", "benchmark.validation_fraction", float,
            "Part of the training images held out as a validation stream.", 0.0),
    Setting("--train-per-class", "benchmark.train_per_class", int,
            "Keep only so many training images of each class.", None, "all"),
    Setting("--balance", "benchmark.balance", ("none", "undersample"),
            "Drop training images until all classes have as many as the smallest.", "none"),
    Setting("--domain-order", "benchmark.domain_order", ("easy_first", "hard_first"),
            "Of a stream of domains (mhist_agreement).", "easy_first"),
    *IMAGES,
]  # fmt: skip

LEARNER = [
    *network_settings("", "learner.network", {"name": "mlp"}, "that learns the stream"),
    Setting("--optimizer", "learner.optimizer", ("sgd", "adam"), "Optimiser.", "sgd"),
    Setting("--learning-rate", "learner.learning_rate", float, "Its step size.", 0.05),
    Setting("--momentum", "learner.momentum", float, "Its momentum (SGD only).", 0.0),
    Setting("--weight-decay", "learner.weight_decay", float, "Its weight decay.", 0.0),
    Setting("--epochs", "learner.epochs", int, "Passes over each experience.", None,
            "10 on split_mnist5k, 1 on full-size sets"),
    Setting("--batch-size", "learner.batch_size", int, "Current images per step.", 64),
    Setting("--memory-batch-size", "learner.memory_batch_size", int,
            "Memory images per step, class-balanced.", 64),
    Setting("--augmentation", "learner.augmentation", str, f"{OPERATIONS}.", "none"),
    Setting("--reset-optimizer", "learner.reset_optimizer", bool,
            "Forget the optimiser's state between experiences.", True),
]  # fmt: skip

IMAGES_PER_CLASS = Setting(
    "--images-per-class", "memory.images_per_class", int, "Slots per class.", 10
)
CAPACITY_BYTES = Setting(
    "--memory-bytes", "memory.capacity_bytes", int,
    "Capacity at the end of the stream, instead of --images-per-class.", None,
    "none",
)  # fmt: skip
STORAGE = [
    Setting("--packing", "memory.packing", int,
            "F: each slot holds F x F down-scaled images, its bytes unchanged.", 1),
    Setting("--storage", "memory.storage", ("uint8", "float32"),
            "How pixels are kept; float32 is charged four times the bytes.", "uint8"),
]  # fmt: skip
MEMORY = [IMAGES_PER_CLASS, CAPACITY_BYTES, *STORAGE]

DISTILLATION = [
    *network_settings(
        "distill-",
        "distillation.network",
        {"name": "convnet", "width": 32, "depth": 3, "norm": "instance"},
        "that images are matched in",
    ),
    Setting("--initialisation", "distillation.initialisation", ("real", "herding", "easy", "noise"),
            "What the images start from; easy: real images of low EL2N.", "real"),
    Setting("--num-networks", "distillation.num_networks", int, "Random networks drawn.", 80),
    Setting("--updates-per-network", "distillation.updates_per_network", int,
            "Image updates in each.", 5),
    Setting("--resample", "distillation.resample", bool,
            "New real batch and augmentation for every update, not for every network.", False),
    Setting("--network-steps", "distillation.network_steps", int,
            "Training steps of the network between updates.", 0),
    Setting("--network-learning-rate", "distillation.network_learning_rate", float,
            "Step size of these.", 0.01),
    Setting("--batch-real", "distillation.batch_real", int, "Real images per class and batch.", 64),
    Setting("--image-learning-rate", "distillation.learning_rate", float,
            "Step size of the images, on the unscaled loss.", 100.0),
    Setting("--image-momentum", "distillation.momentum", float, "Momentum of the images.", 0.5),
    Setting("--attention-power", "distillation.attention_power", float,
            "p of the attention maps (datadam).", 1.0),
    Setting("--matched-layers", "distillation.matched_layers", ("all", "deep"),
            "Layers whose attention is matched (datadam).", "all"),
    Setting("--mmd-weight", "distillation.mmd_weight", float,
            "Weight of the embedding's distance (datadam's lambda).", 0.01),
    Setting("--images-per-pass", "distillation.images_per_pass", int,
            "Images in a matching network at once; fewer take less memory (dm, datadam).", None,
            "as many as take 2 GiB"),
    Setting("--distill-augmentation", "distillation.augmentation", str,
            f"{OPERATIONS}; dm and datadam: the same for real and distilled images of a class.",
            "auto"),
    Setting("--precision", "distillation.precision", ("auto", "float32", "bfloat16"),
            "Arithmetic; auto takes bfloat16 where the device is fast at it.", "auto"),
]  # fmt: skip

METHODS_OWN = "the method's own"
TRAJECTORY_HEADING = "Trajectory matching (pad, datm, mtt)"
# Flag, field of `TrajectoryConfig`, and the rest of a `Setting`.
_TRAJECTORY_ROWS: tuple[tuple[Any, ...], ...] = (
    ("matched-start", "matched_start", ("none", "dm", "datadam"),
     "Distribution matching that the images go through first.", "datadam"),
    ("against-memory", "against_memory", bool,
     "Learn against what memory holds of other classes.", True),
    ("num-updates", "num_updates", int, "Image updates.", 100),
    ("student-steps", "student_steps", int,
     "N: steps of the student on the distilled images.", 10),
    ("expert-snapshots", "expert_snapshots", int,
     "M: how many snapshots later the expert is that the student is to meet.", 2),
    ("batch-synthetic", "batch_synthetic", int, "Distilled images per student step.", 100),
    ("first-start", "first_start", int, "T-: the earliest snapshot that a student starts from.",
     1),
    ("initial-last-start", "initial_last_start", int,
     "T: where starts are drawn below at first, if they grow later.", 4),
    ("last-start", "last_start", int, "T+: where starts are drawn below in the end.", 8),
    ("growing-start", "growing_start", bool,
     "Starts grow later over the run: easy knowledge first.", None, METHODS_OWN),
    ("data-scheduler", "data_scheduler", bool,
     "Experts see easy images first, and the easiest no more in the end.", None, METHODS_OWN),
    ("mask-ratio", "mask_ratio", float,
     "Share of the parameters, from the shallow end, that is not matched.", None, METHODS_OWN),
    ("soft-labels", "soft_labels", bool,
     "Learn soft labels; memory is charged 4 bytes per class and slot for them.", None,
     METHODS_OWN),
    ("normalise-gradient", "normalise_gradient", bool,
     "Divide the images' gradient by its root mean square.", True),
    ("trajectory-learning-rate", "learning_rate", float,
     "Step size of the images; with a normalised gradient in standard deviations of the data.",
     0.01),
    ("trajectory-momentum", "momentum", float, "Momentum of the images.", 0.5),
    ("label-learning-rate", "label_learning_rate", float, "Step size of the soft labels.", 5.0),
    ("label-momentum", "label_momentum", float, "Momentum of the soft labels.", 0.9),
    ("trajectory-decay", "decay", ("none", "cosine"),
     "How the step sizes of images, labels and b fall over the run.", "cosine"),
    ("step-size", "step_size", float, "b: step size of the student, or its start.", 0.08),
    ("learn-step-size", "learn_step_size", bool, "Learn the student's step size.", True),
    ("step-size-learning-rate", "step_size_learning_rate", float,
     "Step size of that one's logarithm.", 0.05),
    ("max-loss", "max_loss", float, "Updates of a greater loss move nothing.", 1.0),
    ("num-experts", "experts.num_experts", int, "Networks whose trajectories are matched.", 3),
    ("expert-epochs", "experts.epochs", int, "Passes of each expert over the real images.",
     None, "as many as show 30,000 images"),
    ("snapshots-per-epoch", "experts.snapshots_per_epoch", int,
     "How often an expert's weights are kept.", None, "10 times in all"),
    ("expert-batch-size", "experts.batch_size", int, "Images per step of an expert.", 128),
    ("expert-learning-rate", "experts.learning_rate", float, "Step size of an expert.", 0.05),
    ("expert-augmentation", "experts.augmentation", str, f"{OPERATIONS}.", "auto"),
    ("num-difficulty-networks", "experts.num_difficulty_networks", int,
     "Networks that judge which images are easy (data scheduler).", 3),
    ("difficulty-epochs", "experts.difficulty_epochs", int,
     "Passes of each of them over the real images.", None, "as many as show 12,000 images"),
    ("initial-ratio", "experts.initial_ratio", float,
     "Share of the easiest images that it begins with (data scheduler).", 0.75),
    ("addition-end", "experts.addition_end", float,
     "When all have been added, as a share of the training (data scheduler).", 0.3),
    ("expert-seed", "experts.seed", int,
     "Of the experts, apart from --seed, so that runs can share them.", 0),
)  # fmt: skip
TRAJECTORY = [
    Setting(f"--{flag}", f"distillation.trajectory.{field}", *rest)
    for flag, field, *rest in _TRAJECTORY_ROWS
]


def set_training_settings(prefix: str, *, of_recipe: bool = False) -> list[Setting]:
    """Options of the training of a network on one set alone.

    Args:
        prefix: of the flags; "" for none.
        of_recipe: their defaults are those of the recipe that is chosen.
    """
    start = f"--{prefix}-" if prefix else "--"
    rows = [
        Setting(f"{start}epochs", "set_training.epochs", int, "Passes over the set.", 300),
        Setting(f"{start}batch-size", "set_training.batch_size", int, "Images per step.", 256),
        Setting(f"{start}learning-rate", "set_training.learning_rate", float,
                "Step size of SGD.", 0.01),
        Setting(f"{start}momentum", "set_training.momentum", float, "Its momentum.", 0.9),
        Setting(f"{start}weight-decay", "set_training.weight_decay", float,
                "Its weight decay.", 5e-4),
        Setting(f"{start}schedule", "set_training.schedule",
                ("step", "cosine", "one_cycle", "constant"),
                "How the step size falls; step: to a tenth after half of the epochs.", "step"),
        Setting(f"{start}label-smoothing", "set_training.label_smoothing", float,
                "Share of a label that is spread over all classes.", 0.0),
        Setting(f"{start}augmentation", "set_training.augmentation", str,
                f"{OPERATIONS}.", "auto"),
    ]  # fmt: skip
    if of_recipe:
        return [replace(row, default=None, none="the recipe's") for row in rows]
    return rows


MACHINE = [
    Setting("--seed", "seed", int, "Decides everything that is drawn.", 0),
    Setting("--device", "device", ("auto", "cpu", "cuda"),
            "auto takes CUDA where there is one.", "auto"),
]  # fmt: skip

_PAD_CIFAR10 = ("pad_cifar10_ipc1", "pad_cifar10_ipc10", "pad_cifar10_ipc50")
LOOPS = ("amortised", "paper", "course", "course_pad", *_PAD_CIFAR10)
LOOP = Option(
    ["--loop"],
    type=click.Choice(LOOPS),
    metavar="NAME",
    default=None,
    heading="Distillation",
    help="Preset of the options below: amortised (ours, fast), paper (DataDAM's published code), "
    "course (networks trained between updates), course_pad (the same from easy images, deep layers "
    "only), pad_cifar10_ipcN (PAD's table for CIFAR-10, for a GPU); options given beside it win.  "
    "[default: amortised]",
)


def attach(*options: click.Parameter) -> Decorator:
    """Give these options, in this order, to a command function."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        kept = getattr(function, "__click_params__", [])
        # click reads the list from its end, as decorators apply from the bottom up.
        function.__click_params__ = [*kept, *reversed(options)]  # type: ignore[attr-defined]
        return function

    return decorate


def under(heading: str, settings: Iterable[Setting]) -> Decorator:
    """Attach settings under a heading."""
    return attach(*(setting.option(heading) for setting in settings))


def flag(declaration: str, help: str, **extra: Any) -> Option:
    """An on/off option of the output."""
    return Option([declaration], is_flag=True, default=False, heading="Output", help=help, **extra)


DATA_ROOT = Option(
    ["--data-root"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Data",
    help="Folder of the data sets.  [default: CLBENCH_DATA, else a cache; clbench data list "
    "names it]",
)
QUIET = flag("--quiet", "No progress, no table.")
JSON = flag("--json", "Print the result as JSON on standard output, and nothing else there.")
