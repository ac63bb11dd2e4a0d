"""How a data set becomes a few images: what all methods share, and the chosen method's settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from clbench.distillation.difficulty.settings import OPERATIONS
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.fields import Config, check, nested, setting
from clbench.networks.settings import NetworkConfig

if TYPE_CHECKING:
    from clbench.distillation.protocol import Distiller

Settings = TypeVar("Settings", bound=Config)


@dataclass(frozen=True)
class DistillationConfig(Config):
    """The fields that all methods share, and the settings of the one that is chosen.

    The default network is a quarter of DataDAM's width: on Split-MNIST's validation stream its
    images served replay no worse than those of width 64, in a third of the time.

    Attributes:
        settings: of the class that the method's row in the table names; None is that row's own.
    """

    distiller: str = setting(
        "datadam", "Distiller (clbench list distillers).", table="distillers", common=True
    )
    network: NetworkConfig = nested(
        NetworkConfig("convnet", width=32, depth=3, norm="instance"),
        prefix="distill-",
        whose="that images are matched in",
        common=False,
    )
    initialisation: Literal["real", "herding", "easy", "noise"] = setting(
        "real", "What the images start from; easy: real images of low EL2N."
    )
    augmentation: str = setting(
        "auto",
        f"{OPERATIONS}; dm and datadam: the same for real and distilled images of a class.",
        flag="distill-augmentation",
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Arithmetic; auto takes bfloat16 where the device is fast at it."
    )
    settings: Config = nested(None, hidden=True)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        chosen: Any = self.settings
        if chosen is None:
            object.__setattr__(self, "settings", DISTILLERS.find(self.distiller).settings)
        super().__post_init__()

    def _validate(self) -> None:
        own = type(DISTILLERS.find(self.distiller).settings)
        found = type(self.settings).__name__
        check(type(self.settings) is own, "settings", f"{own.__name__} of {self.distiller}", found)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_dict`; absent fields take the chosen method's defaults.

        Raises:
            InputError: an unknown distiller or field, or a value of the wrong type or range.
        """
        named = {"distiller": values["distiller"]} if "distiller" in values else {}
        check(isinstance(named.get("distiller", ""), str), "distiller", "a name", named)
        return cls(**named).updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with a nested dictionary laid over it; another distiller brings its own.

        Raises:
            InputError: an unknown distiller or field, or a value of the wrong type or range.
        """
        name = values.get("distiller", self.distiller)
        if isinstance(name, str) and name != self.distiller:
            fresh = dataclasses.replace(self, distiller=name, settings=None)  # type: ignore[arg-type]
            return fresh.updated(values)
        rest = {key: value for key, value in values.items() if key != "settings"}
        settings = values.get("settings")
        if settings is None:
            return super().updated(rest)
        check(isinstance(settings, Mapping), "settings", "an object of settings", settings)
        return super().updated(rest).replace(settings=self.settings.updated(settings))

    def own(self, kind: type[Settings]) -> Settings:
        """Return the settings, which are of this kind."""
        assert isinstance(self.settings, kind), f"{self.distiller} has other settings"
        return self.settings

    def for_distiller(self, name: str) -> Self:
        """Return the same for another distiller.

        Settings that differ from their defaults go along where both methods have the same kind, and
        are left behind where the other method has none.

        Raises:
            InputError: the other method has settings of another kind, so that these would be lost.
        """
        if name == self.distiller:
            return self
        before, after = (DISTILLERS.find(n).settings for n in (self.distiller, name))
        changed = _differences(self.settings.to_dict(), before.to_dict())
        if type(before) is type(after):
            after = after.updated(changed)
        elif changed and dataclasses.fields(after):
            raise InputError(
                f"distillation: expected settings of {name} ({type(after).__name__}), found "
                f"{type(before).__name__} of {self.distiller} with {', '.join(changed)} changed; "
                f"give DistillationConfig({name!r}, ...)"
            )
        return self.replace(distiller=name, settings=after)

    def with_preset(self, name: str) -> Self:
        """Return the preset ``name`` of the distiller; what it does not name goes to its default.

        Raises:
            InputError: the distiller has no such preset.
        """
        row = DISTILLERS.find(self.distiller)
        if name not in row.presets:
            offered = ", ".join(row.presets) or "none"
            raise InputError(
                f"--loop: expected a preset of {self.distiller} ({offered}), found {name!r}"
            )
        kept = getattr(self.settings, "before_preset", lambda: row.settings)()
        return type(self)(distiller=self.distiller, settings=kept).updated(row.presets[name])


def make_distiller(config: DistillationConfig) -> Distiller:
    """Return the distiller that ``config`` names.

    Raises:
        InputError: no such distiller.
    """
    return DISTILLERS.find(config.distiller).make(config)


def _differences(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a nested dictionary in which it differs from another one."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            inner = _differences(value, others[name])
            if inner:
                found[name] = inner
        elif value != others[name]:
            found[name] = value
    return found
