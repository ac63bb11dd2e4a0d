"""The search over candidates, on scores made up by hand."""

import json

import pytest

from clbench.codecs.table import parse
from clbench.errors import InputError
from clbench.tuning.candidates import default_candidates
from clbench.tuning.search import Candidate, Listed, Trial, Tried, search
from clbench.types import ImageSpec

SCORES = {"raw": (0.5, 0.9, 0.9), "png": (0.7, 0.4, 0.4), "webp": (0.6, 0.6, 0.9), "avif": None}


def candidates(*strategies: str) -> list[Listed]:
    return [
        Listed(name, [Candidate(name, {"codec": codec}) for codec in SCORES]) for name in strategies
    ]


class Bench:
    """Measures by the table above, and counts."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self.stop_after = stop_after

    def measure(self, candidate: Candidate, seed: int) -> Trial:
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((candidate.strategy, candidate.settings["codec"], seed))
        scores = SCORES[candidate.settings["codec"]]
        if scores is None:
            return Trial(candidate, seed, refused="no such library")
        return Trial(candidate, seed, scores[seed - 5], 100, 10, 1.0)


def searched(bench: Bench, tried: Tried, *strategies: str, heard: list | None = None):
    return search(
        candidates(*strategies),
        bench.measure,
        tried,
        first_seed=5,
        seeds=3,
        finalists=2,
        on_trial=lambda trial, number, total: (heard or []).append((number, total)),
    )


def test_every_candidate_once_then_the_finalists_under_more_seeds():
    bench = Bench()
    found = searched(bench, Tried(None, {}), "a_replay")
    # raw would win over three seeds, but it is no finalist: png and webp led under the first.
    assert [one.candidate.settings["codec"] for one in found["a_replay"]] == [
        "webp",
        "png",
        "raw",
        "avif",
    ]
    assert found["a_replay"][0].accuracy == pytest.approx(0.7)
    assert [len(one.trials) for one in found["a_replay"]] == [3, 3, 1, 1]
    assert found["a_replay"][-1].accuracy is None
    assert bench.asked == [
        *[("a_replay", codec, 5) for codec in SCORES],
        *[("a_replay", "png", seed) for seed in (6, 7)],
        *[("a_replay", "webp", seed) for seed in (6, 7)],
    ]


def test_all_strategies_have_the_same_search():
    bench = Bench()
    heard: list = [None]
    searched(bench, Tried(None, {}), "a_replay", "b_replay", heard=heard)
    mine = [asked[1:] for asked in bench.asked if asked[0] == "a_replay"]
    assert mine == [asked[1:] for asked in bench.asked if asked[0] == "b_replay"]
    assert heard[1:] == [(number, 16) for number in range(1, 17)]


@pytest.mark.parametrize("stop_after", range(8))
def test_a_stopped_search_goes_on_and_finds_the_same(tmp_path, stop_after):
    whole = Bench()
    path, about = tmp_path / "tuning.json", {"seed": 5}
    expected = searched(whole, Tried(None, {}), "a_replay")
    first = Bench(stop_after)
    with pytest.raises(KeyboardInterrupt):
        searched(first, Tried.opened(path, about), "a_replay")
    second = Bench()
    assert searched(second, Tried.opened(path, about), "a_replay") == expected
    assert first.asked + second.asked == whole.asked, "nothing is measured twice"


def test_the_file_of_another_search_is_refused(tmp_path):
    path = tmp_path / "tuning.json"
    searched(Bench(), Tried.opened(path, {"bytes": 1}), "a_replay")
    with pytest.raises(InputError, match="same options, found another"):
        Tried.opened(path, {"bytes": 2})


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"schema": 1}', b"\xff\xfe", b'{"schema": 1, "about": {}, "trials": [3]}',
     b'{"schema": 1, "about": {}, "trials": [{"candidate": {"strategy": "a", "settings": {}}, '
     b'"seed": 0, "accuracy": 7}]}',
     b'{"schema": 1, "about": {}, "trials": [{"candidate": {"strategy": "a", "settings": {}}, '
     b'"seed": 0, "colour": 7}]}'],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "tuning.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected what `clbench tune` wrote"):
        Tried.opened(path, {})


def test_what_was_tried_is_in_the_file_in_order(tmp_path):
    path = tmp_path / "tuning.json"
    searched(Bench(), Tried.opened(path, {}), "a_replay")
    trials = json.loads(path.read_text())["trials"]
    assert [trial["candidate"]["settings"]["codec"] for trial in trials[:4]] == list(SCORES)
    assert trials[3]["refused"] == "no such library"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 28, 32, 224])
def test_every_default_candidate_can_write_such_images(channels, side):
    spec = ImageSpec(channels, side, side, ("a", "b"), (0.5,) * channels, (0.5,) * channels)
    lines = default_candidates(spec)
    assert 9 <= len(lines) <= 14 and len(set(lines)) == len(lines)
    for line in lines:
        parse(line).check(spec.shape)
