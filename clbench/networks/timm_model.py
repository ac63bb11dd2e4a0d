"""Any architecture of the package timm (``timm:NAME``), with weights of our own drawing.

No weights are downloaded: ``pretrained`` is False. Models that are made for one image size are
built for the size of the stream's images.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from clbench.errors import InputError
from clbench.machine.compat import prepare
from clbench.networks.base import Architecture, Network
from clbench.types import ImageSpec


class TimmModel(Network):
    """What ``timm.create_model`` makes, its last linear layer as the classifier."""

    def __init__(self, spec: ImageSpec, architecture: Architecture, *, name: str) -> None:
        super().__init__()
        timm = _timm(name)
        if not timm.is_model(name):
            raise InputError(f"timm:{name}: unknown to timm {timm.__version__}{_near(timm, name)}")
        size = {}
        if (timm.get_pretrained_cfg_value(name, "fixed_input_size")) or name.startswith("vit_"):
            size = {"img_size": (spec.height, spec.width)}
        try:
            self.model: Any = timm.create_model(
                name, pretrained=False, num_classes=spec.num_classes, in_chans=spec.channels, **size
            )
        # timm's models raise whatever an image of another size makes them stumble over.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"timm:{name}: cannot be built for images of {spec.height}x{spec.width} "
                f"({reason}); choose another network"
            ) from None
        classifier = self.model.get_classifier()
        if not isinstance(classifier, nn.Linear):
            raise InputError(
                f"timm:{name}: expected a linear classifier, found {type(classifier).__name__}; "
                "choose another network"
            )
        # Registered once more under the name that all networks share; the parameters are the same.
        self.classifier = classifier

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, D): what the classifier sees."""
        maps = self.model.forward_features(images_NCHW)
        found: Tensor = self.model.forward_head(maps, pre_logits=True)
        return found


def made(name: str, spec: ImageSpec, architecture: Architecture) -> Network:
    """The model ``name`` of timm for these images.

    Raises:
        InputError: timm is missing, has no such model, or it does not fit the images.
    """
    return TimmModel(spec, architecture, name=name)


def _timm(name: str) -> Any:
    prepare()
    try:
        import timm
    except ImportError:
        raise InputError(
            f"timm:{name}: needs the package timm; install it with pip install 'clbench[timm]'"
        ) from None
    return timm


def _near(timm: Any, name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, timm.list_models(), n=1)
    return f"; did you mean timm:{near[0]}?" if near else "; `timm.list_models()` lists them"
