"""Folders that are parts of a split, by the names people give them."""

from __future__ import annotations

import re
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tests", "tst"), "test"),
}
# What people write behind such a word.
_FILLING = ("set", "sets", "data", "dataset", "images", "imgs", "split", "folder")


def split_of(name: str) -> Split | None:
    """The part of a split that a folder's name, or a word of a table, means; None for a class.

    Case does not matter: ``Train``, ``training``, ``TRAIN_SET`` and ``trainset`` are the training
    images; ``val``, ``valid``, ``validation`` and ``dev`` are the validation images.
    """
    words = _words(name)
    while len(words) > 1 and words[-1] in _FILLING:
        words.pop()
    return _WORDS.get(words[0]) if len(words) == 1 else None


def hinted_splits(name: str) -> set[Split]:
    """The parts that some word of the name means: ``my_train_2`` hints at train."""
    return {_WORDS[word] for word in _words(name) if word in _WORDS}


def _words(name: str) -> list[str]:
    """Lower-case words; digits, and a filling word that hangs on, are cut off."""
    words = [word for word in re.split(r"[\W\d_]+", name.casefold()) if word]
    return [_without_filling(word) for word in words]


def _without_filling(word: str) -> str:
    for filling in _FILLING:
        if word.endswith(filling) and word.removesuffix(filling) in _WORDS:
            return word.removesuffix(filling)
    return word
