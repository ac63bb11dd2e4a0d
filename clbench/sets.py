"""A small set of images and where it comes from: what is evaluated, and what `load_set` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clbench.coded import CodedImages
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.report import RunReport
from clbench.store.reading import parse_json
from clbench.types import LabelledImages


@dataclass(frozen=True, eq=False)
class DistilledSet:
    """A set and its origin.

    Attributes:
        coded: the set as it is stored, in the data set's own class numbers.
        name: of the file, or of the run directory.
        data: name of the data set; "" where it is not known, like the fingerprint.
        fingerprint: SHA-256 (hex) of the data set.
        normalisation: whose moments the pixels were normalised by, "dataset" or "imagenet".
        distil_seconds: what making it took.
        distilled_with: name of the network it was matched in; "" where there was none.
    """

    coded: CodedImages
    name: str = ""
    data: str = ""
    fingerprint: str = ""
    normalisation: str = "dataset"
    distil_seconds: float = 0.0
    distilled_with: str = ""

    @cached_property
    def images(self) -> LabelledImages:
        """Return the images that it decodes to."""
        return self.coded.images

    def about(self) -> dict[str, Any]:
        """Return what a report says of the set."""
        return {
            "num_images": len(self.coded),
            "codec": self.coded.codec.name,
            "num_bytes": self.coded.num_bytes,
            "distil_seconds": self.distil_seconds,
            "distilled_with": self.distilled_with or None,
        }


def load_set(path: Path | str) -> DistilledSet:
    """Read a set that `clbench distill` wrote, or what a run remembered in the end.

    Args:
        path: a set's file, or a run directory.

    Raises:
        InputError: neither of them.
    """
    place = Path(path)
    return _of_run(place) if place.is_dir() else _of_file(place)


def _of_file(path: Path) -> DistilledSet:
    coded, meta = CodedImages.load(path)
    try:
        used = parse_json(str(meta.get("distillation", "{}")))
        seconds = float(meta.get("distil_seconds", 0.0))
        data, fingerprint = (str(meta.get(key, "")) for key in ("data", "fingerprint"))
        network = network_of(used)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected a set with its origin, found something else ({error}); make one "
            "with `clbench distill`"
        ) from None
    normalisation = str(meta.get("normalisation", "dataset"))
    return DistilledSet(coded, path.stem, data, fingerprint, normalisation, seconds, network)


def _of_run(directory: Path) -> DistilledSet:
    report = RunReport.load(directory)
    last = directory / "memory" / f"exp_{len(report.class_groups) - 1}.safetensors"
    if not last.exists():
        raise InputError(f"{directory}: expected a run with a memory, found one without ({last})")
    coded, _ = CodedImages.load(last)
    try:
        return DistilledSet(
            coded,
            directory.name,
            str(report.data["name"]),
            str(report.data["fingerprint"]),
            str(report.config["benchmark"].get("normalisation", "dataset")),
            float((report.measured.get("seconds") or {}).get("distil", 0.0)),
            _network_of_run(report),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{directory}: expected a run's report, found one without what a set needs ({error!r})"
        ) from None


def _network_of_run(report: RunReport) -> str:
    if not any(entry["losses"] for entry in report.distillation):
        return ""
    used = report.config["distillation"]
    if "settings" not in used:
        # An older report names the default distiller, whatever its strategy.
        prefix = str(report.config["strategy"]).rpartition("_")[0]
        named = [name for name, row in DISTILLERS.items() if row.prefix == prefix]
        used = {**used, "distiller": named[0] if named else None}
    return network_of(used)


def network_of(distillation: Mapping[str, Any]) -> str:
    """Return the network a set was matched in; "" where its distiller uses none or is unknown."""
    try:
        row = DISTILLERS.find(str(distillation.get("distiller")))
    except InputError:
        return ""
    if not row.needs_network or "network" not in distillation:
        return ""
    return str(distillation["network"]["name"])
