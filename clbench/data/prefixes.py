"""Names that say by themselves which data they mean: ``chain:A+B``, ``hf:NAME``, ``generated:``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clbench.data import own_names

if TYPE_CHECKING:
    from clbench.data.dataset import DatasetInfo

CHAIN, HUB, GENERATED = "chain:", "hf:", "generated:"


def is_made(name: str) -> bool:
    """Whether ``name`` is no key of the table, but says which data are meant."""
    return name.startswith((CHAIN, HUB, GENERATED))


def entry(name: str) -> DatasetInfo:
    """The entry of ``chain:A+B``, ``hf:NAME`` or ``generated:...``.

    Raises:
        InputError: an unknown data set in it, or no such place.
    """
    if name.startswith(CHAIN):
        from clbench.data import chain

        return chain.entry(name)
    if name.startswith(GENERATED):
        from clbench.data import generated

        return generated.entry(name)
    from clbench.data import hub

    return hub.entry(name)


def short_name(name: str) -> str:
    """A name that can be part of a file's: ``chain:mnist+svhn`` is ``chain-mnist-svhn``."""
    if name.startswith(CHAIN):
        parts = name.removeprefix(CHAIN).split("+")
        return "-".join(["chain", *map(own_names.short_name, parts)])
    if name.startswith(HUB):
        return f"hf-{Path(name.removeprefix(HUB)).name}"
    if name.startswith(GENERATED):
        return name.replace(":", "-").replace(",", "-").replace("=", "")
    return own_names.short_name(name)
