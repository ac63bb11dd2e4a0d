"""The same file in two parts of a split: a network is then tested on what it has learnt."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.data.decoded import Listing
from clbench.data.seen_files import SeenFile
from clbench.errors import InputError

_PARTS = ("train", "test", "validation")


def repeats(listing: Listing, seen: Sequence[SeenFile]) -> list[tuple[str, str]]:
    """Pairs of paths of the same content in two parts of the split, each with its part.

    Args:
        listing: the files.
        seen: what is known of them, in the same order.

    Returns:
        one pair for each file of a later part whose bytes an earlier part has too.
    """
    if len({file.sha256 for file in seen}) == len(seen):
        return []
    first: dict[str, tuple[int, str]] = {}
    found, position = [], 0
    for number, part in enumerate(listing.parts):
        for image in part:
            digest = seen[position].sha256
            where, before = first.setdefault(digest, (number, image.name))
            if where != number:
                found.append((f"{before} in {_PARTS[where]}", f"{image.name} in {_PARTS[number]}"))
            position += 1
    return found


def refuse_repeats(listing: Listing, seen: Sequence[SeenFile]) -> None:
    """Refuse a split that has the same file in two parts.

    Raises:
        InputError: says how many there are, and names the first pair.
    """
    found = repeats(listing, seen)
    if found:
        raise InputError(
            f"{listing.root}: expected no file in two parts of the split, found {_shown(found)}; "
            "take the copies away, or allow them (--allow-repeats)"
        )


def note_of(listing: Listing, seen: Sequence[SeenFile]) -> list[str]:
    """What a reader of results must know where such files are allowed."""
    found = repeats(listing, seen)
    return [f"the same file is in two parts of the split: {_shown(found)}"] if found else []


def _shown(found: Sequence[tuple[str, str]]) -> str:
    what = "1 file" if len(found) == 1 else f"{len(found):,} files"
    before, again = found[0]
    return f"{what}, {'first ' if len(found) > 1 else ''}{before} and {again}"
