"""Which codecs are worth a try."""

from __future__ import annotations

from clbench.codecs.table import canonical
from clbench.types import ImageSpec

_SIDES = (0.36, 0.5, 0.72, 1.0)  # of the image's longer side


def default_candidates(spec: ImageSpec) -> list[str]:
    """Return lines of codecs for images like these: few levels for grey ones, files for colour."""
    longest = max(spec.height, spec.width)
    sides = sorted({max(1, round(part * longest)) for part in _SIDES})
    half = max(1, round(longest / 2))
    if spec.channels == 1:
        lines = [f"levels:side={side},levels={levels}" for side in sides for levels in (2, 4)]
        lines += [f"levels:side={half},levels=8", f"levels:side={half},levels=2,blur=1", "raw"]
    else:
        lines = [f"jpeg:quality={quality}" for quality in (10, 30)]
        lines += [f"webp:quality={quality}" for quality in (10, 30, 60)]
        lines += [f"avif:quality={quality}" for quality in (10, 30, 50)]
        lines += [f"avif:quality={quality},side={half}" for quality in (30, 50)]
        lines += [f"levels:side={half},levels=4", "raw"]
    return list(dict.fromkeys(map(canonical, lines)))
