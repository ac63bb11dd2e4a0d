"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clbench.store.checkpoints import before, keep_state, kept_state
from clbench.store.files import clear_leftovers, is_leftover, replacing, write_bytes, write_json


def full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("there", [None, b"before"])
def test_a_full_disk_leaves_what_was_there(
    there: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    if there is not None:
        file.write_bytes(there)
    monkeypatch.setattr(os, "fsync", full)
    for write in (write_bytes, write_json):
        with pytest.raises(OSError, match="No space"):
            write(file, "half" if write is write_json else b"half")
    assert [p.name for p in tmp_path.iterdir()] == ([] if there is None else ["f"])
    assert there is None or file.read_bytes() == there


def test_a_full_disk_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "checkpoint.pt"
    for number in (1, 2):
        keep_state(place, "run", {"number": number})
    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space"):
        broken.setattr(os, "fsync", full)
        keep_state(place, "run", {"number": 3})
    assert kept_state(place, "run", ["number"]) == ({"number": 2}, [])
    assert not place.exists() and before(place).exists()


def test_what_a_killed_process_left_is_known_and_removed(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    stays = ["report.json", ".claim", ".hidden", "memory/exp_0.safetensors", ".a.1.b"]
    for name in stays:
        (tmp_path / name).touch()
    with replacing(tmp_path / "memory" / "exp_1.safetensors") as file:
        left = Path(file.name)
        assert is_leftover(left) and not any(is_leftover(Path(name)) for name in stays)
        clear_leftovers(tmp_path)
        assert not left.exists()
        left.touch()
    clear_leftovers(tmp_path)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*stays, "memory/exp_1.safetensors"}
