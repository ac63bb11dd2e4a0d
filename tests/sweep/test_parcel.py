"""A run directory as bytes: what goes in comes out, and nothing else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.sweep import parcel
from clbench.sweep.parcel import ParcelError, pack, unpack

RUN = ("config.json", "env.json", "status.json", "checkpoint.pt", "checkpoint-before.pt",
       "partial.json", "memory/exp_0.safetensors", "memory/exp_11.safetensors",
       "figures/accuracy_matrix.png", "events.out.tfevents.1795932267.vm.21382.0")  # fmt: skip
NO_RUN = (".claim", ".report.json.12.0123abcd", "notes.txt", "memory/exp_a.safetensors",
          "figures/more/a.png", "figures/.a.png", "report.json.bak")  # fmt: skip


def filled(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(name.encode() * 100)
    return directory


def held(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def zipped(*members: str, kind: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name in members:
            archive.writestr(name, b"0" * 1000)
    return out.getvalue()


def test_a_run_travels_whole_and_alone(tmp_path: Path) -> None:
    there = filled(tmp_path / "there", *RUN, *NO_RUN)
    here = filled(tmp_path / "here", "report.json", "memory/exp_7.safetensors", "notes.txt")
    (here / "config.json").write_text("older")
    unpack(pack(there), here)
    assert held(here) == {n: c for n, c in held(there).items() if n in RUN} | {
        "notes.txt": b"notes.txt" * 100  # not a run's, and not touched
    }
    assert pack(here) == pack(there)


def test_the_report_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = filled(tmp_path / "there", *RUN, "report.json")
    written: list[str] = []
    monkeypatch.setattr(parcel, "write_bytes", lambda path, content: written.append(path.name))
    unpack(pack(there), tmp_path / "here")
    assert written[-5:] == ["partial.json", "checkpoint-before.pt", "checkpoint.pt", "status.json",
                            "report.json"]  # fmt: skip
    assert len(written) == len(RUN) + 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "something else"),
        (b"PK\x05\x06 and more", "something else"),
        (zipped("../report.json"), "found '../report.json'"),
        (zipped("/report.json"), "found '/report.json'"),
        (zipped("memory/../../report.json"), "found 'memory/"),
        (zipped("figures/..png/x.png"), "found 'figures"),
        (zipped("report.json\n"), "expected the files of a run"),
        (zipped("config.json", "clbench.py"), "found 'clbench.py'"),
        (zipped("report.json", kind=zipfile.ZIP_DEFLATED), "found compressed ones"),
        (zipped("config.json").replace(b"000", b"001"), "config.json has changed"),
    ],
)
def test_what_is_no_run_is_refused_before_anything_is_written(
    content: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ParcelError, match=words):
        unpack(content, tmp_path / "here")
    assert not list(tmp_path.iterdir())


@settings(max_examples=30)
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_broken_bytes_are_one_error(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, at: int, value: int
) -> None:
    whole = bytearray(zipped("config.json", "report.json"))
    whole[-at - 1] = value
    here = tmp_path_factory.mktemp("here")
    for content in (start, bytes(whole), bytes(whole[: at * 10])):
        try:
            unpack(content, here)
        except ParcelError:
            continue
        assert set(held(here)) <= {"config.json", "report.json"}


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = filled(tmp_path / "there", "config.json", "env.json")
    whole = pack(there)
    monkeypatch.setattr(parcel, "MOST_BYTES", 1899)
    for work in (lambda: pack(there), lambda: unpack(whole, tmp_path / "here")):
        with pytest.raises(ParcelError, match="1,899 bytes"):
            work()
    monkeypatch.setattr(parcel, "MOST_BYTES", 1900)
    unpack(pack(there), tmp_path / "here")
    monkeypatch.setattr(parcel, "MOST_FILES", 1)
    for work in (lambda: pack(there), lambda: unpack(whole, tmp_path / "more")):
        with pytest.raises(ParcelError, match="at most 1 files"):
            work()
