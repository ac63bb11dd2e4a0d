"""Split histology images into training and test so that no patient has images in both.

    python docs/results/histology_split.py FOLDER

FOLDER holds CLASS/PATIENT-*.png, as the images of EBHI-Seg (Shi et al., Frontiers in Medicine
2023). A patient is a number there, with letters before it that differ between classes: GTxc2013010
and GT2013010 are one. What is written, FOLDER/patients.csv, clbench reads as a benchmark
``folder:FOLDER/patients.csv``. From the rarest class to the most frequent one, patients go to the
test images, in the order of the SHA-256 of their numbers, until a quarter of the class's images is
there: the same on every machine.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

TEST_SHARE = 0.25

Image = tuple[str, str, str]  # path, class, patient


def find(folder: Path) -> list[Image]:
    """Images below ``folder``, by path; the patient is the number before the first hyphen."""
    files = sorted(folder.glob("*/*.png"))
    if not files:
        raise SystemExit(f"expected {folder}/CLASS/PATIENT-*.png, found none")
    return [(f"{f.parent.name}/{f.name}", f.parent.name, _patient(f.name)) for f in files]


def _patient(name: str) -> str:
    number = re.match(r"\D*(\d+)\D*-", name)
    if number is None:
        raise SystemExit(f"expected a patient's number before the first hyphen of {name}")
    return number[1]


def test_patients(images: Sequence[Image]) -> set[str]:
    """Patients whose images are all test images."""
    sizes = Counter(name for _, name, _ in images)
    chosen: set[str] = set()
    for wanted in sorted(sizes, key=lambda name: (sizes[name], name)):
        own = Counter(patient for _, name, patient in images if name == wanted)
        held = sum(own[patient] for patient in chosen)
        for patient in sorted(own, key=lambda name: hashlib.sha256(name.encode()).digest()):
            if held >= TEST_SHARE * sizes[wanted]:
                break
            if patient not in chosen:
                chosen.add(patient)
                held += own[patient]
    return chosen


def main(folder: Path) -> None:
    """Write the table, and print how many images and patients each part has."""
    images = find(folder)
    chosen = test_patients(images)
    part_of = {True: "test", False: "train"}
    rows = [(path, name, part_of[patient in chosen]) for path, name, patient in images]
    with (folder / "patients.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    for part in ("train", "test"):
        counts = Counter(name for _, name, where in rows if where == part)
        patients = {p for _, _, p in images if (p in chosen) is (part == "test")}
        print(f"{part}: {len(patients)} patients, {sum(counts.values())} images", dict(counts))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
