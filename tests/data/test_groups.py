"""Images of one patient stay on one side."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig
from clbench.data.folders import Folder, scan
from clbench.data.groups import COLUMN, by_pattern, hold_out
from clbench.data.own_names import OwnOptions
from clbench.errors import InputError
from tests.data import pictures

PATTERN = r"/p(\d+)-"


def patients(root: Path, classes: dict[str, dict[str, int]]) -> Path:
    """``{"train/cat": {"p1": 3}}`` writes three images p1-0.png ... of patient 1."""
    seed = 0
    for folder, groups in classes.items():
        (root / folder).mkdir(parents=True)
        for group, num in groups.items():
            for number in range(num):
                file = root / folder / f"{group}-{number}.png"
                file.write_bytes(pictures.image(seed, 8, 8))
                seed += 1
    return root


MANY = {f"p{n}": 2 for n in range(10)}


def sides(found: Folder) -> tuple[set[str], set[str]]:
    def groups(part: str) -> set[str]:
        files = getattr(found.listing, part)
        return set(by_pattern([f"/{file.name}" for file in files], PATTERN))

    return groups("train"), groups("test")


def test_no_patient_is_on_both_sides(tmp_path: Path) -> None:
    root = patients(tmp_path / "a", {"cat": MANY, "dog": MANY})
    found = scan(root, OwnOptions(group_pattern=PATTERN))
    train, test = sides(found)
    assert train and test and not train & test
    assert any(
        "of 10 groups" in note and "no group is on both sides" in note for note in found.notes
    )
    again = patients(tmp_path / "b", {"dog": MANY, "cat": MANY})
    assert sides(scan(again, OwnOptions(group_pattern=PATTERN))) == (train, test)
    loose_train, loose_test = sides(scan(root))
    assert loose_train & loose_test, "without groups a patient is on both sides"


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=2, max_size=60),
    st.randoms(use_true_random=False),
)
def test_held_groups_leave_every_class_an_image(pairs: list[tuple[int, int]], draw: object) -> None:
    labels, groups = [c for c, _ in pairs], [g for _, g in pairs]
    order = sorted(set(groups))
    draw.shuffle(order)  # type: ignore[attr-defined]
    held = hold_out(labels, groups, 0.2, order)
    for c in set(labels):
        own = [g for label, g in pairs if label == c]
        out = sum(g in held.groups for g in own)
        assert out < len(own), "something stays to be learnt"
        assert (out == 0) == (c in held.without)
        if len(set(own)) == 1:
            assert c in held.without


def test_the_validation_split_keeps_patients_together(tmp_path: Path) -> None:
    root = patients(tmp_path / "a", {"cat": MANY, "dog": MANY})
    config = BenchmarkConfig(
        f"folder:{root}", image_size=8, validation_fraction=0.25, group_pattern=PATTERN
    )
    splits = []
    for seed in (0, 0, 1):
        stream = make_benchmark(config, seed=seed)
        groups, held = stream.data.columns[COLUMN][0], set[int]()
        part = stream._part("validation")
        held = set(groups[part.experience >= 0].tolist())
        trained = set(groups[stream._part("train").experience >= 0].tolist())
        assert held and trained and not held & trained
        splits.append(held)
    assert splits[0] == splits[1] != splits[2], "the seed decides"


def test_groups_of_a_table(tmp_path: Path) -> None:
    patients(tmp_path, {"cat": MANY, "dog": MANY})
    rows = [f"{c}/p{n}-{i}.png,{c},{n}" for c in ("cat", "dog") for n in range(10) for i in (0, 1)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,group", *rows]))
    train, test = sides(scan(tmp_path / "t.csv"))
    assert not train & test and test
    with pytest.raises(InputError, match="a table without a column group, found one; leave"):
        scan(tmp_path / "t.csv", OwnOptions(group_pattern=PATTERN))
    (tmp_path / "t.csv").write_text("path,label,group\ncat/p1-0.png,cat,\n")
    with pytest.raises(InputError, match=r"line 2: expected a group for cat/p1-0\.png, found none"):
        scan(tmp_path / "t.csv")


def test_a_given_split_with_a_patient_on_both_sides(tmp_path: Path) -> None:
    both = {f"{part}/{c}": {"p1": 1, f"p{n}": 1}
            for n, part in enumerate(("train", "test"), 2) for c in ("a", "b")}  # fmt: skip
    root = patients(tmp_path / "x", both)
    wanted = (
        r"found group '1' in two: train/a/p1-0\.png in train and test/a/p1-0\.png in test; move"
    )
    with pytest.raises(InputError, match=wanted):
        scan(root, OwnOptions(group_pattern=PATTERN))
    assert len(scan(root).listing.test) == 4, "nobody asked"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(", "expected a regular expression"),
        (r"p\d+", "expected a capture group"),
        (r"q(\d+)", r"find a group in every path, found none in cat/p0-0\.png and 39 more"),
        (r"/(p)", "too few of 'cat' .1.; add images of others"),
    ],
)
def test_bad_patterns(pattern: str, expected: str, tmp_path: Path) -> None:
    root = patients(tmp_path / "a", {"cat": MANY, "dog": MANY})
    with pytest.raises(InputError, match=expected) as caught:
        scan(root, OwnOptions(group_pattern=pattern))
    assert "\n" not in str(caught.value)
