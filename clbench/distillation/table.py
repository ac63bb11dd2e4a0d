"""The table of distillers; light to import: a row names the code behind it and brings its settings.

Third parties add a `DistillerInfo` by an entry point in the group ``clbench.distillers``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clbench.distillation.bptt import settings as bptt
from clbench.distillation.kernel import settings as kernel
from clbench.distillation.matching import settings as matching
from clbench.distillation.selection.settings import SelectionSettings
from clbench.distillation.trajectories import settings as trajectories
from clbench.fields import Config, Setting, settings_of
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.distillation.protocol import Distiller
    from clbench.distillation.settings import DistillationConfig


@dataclass(frozen=True)
class DistillerInfo:
    """One entry of the table.

    Attributes:
        make: the distiller of a configuration.
        summary: what it does, one line.
        source: where it comes from.
        needs_network: it works with ``DistillationConfig.network``, which is therefore checked
            before a run begins; such work is worth a cache.
        settings: the method's own settings with its defaults, see `clbench.fields.setting`. A
            field without a flag of its own is ``--METHOD-FIELD`` on the command line.
        presets: name (of ``--loop``) -> what it lays over the defaults of `DistillationConfig`.
        heading: of the settings in help; "" is made of the name.
        flag_prefix: of the settings' flags; None is the method's name and a dash.
        prefix: of its strategies, ``PREFIX_replay`` and ``PREFIX_gdumb``; "" for none.
        images: what a memory filled by it holds, for the summaries of these strategies.
        real_images: it chooses real images, which distilled ones are held against.
    """

    make: Callable[[DistillationConfig], Distiller]
    summary: str
    source: str
    needs_network: bool = False
    settings: Config = field(default_factory=SelectionSettings)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    heading: str = ""
    flag_prefix: str | None = None
    prefix: str = ""
    images: str = ""
    real_images: bool = False

    def settings_as_options(self, name: str) -> Iterator[Setting]:
        """Yield the method's settings with their flags; ``name`` is its key in the table."""
        prefix = f"{name.replace('_', '-')}-" if self.flag_prefix is None else self.flag_prefix
        heading = self.heading or f"Settings of {name}"
        for found in settings_of(self.settings, heading=heading):
            if found.flag:
                flag = found.flag if found.flag.startswith(prefix) else prefix + found.flag
                yield dataclasses.replace(found, flag=flag)


_MATCHING: dict[str, Any] = {
    "make": Lazy("clbench.distillation.matching.distiller:Matching"),
    "needs_network": True,
    "settings": matching.MatchingSettings(),
    "presets": matching.PRESETS,
    "heading": "Distribution matching (dm, datadam)",
    "flag_prefix": "",
}
_KERNEL: dict[str, Any] = {
    "make": Lazy("clbench.distillation.kernel.distiller:KernelRegression"),
    "heading": "Kernel regression (kip, frepo)",
    "flag_prefix": "kernel-",
}
_TRAJECTORIES: dict[str, Any] = {
    "make": Lazy("clbench.distillation.trajectories.distiller:TrajectoryMatching"),
    "needs_network": True,
    "presets": trajectories.PRESETS,
    "heading": "Trajectory matching (pad, datm, mtt)",
    "flag_prefix": "",
}
_BPTT: dict[str, Any] = {
    "make": Lazy("clbench.distillation.bptt.distiller:BackPropagation"),
    "needs_network": True,
    "settings": bptt.BpttSettings(),
    "heading": "Back-propagation through training (bptt)",
    "flag_prefix": "",
}

DISTILLERS: Table[DistillerInfo] = Table(
    {
        "random": DistillerInfo(
            Lazy("clbench.distillation.selection.distiller:random_selection"),
            "random real images of each class",
            "baseline",
            prefix="random",
            images="random real images of each class",
            real_images=True,
        ),
        "herding": DistillerInfo(
            Lazy("clbench.distillation.selection.distiller:herding"),
            "real images whose mean follows the class mean",
            "Welling 2009; Rebuffi et al. 2017",
            prefix="herding",
            images="real images near the class mean (Welling 2009; Rebuffi et al. 2017)",
            real_images=True,
        ),
        "dm": DistillerInfo(
            summary="distribution matching",
            source="Zhao & Bilen 2023",
            prefix="dm",
            images="images distilled by distribution matching (Zhao & Bilen 2023)",
            **_MATCHING,
        ),
        "datadam": DistillerInfo(
            summary="distribution and attention matching",
            source="Sajedi et al. 2023",
            prefix="dam",
            images="images distilled by DataDAM (Sajedi et al. 2023)",
            **_MATCHING,
        ),
        "kip": DistillerInfo(
            summary="kernel regression, tangent kernel of an MLP",
            source="Nguyen et al. 2021",
            settings=kernel.KIP,
            prefix="kip",
            images="images distilled by kernel regression (Nguyen et al. 2021)",
            **_KERNEL,
        ),
        "frepo": DistillerInfo(
            summary="kernel regression, features of trained networks",
            source="Zhou et al. 2022",
            settings=kernel.FREPO,
            prefix="frepo",
            images="images distilled by regression on features (Zhou et al. 2022)",
            needs_network=True,
            **_KERNEL,
        ),
        "mtt": DistillerInfo(
            summary="trajectory matching",
            source="Cazenavette et al. 2022",
            settings=trajectories.MTT,
            **_TRAJECTORIES,
        ),
        "datm": DistillerInfo(
            summary="trajectory matching, difficulty-aligned, with soft labels",
            source="Guo et al. 2024",
            settings=trajectories.DATM,
            **_TRAJECTORIES,
        ),
        "pad": DistillerInfo(
            summary="trajectory matching, difficulty-aligned, data and depth prioritised",
            source="Li et al. 2024",
            settings=trajectories.PAD,
            prefix="pad",
            images="images distilled by trajectory matching (Li et al. 2024)",
            **_TRAJECTORIES,
        ),
        "bptt": DistillerInfo(
            summary="back-propagation through the training of fresh networks",
            source="Feng et al. 2024",
            prefix="bptt",
            images="images distilled by back-propagation through training (Feng et al. 2024)",
            **_BPTT,
        ),
    },
    group="clbench.distillers",
    kind=DistillerInfo,
    what="distiller",
)
