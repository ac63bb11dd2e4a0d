"""One place, one command: whoever comes second is told, and nobody's death blocks a place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clbench.cli import places
from clbench.errors import InputError
from clbench.store import claims

RIVALS, ROUNDS = 8, 50
HOLD = "import sys; from pathlib import Path; from clbench.store import claims\n"
HOLD += "held = claims.claim_directory(Path(sys.argv[1]))\n"
HOLD += "print('free' if held is None else 'held', flush=True); sys.stdin.read()"


def at_once(choose: Callable[[], Path | None]) -> list[Path | None]:
    """What each of `RIVALS` threads that start together is given; None where it is refused."""
    gate = threading.Barrier(RIVALS)

    def one(_: int) -> Path | None:
        gate.wait()
        try:
            return choose()
        except InputError as error:
            assert "another clbench command" in str(error)
            return None

    with ThreadPoolExecutor(RIVALS) as pool:
        return list(pool.map(one, range(RIVALS)))


CHOICES: dict[str, Callable[[Path | None, Path], Path]] = {
    "directory": places.new_directory,
    "resumable": places.resumable_directory,
    "file": places.new_file,
}


@pytest.mark.parametrize("kind", CHOICES)
def test_default_names_count_on(kind: str, tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        default = tmp_path / str(turn) / "deep" / "a.safetensors"
        given = at_once(lambda default=default: CHOICES[kind](None, default))
        assert len(set(given)) == RIVALS and None not in given and default in given


@pytest.mark.parametrize("kind", CHOICES)
def test_a_chosen_name_is_given_once(kind: str, tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        chosen = tmp_path / str(turn) / "deep" / "a.safetensors"
        given = at_once(lambda chosen=chosen: CHOICES[kind](chosen, chosen))
        assert sorted(given, key=str) == sorted([chosen, *[None] * (RIVALS - 1)], key=str)


@pytest.mark.parametrize("claim", [claims.claim_directory, claims.claim_file])
def test_claims_and_releases_may_cross(claim: Callable[[Path], claims.Claim | None], tmp_path):
    place, inside = tmp_path / "a" / "b", []

    def one(_: int) -> None:
        for _ in range(ROUNDS):
            held = claim(place)
            if held is not None:
                inside.append(1)
                assert len(inside) == 1, "two hold one place"
                inside.pop()
                held.release()

    with ThreadPoolExecutor(RIVALS) as pool:
        list(pool.map(one, range(RIVALS)))
    assert claim(place) is not None


def test_a_release_leaves_nothing_but_work(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    held = claims.claim_directory(tmp_path / "there" / "a" / "b")
    assert held is not None
    held.release()
    held.release()
    assert list((tmp_path / "there").iterdir()) == []
    held = claims.claim_directory(tmp_path / "there" / "a")
    assert held is not None
    (tmp_path / "there" / "a" / "work").touch()
    held.release()
    assert [file.name for file in (tmp_path / "there" / "a").iterdir()] == ["work"]


def test_the_claim_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        assert claims.claim_directory(tmp_path / "a") is None
        assert claims.is_held(tmp_path / "a" / claims.NAME)
        with pytest.raises(InputError, match="another clbench command"):
            places.new_directory(tmp_path, tmp_path)
        os.kill(process.pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    assert (tmp_path / "a" / claims.NAME).exists()
    assert places.new_directory(tmp_path / "a", tmp_path) == tmp_path / "a"


def test_pictures_and_results_beside_a_set_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"found .*a\.png; remove it"):
        places.new_file(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    default = tmp_path / "a.safetensors"
    assert places.new_file(None, default) == tmp_path / "a-2.safetensors"
