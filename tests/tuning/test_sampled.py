"""Settings proposed by Optuna: ranges as a user types them, and a search that can be stopped."""

import math
import sys

import pytest

from clbench.errors import InputError
from clbench.tuning.sampled import Sampled
from clbench.tuning.search import Candidate, Trial, Tried, search
from clbench.tuning.space import Axis, around, parse_axis

AXES = [parse_axis("rate=0.001..1:log", "-"), parse_axis("kind=a;b,c", "-")]


class Hill:
    """A run whose accuracy is best at rate 0.03 and kind b,c; rates above 0.5 are refused."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.asked: list[Candidate] = []
        self.stop_after = stop_after

    def measure(self, candidate: Candidate, seed: int) -> Trial:
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(candidate)
        rate = float(candidate.settings.get("rate", 0.3))
        if rate > 0.5:
            return Trial(candidate, seed, refused="too large")
        away = abs(math.log10(rate / 0.03)) / 4 + 0.2 * (candidate.settings.get("kind") == "a")
        return Trial(candidate, seed, max(0.0, 0.9 - away), 100, 10, 1.0)


def searched(hill: Hill, tried: Tried, num: int = 25, seed: int = 3):
    return search(
        [Sampled("x_replay", AXES, num=num, seed=seed)],
        hill.measure,
        tried,
        first_seed=0,
        seeds=1,
        finalists=1,
        on_trial=lambda *_: None,
    )


def test_the_defaults_are_tried_first_and_the_sampler_finds_the_hill():
    hill = Hill()
    found = searched(hill, Tried(None, {}))["x_replay"]
    assert hill.asked[0].settings == {} and hill.asked[0].title == "defaults"
    assert len(hill.asked) <= 25
    best = found[0].candidate.settings
    assert best["kind"] == "b,c" and 0.01 <= float(best["rate"]) <= 0.1
    late = [abs(math.log10(float(c.settings["rate"]) / 0.03)) for c in hill.asked[15:]]
    early = [abs(math.log10(float(c.settings["rate"]) / 0.03)) for c in hill.asked[1:11]]
    assert sum(late) / len(late) < sum(early) / len(early), "it learns from what it was told"


@pytest.mark.parametrize("stop_after", [0, 1, 7, 14])
def test_a_stopped_search_proposes_the_same_again_and_measures_nothing_twice(tmp_path, stop_after):
    whole, path = Hill(), tmp_path / "tuning.json"
    expected = searched(whole, Tried(None, {}))
    first, second = Hill(stop_after), Hill()
    with pytest.raises(KeyboardInterrupt):
        searched(first, Tried.opened(path, {}))
    assert searched(second, Tried.opened(path, {})) == expected
    assert first.asked + second.asked == whole.asked


def test_another_seed_proposes_others():
    one, other = Hill(), Hill()
    searched(one, Tried(None, {}), num=4)
    searched(other, Tried(None, {}), num=4, seed=4)
    assert one.asked[1:] != other.asked[1:]


def test_a_strategy_without_axes_has_its_defaults_alone():
    sampled = Sampled("naive", [], num=20, seed=0)
    assert sampled.num == 1 and sampled.propose() == Candidate("naive", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate=0.01..1", Axis("rate", (), 0.01, 1.0)),
        ("--rate=1e-4..1:log", Axis("rate", (), 1e-4, 1.0, log=True)),
        ("steps=5..40", Axis("steps", (), 5, 40, whole=True)),
        ("codec=raw; levels:side=14,levels=2", Axis("codec", ("raw", "levels:side=14,levels=2"))),
        ("a=1,2,2", Axis("a", ("1", "2"))),
    ],
)
def test_an_axis_is_what_was_typed(text, expected):
    assert parse_axis(text, "--space") == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rate", "found 'rate'"),
        ("=1..2", "found '=1..2'"),
        ("rate=", "found 'rate='"),
        ("rate=2..1", "found 2..1"),
        ("rate=0..1:log", "range above 0 for :log"),
        ("rate=1e999..1e9999", "expected a range"),
        ("steps=1..99999999999999999999", "2\\*\\*53"),
    ],
)
def test_what_is_no_axis_is_one_line(text, found):
    with pytest.raises(InputError, match=found):
        parse_axis(text, "--space")


def test_texts_stay_within_the_range():
    axis = Axis("rate", (), 0.0123456, 0.0987654)
    assert axis.text(0.05432) == "0.0543", "three digits"
    assert axis.text(0.012346) == "0.0123456", "0.0123 would be below the range"
    assert axis.ends == ("0.0123456", "0.0987654")
    assert around("rate", 0.05) == Axis("rate", (), 0.005, 0.5, log=True)


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'clbench\[tune\]'"):
        Sampled("x_replay", AXES, num=2, seed=0)
