"""Choosing real images has no settings."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.fields import Config


@dataclass(frozen=True)
class SelectionSettings(Config):
    """None: random choice and herding depend on images and generator alone."""
