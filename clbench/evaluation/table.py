"""The table of evaluations; light to import: a row names the code behind it.

Third parties add an `EvaluationInfo` by an entry point in the group ``clbench.evaluations``; the
command line, runs, figures and trackers loop over the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clbench.evaluation.settings import (
    RECIPES,
    ArchitectureSearchSettings,
    CrossArchitectureSettings,
    OfflineSettings,
    SetSettings,
)
from clbench.fields import Config, Setting, settings_of
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.evaluation.protocol import Evaluation


@dataclass(frozen=True)
class EvaluationInfo:
    """One entry of the table.

    Attributes:
        make: the evaluation (`clbench.evaluation.protocol.Evaluation`) of its settings.
        summary: what it finds out, one line.
        settings: its settings with their defaults, see `clbench.fields.setting`.
        help: what its command says below the summary, examples included.
        of_sets: it evaluates sets, a run's last memory too; else the data set alone.
        in_run: what a run lays over the defaults.
        run_prefix: of the flags in a run; None is the name and a dash.
        run_flags: path of a setting -> its flag in a run, where it is another one.
        presets: name (of ``--recipe``) -> what it lays over the defaults.
        keeps_report: its command writes a directory with report, figures and events.
    """

    make: Callable[[Config], Evaluation]
    summary: str
    settings: Config
    help: str = ""
    of_sets: bool = True
    in_run: Mapping[str, Any] = field(default_factory=dict)
    run_prefix: str | None = None
    run_flags: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keeps_report: bool = True

    def run_defaults(self) -> Config:
        """Return the settings that a run begins with."""
        return self.settings.updated(self.in_run)

    def run_settings(self, name: str) -> Iterator[Setting]:
        """Yield the settings with their flags in a run; ``name`` is the key in the table.

        How networks are trained is no setting there: a run says so once for all.
        """
        prefix = f"{name.replace('_', '-')}-" if self.run_prefix is None else self.run_prefix
        for found in settings_of(self.run_defaults()):
            if found.flag and "." not in found.path:
                flag = self.run_flags.get(found.path, prefix + found.flag)
                yield dataclasses.replace(
                    found, flag=flag, heading="Evaluation of the last memory", common=False
                )


EVALUATIONS: Table[EvaluationInfo] = Table(
    {
        "set": EvaluationInfo(
            Lazy("clbench.evaluation.set_score:SetScores"),
            "Score a distilled set with fresh networks.",
            SetSettings(),
            r"""
    Takes sets that `clbench distill` wrote, or run directories, whose last memory is the set; all
    of one data set. Random real images of equal bytes stand beside them. Networks that were trained
    once are never trained again.

    \b
    Examples:
      clbench evaluate sets/mnist5k-datadam-ipc10-seed0.safetensors
      clbench evaluate dm.safetensors datadam.safetensors --evaluation-network mlp
      clbench evaluate runs/split_mnist5k/dam_replay-seed0
    """,
            run_prefix="score-",
            run_flags={"num_networks": "score-num-networks"},
            keeps_report=False,
        ),
        "offline": EvaluationInfo(
            Lazy("clbench.evaluation.offline:OfflineTraining"),
            "Train a network on a full data set: the bound that memories are measured by.",
            OfflineSettings(),
            r"""
    Tests once, after the last epoch. Keeps a checkpoint after every epoch, from which the same
    command goes on when it was stopped.

    \b
    Examples:
      clbench evaluate offline
      clbench evaluate offline --data-set mnist --recipe modern --data-root ~/data
      clbench evaluate offline --network mlp --epochs 5 -o evaluations/mlp
    """,
            of_sets=False,
            presets={name: {"training": recipe.to_dict()} for name, recipe in RECIPES.items()},
        ),
        "cross_architecture": EvaluationInfo(
            Lazy("clbench.evaluation.cross_architecture:CrossArchitectures"),
            "Train networks that a set was not distilled with on that set.",
            CrossArchitectureSettings(),
            r"""
    Takes sets of one data set (files of `clbench distill`, or run directories, whose last memory
    is the set). Random real images of equal bytes stand beside them, under the same seeds and the
    same protocol. Networks that were trained once are never trained again.

    \b
    Examples:
      clbench evaluate cross-architecture sets/datadam.safetensors
      clbench evaluate cross-architecture dm.safetensors datadam.safetensors
      clbench evaluate cross-architecture set.safetensors --networks mlp,vgg11
      clbench evaluate cross-architecture runs/mine --full-epochs 2
    """,
            in_run={"num_networks": 3},
            run_prefix="cross-",
            run_flags={
                "networks": "networks-evaluated",
                "num_networks": "num-networks-evaluated",
            },
        ),
        "architecture_search": EvaluationInfo(
            Lazy("clbench.evaluation.architecture_search:ArchitectureSearches"),
            "Search an architecture by training on small sets instead of the full data.",
            ArchitectureSearchSettings(),
            r"""
    Every candidate is trained on each set and ranked by held-out training images; the true ranking
    is that of test accuracies after training on the full data. Random and herded real images of
    equal bytes, and full data stopped at as many images as a set shows, stand in the same table.
    Networks that were trained once are never trained again.

    Architectures for digits were ranked best by short trainings without augmentation (the second
    example; docs/results).

    \b
    Examples:
      clbench evaluate architecture-search sets/datadam.safetensors
      clbench evaluate architecture-search set.safetensors \
          --evaluation-epochs 60 --evaluation-batch-size 10 \
          --evaluation-augmentation none --num-networks-evaluated 2
      clbench evaluate architecture-search set.safetensors --full-epochs 0
      clbench evaluate architecture-search set.safetensors \
          --space convnet720 --candidates 40
    """,
            in_run={"full_epochs": 0},
            run_prefix="search-",
            run_flags={"num_networks": "search-num-networks"},
        ),
    },
    group="clbench.evaluations",
    kind=EvaluationInfo,
    what="evaluation",
)
