"""Comparisons of runs made up by hand, from files to tables."""

import dataclasses
import io
import json
import math
import re

import numpy as np
import pytest
from rich.console import Console

from clbench.cli.results import print_reports
from clbench.comparison import (
    compare,
    comparison_figures,
    load_runs,
    render_table,
    to_dict,
    to_markdown,
)
from clbench.comparison.budgets import is_real
from clbench.errors import InputError
from clbench.figures import Panel, accuracy_over_bytes_figure, figure_to_array
from clbench.report import RunReport
from clbench.strategies import read_config

TILES = "tiles:factor=2"
CODECS = ("png", "raw", TILES)


def make(strategy="dam_replay", seed=0, accuracy=0.8, *, num_bytes=7840, **settings) -> RunReport:
    """A report of two experiences with this average accuracy; settings like memory__codec."""
    changes: dict[str, dict] = {}
    for name, value in settings.items():
        *path, last = name.split("__")
        place = changes
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    distils = strategy.startswith(("dam", "dm"))
    config = read_config({"strategy": strategy, "seed": seed, **changes})
    return RunReport(
        config=config.to_dict(),
        environment={"python": "3.11", "versions": {"torch": "2.13.0"}, "device": "cpu"},
        data={"name": "mnist5k", "fingerprint": "ab12cd34ef"},
        class_groups=[[0, 1], [2, 3]],
        num_test=[10, 10],
        accuracy_matrix=[[1.0, 0.0], [accuracy - 0.1, accuracy + 0.1]],
        untrained_accuracy=[0.0, 0.0],
        confusion_matrix=[],
        metrics={"average_accuracy": accuracy},
        memory=[] if num_bytes is None else [{"num_bytes": 1}, {"num_bytes": num_bytes}],
        distillation=[{"losses": [1.0] if distils else [], "flops": 5.0 * distils}],
        measured={"seconds": {"train": 1.0, "total": 10.0 + seed}},
    )


GAINS = (0.10, 0.12, 0.11, 0.09, 0.13, 0.11)


def six_seeds(**settings) -> list[RunReport]:
    random = [make("random_replay", s, 0.7 + 0.01 * s, **settings) for s in range(6)]
    dam = [make("dam_replay", s, 0.7 + 0.01 * s + GAINS[s], **settings) for s in range(6)]
    return random + dam


def labels(comparison) -> list[str]:
    return [group.label for group in comparison.groups]


def group(comparison, label):
    (found,) = [g for g in comparison.groups if g.label == label]
    return found


def printed(comparison, width=200) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_table(comparison, console)
    return console.file.getvalue()


def test_groups_over_seeds_with_spread_and_paired_test():
    comparison = compare(six_seeds())
    assert labels(comparison) == ["dam_replay", "random_replay"], "best first"
    dam, random = comparison.groups
    assert dam.seeds == (0, 1, 2, 3, 4, 5)
    assert random.average_accuracy.mean == pytest.approx(0.725)
    assert random.average_accuracy.std == pytest.approx(0.0187083, rel=1e-5)
    # t(0.975, 5) = 2.570582
    assert random.average_accuracy.high == pytest.approx(0.725 + 2.570582 * 0.0187083 / 6**0.5)
    assert random.forgetting.mean == pytest.approx(1 - 0.625)
    assert random.memory_bytes.mean == 7840
    assert random.seconds.mean == 12.5
    assert random.versus is None
    assert dam.versus.baseline == "random_replay"
    assert dam.versus.seeds == (0, 1, 2, 3, 4, 5)
    assert dam.versus.difference.mean == pytest.approx(0.11)
    assert dam.versus.p == 2 / 64
    assert dam.versus.p_holm == 2 / 64
    assert dam.versus.effect_size == pytest.approx(0.11 / 0.0141421, rel=1e-4)
    assert comparison.warnings == ()
    assert comparison.notes == ()


def test_another_metric_ranks_tests_and_is_drawn():
    """Balanced accuracy turns the order of the average round."""
    reports = over_bytes(1960, 7840)
    for report in reports:
        behind = report.config["strategy"] == "dam_replay"
        balanced = 0.3 if behind else 0.4 + 0.01 * report.config["seed"]
        report.metrics.update(balanced_accuracy=balanced)
    plain, other = compare(reports), compare(reports, metric="balanced_accuracy")
    assert {c.winner == c.distilled for c in plain.contests} == {True}
    assert {c.winner == c.real for c in other.contests} == {True}
    for contest in other.contests:
        real = group(other, contest.real)
        mean = sum(real.score.values) / len(real.score.values)
        assert contest.versus.difference.mean == pytest.approx(0.3 - mean)
        assert real.average_accuracy == group(plain, contest.real).average_accuracy
    assert other.groups[0].strategy == "random_replay" and plain.groups[0].strategy == "dam_replay"
    assert "balanced accuracy %" in printed(other) and "Balanced accuracy and" in printed(other)
    drawn = comparison_figures(other)
    assert "balanced_accuracy" in drawn and "average_accuracy" not in drawn
    axes = drawn["accuracy_over_bytes"].axes[0]
    assert axes.get_ylabel() == "balanced accuracy (%)"
    (line,) = [one for one in axes.lines if one.get_label() == "dam_replay"]
    assert np.allclose(line.get_ydata(), 30)
    assert to_dict(other)["metric"] == "balanced_accuracy"


def test_a_metric_that_a_report_lacks_is_refused():
    message = "found auc, which dam_replay with seed 0 has not; it has average_accuracy"
    with pytest.raises(InputError, match=message):
        compare(six_seeds()[6:], metric="auc")
    with pytest.raises(InputError, match="metric: expected one of average_accuracy, .* 'bwt'"):
        compare(six_seeds(), metric="bwt")


def test_order_of_the_reports_does_not_matter():
    reports = six_seeds()
    assert to_dict(compare(reports)) == to_dict(compare(reports[::-1]))


def test_only_common_seeds_are_paired():
    reports = [r for r in six_seeds() if r.config["seed"] not in (1, 4)]
    reports += [make("dam_replay", seed, 0.99) for seed in (7, 8)]
    versus = group(compare(reports), "dam_replay").versus
    assert versus.seeds == (0, 2, 3, 5)
    assert versus.difference.mean == pytest.approx((0.10 + 0.11 + 0.09 + 0.11) / 4)


def test_holm_runs_over_all_tests():
    reports = six_seeds() + [make("dm_replay", s, 0.9) for s in range(6)]
    reports += [make("naive", s, 0.2, num_bytes=None) for s in range(6)]
    comparison = compare(reports)
    for label in ("dam_replay", "dm_replay"):
        assert group(comparison, label).versus.p == 2 / 64
        assert group(comparison, label).versus.p_holm == 4 / 64
    (note,) = [n for n in comparison.notes if "Holm" in n]
    assert "2 tests of at most 6 pairs" in note and "is 0.062; 7 common seeds" in note
    assert group(comparison, "naive").memory_bytes is None
    assert group(comparison, "naive").versus is None, "a bound is not a method to test"
    named = compare(reports, baseline="random_replay")
    assert group(named, "naive").versus.p_holm == 6 / 64
    assert comparison.warnings == (), "a strategy without memory is no unequal memory"


def test_settings_of_a_memory_that_is_not_there_do_not_count():
    reports = six_seeds() + six_seeds(memory__codec=TILES)
    reports += [
        make("naive", s, 0.2, num_bytes=s % 2 and None, memory__codec=CODECS[s]) for s in (1, 2)
    ]
    comparison = compare(reports)
    assert group(comparison, "naive").seeds == (1, 2)
    named = compare(reports, baseline="random_replay")
    assert group(named, "naive").versus.baseline == "random_replay, codec=raw"


def test_each_group_meets_the_random_memory_of_its_own_codec_and_kind():
    reports = six_seeds() + six_seeds(memory__codec=TILES)
    reports += [make("dam_gdumb", s, 0.9) for s in range(6)]
    comparison = compare(reports)
    against = {g.label: g.versus and g.versus.baseline for g in comparison.groups}
    assert against == {
        "dam_replay, codec=raw": "random_replay, codec=raw",
        "dam_replay, codec=tiles:factor=2": "random_replay, codec=tiles:factor=2",
        "random_replay, codec=raw": None,
        "random_replay, codec=tiles:factor=2": None,
        "dam_gdumb, codec=raw": "random_replay, codec=raw",
    }
    gdumb = compare([*reports, *(make("random_gdumb", s, 0.5) for s in range(6))])
    assert group(gdumb, "dam_gdumb, codec=raw").versus.baseline == "random_gdumb, codec=raw"
    assert group(gdumb, "random_gdumb, codec=raw").versus is None


def test_baseline_by_label_and_by_strategy():
    reports = six_seeds() + six_seeds(memory__codec=TILES)
    label = "random_replay, codec=tiles:factor=2"
    by_label = compare(reports, baseline=label, group_by=["bytes"])
    against = {g.label: g.versus and g.versus.baseline for g in by_label.groups}
    assert against.pop("random_replay, codec=tiles:factor=2") is None
    assert set(against.values()) == {label}
    within = {g.label for g in compare(reports, baseline=label).groups if g.versus}
    assert within == {"dam_replay, codec=tiles:factor=2"}, "no test leaves its section"
    by_strategy = compare(reports, baseline="dam_replay")
    versus = group(by_strategy, "random_replay, codec=tiles:factor=2").versus
    assert versus.baseline == "dam_replay, codec=tiles:factor=2"
    assert versus.difference.mean == pytest.approx(-0.11)
    with pytest.raises(InputError, match="baseline: expected .*, codec=tiles:factor=2.*'herd'"):
        compare(reports, baseline="herd")


def test_a_memory_of_another_codec_meets_the_best_baseline_of_its_bytes():
    reports = [make("dam_replay", s, 0.8, memory__codec=TILES) for s in range(6)]
    reports += [make("random_replay", s, 0.7) for s in range(6)]
    reports += [make("random_replay", s, 0.75, memory__codec="png") for s in range(6)]
    dam = group(compare(reports), "dam_replay, codec=tiles:factor=2")
    assert dam.versus.baseline == "random_replay, codec=png"


def test_without_a_matching_baseline_a_note_says_so():
    more = {"num_bytes": 78400, "memory__capacity_bytes": 78400}
    reports = [make("dam_replay", s, 0.8, **more) for s in range(6)]
    reports += [make("random_replay", s, 0.7) for s in range(6)]
    comparison = compare(reports)
    assert all(g.versus is None for g in comparison.groups)
    (note,) = [n for n in comparison.notes if n.startswith("not tested")]
    assert note.endswith("[dam_replay, capacity_bytes=78400]")


def over_bytes(*sizes: int, gain=0.1, **settings) -> list[RunReport]:
    """Random and DataDAM at each size, six seeds, and the two bounds."""
    reports = [make("naive", s, 0.2, num_bytes=None, **settings) for s in range(6)]
    reports += [make("cumulative", s, 0.95, num_bytes=None, **settings) for s in range(6)]
    for i, size in enumerate(sizes):
        more = {"num_bytes": size, "memory__capacity_bytes": size, **settings}
        real = [make("random_replay", s, 0.5 + 0.1 * i + 0.01 * s, **more) for s in range(6)]
        dam = [
            make("dam_replay", s, 0.5 + 0.1 * i + 0.01 * s + gain - 0.08 * i + 0.001 * s, **more)
            for s in range(6)
        ]
        reports += real + dam
    return reports


def test_budgets_that_differ_on_purpose_are_a_curve():
    comparison = compare(over_bytes(2000, 8000, 20000))
    assert comparison.warnings == ()
    assert [c.num_bytes for c in comparison.contests] == [2000, 8000, 20000]
    # By hand: gains of 0.1, 0.02 and -0.06, and 0.001 more with every seed: 0.0025 in the mean.
    gains = [c.versus.difference.mean for c in comparison.contests]
    assert gains == pytest.approx([0.1025, 0.0225, -0.0575])
    assert [c.winner for c in comparison.contests] == [
        "dam_replay, capacity_bytes=2000",
        "dam_replay, capacity_bytes=8000",
        "random_replay, capacity_bytes=20000",
    ]
    assert [c.versus.p for c in comparison.contests] == [2 / 64] * 3
    assert [c.versus.p_holm for c in comparison.contests] == pytest.approx([6 / 64] * 3)
    assert [g.budget for g in comparison.groups] == [
        2000,
        2000,
        8000,
        8000,
        20000,
        20000,
        *[None] * 2,
    ]
    assert labels(comparison)[-2:] == ["cumulative", "naive"], "bounds come last"
    against = [g.versus and g.versus.baseline for g in comparison.groups]
    assert against[0] == "random_replay, capacity_bytes=2000", "its own budget's"
    assert {g.memory for g in comparison.groups} == {
        "dam_replay",
        "random_replay",
        "naive",
        "cumulative",
    }
    text = printed(comparison)
    rows = [line for line in text.splitlines() if line.strip().startswith("8,000 ")]
    assert rows[0].strip() == "8,000 bytes", "the heading of a section"
    cells = re.split(" {2,}", rows[1].strip())
    assert cells[5:] == ["+2.3", "+2.1 to +2.4", "0.031", "0.094", "distilled"]
    assert "| 20,000 | dam_replay |" in to_markdown(comparison)
    values = json.loads(json.dumps(to_dict(comparison), allow_nan=False))
    assert values["contests"][2]["winner"] == "random_replay, capacity_bytes=20000"


def test_one_budget_is_no_curve():
    comparison = compare(over_bytes(2000))
    assert comparison.contests == () and "accuracy_over_bytes" not in comparison_figures(comparison)


def test_bytes_of_two_capacities_that_agree_are_one_budget():
    reports = [make("random_replay", s, 0.7, num_bytes=78400) for s in range(3)]
    more = {"num_bytes": 77000, "memory__capacity_bytes": 77100}
    reports += [make("dam_replay", s, 0.8, **more) for s in range(3)]
    comparison = compare(reports)
    assert comparison.contests == () and comparison.warnings == ()
    assert {g.budget for g in comparison.groups} == {78400}


def test_unequal_memories_within_a_budget_stay_loud():
    reports = over_bytes(2000, 8000)
    reports.append(make("herding_replay", 0, 0.6, num_bytes=1500, memory__capacity_bytes=2000))
    (warning,) = compare(reports).warnings
    assert "1,500: [herding_replay" in warning and "8,000" not in warning


def test_curves_of_two_learners_are_apart():
    small = {"learner__network": {"name": "mlp", "width": 100}}
    comparison = compare(over_bytes(2000, 8000) + over_bytes(2000, 8000, gain=0.2, **small))
    assert [c.condition for c in comparison.contests] == ["width=100"] * 2 + ["width=default"] * 2
    figure = comparison_figures(comparison)["accuracy_over_bytes"]
    assert [axes.get_title("left") for axes in figure.axes] == ["width=100", "width=default"]
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        lines = {line.get_label(): line for line in axes.lines}
        assert list(lines["dam_replay"].get_xdata()) == [2000, 8000]
        assert [text.get_text()[:10] for text in axes.texts] == ["cumulative", "naive 20.0"]
    assert printed(comparison, width=80)


def test_a_bound_that_is_far_off_does_not_press_the_lines_together():
    curves = {"kip_replay": {2000: [0.89, 0.9], 8000: [0.92, 0.91]}}
    bounds = {"naive": [0.2], "other": [0.3], "cumulative": [0.96]}
    (axes,) = accuracy_over_bytes_figure({"": Panel(curves, bounds)}).axes
    assert [text.get_text() for text in axes.texts] == [
        "naive 20.0, below",
        "other 30.0, below",
        "cumulative 96.0",
    ]
    low, high = axes.get_ylim()
    assert low > 75 and high > 96
    heights = [text.xyann[1] for text in axes.texts[:2]]
    assert heights[1] > heights[0], "one above the other"


def test_a_codec_of_its_own_at_each_budget_is_one_curve():
    reports = over_bytes(2000, memory__codec="levels:side=14,levels=2")
    reports += [r for r in over_bytes(8000, memory__codec=TILES) if r.memory]
    assert {g.memory for g in compare(reports).groups if g.budget} == {
        "dam_replay",
        "random_replay",
    }
    # Two codecs at one budget are two curves.
    reports += [r for r in over_bytes(8000, memory__codec="png") if r.memory]
    found = {g.memory for g in compare(reports).groups if g.budget}
    assert len(found) == 6 and all("codec=" in name for name in found)


def test_distilled_and_real_memories_are_known_apart():
    assert is_real("random_replay") and is_real("reservoir_gdumb") and is_real("herding_replay")
    assert is_real("kip_replay") is False and is_real("pad_gdumb") is False
    assert is_real("naive") is None and is_real("of_a_plugin_that_is_gone") is None


def test_labels_show_what_differs_and_nothing_twice():
    reports = [
        make("dam_replay", learner__network={"name": "mlp", "width": 400}),
        make("dam_replay", learner__network={"name": "convnet", "width": 128}),
        make("random_replay", learner__network={"name": "mlp", "width": 400}),
        make("naive", learner__network={"name": "mlp", "width": 400}, num_bytes=None),
    ]
    assert sorted(labels(compare(reports))) == [
        "dam_replay, network=convnet",
        "dam_replay, network=mlp",
        "naive, network=mlp",
        "random_replay, network=mlp",
    ]


def test_settings_of_a_method_label_only_the_strategy_they_tell_apart():
    reports = [
        make("dam_replay", distillation__settings__num_networks=80),
        make("dam_replay", distillation__settings__num_networks=200),
        make("dm_replay", distillation__settings__num_networks=80),
        make("random_replay", seed=0, distillation__initialisation="real"),
        make("random_replay", seed=1, distillation__initialisation="noise"),
    ]
    comparison = compare(reports)
    assert sorted(labels(comparison)) == [
        "dam_replay, num_networks=200",
        "dam_replay, num_networks=80",
        "dm_replay",
        "random_replay",
    ], "a strategy that distils nothing is one group whatever the settings of distillation"
    name = "distillation.settings.num_networks"
    (note,) = [n for n in comparison.notes if n.startswith(f"{name} differs")]
    assert "200: [dam_replay, num_networks=200]" in note
    assert "random_replay" not in note


def test_names_that_collide_are_written_in_full():
    reports = [
        make("dam_replay", learner__batch_size=32, set_training__batch_size=64),
        make("dam_replay", learner__batch_size=64, set_training__batch_size=64),
        make("dam_replay", learner__batch_size=64, set_training__batch_size=256),
    ]
    found = labels(compare(reports))
    assert "dam_replay, learner.batch_size=64, set_training.batch_size=256" in found


def test_unequal_bytes_of_one_capacity_are_loud():
    warning = (
        "bytes of memory after the last experience differ: 31,360: [dam_replay]; "
        "7,840: [random_replay]"
    )
    comparison = compare([make("random_replay", 0, 0.7), make("dam_replay", num_bytes=31360)])
    assert comparison.warnings == (warning,)
    assert printed(comparison).startswith(f"NOT COMPARABLE: {warning}\n")
    assert to_markdown(comparison).startswith(f"**NOT COMPARABLE: {warning}**\n")


def test_memories_of_the_same_given_bytes_may_fill_them_within_a_tenth():
    def given(strategy: str, num_bytes: int):
        return make(strategy, num_bytes=num_bytes, memory__capacity_bytes=10_000)

    assert compare([given("random_replay", 9_900), given("dam_replay", 9_100)]).warnings == ()
    for size in (8_900, 12_000):  # much is left unused; more is taken than was given
        (warning,) = compare([given("random_replay", 9_900), given("dam_replay", size)]).warnings
        assert f"{size:,}: [dam_replay]" in warning


def test_few_seeds_and_tests_without_power_are_told():
    reports = [r for r in six_seeds() if r.config["seed"] < 2]
    notes = compare(reports).notes
    assert "only 2 seeds, fewer than 3: [dam_replay] [random_replay]" in notes
    assert "with 2 common seeds p cannot fall below 0.5: [dam_replay]" in notes
    single = compare([make()])
    assert "only 1 seed, fewer than 3: [dam_replay]" in single.notes
    assert single.groups[0].average_accuracy.std is None
    five = compare([r for r in six_seeds() if r.config["seed"] < 5]).notes
    assert five == ("with 5 common seeds p cannot fall below 0.0625: [dam_replay]",)


def test_surroundings_and_the_runs_own_notes_are_passed_on():
    one, other = make("dam_replay"), make("random_replay")
    one = dataclasses.replace(
        one,
        environment={**one.environment, "versions": {"torch": "2.12.0"}},
        measured={"from_cache": 1},
        notes=["a subset was used."],
    )
    comparison = compare([one, other])
    assert "runs differ in their torch version: 2.12.0, 2.13.0" in comparison.notes or (
        "runs differ in their torch version: 2.13.0, 2.12.0" in comparison.notes
    )
    assert "a subset was used: [dam_replay]" in comparison.notes
    assert any(n.startswith("sets read from the cache") for n in comparison.notes)
    assert group(comparison, "dam_replay").seconds is None


def test_more_than_twenty_pairs():
    reports = [make("random_replay", s, 0.7) for s in range(21)]
    reports += [make("dam_replay", s, 0.8) for s in range(21)]
    versus = group(compare(reports), "dam_replay").versus
    assert versus.p == 1 / 10_000
    assert versus.effect_size is None, "equal differences have no spread"


def test_a_stream_of_one_experience_has_no_forgetting():
    single = dataclasses.replace(make(), accuracy_matrix=[[0.5]], class_groups=[[0]])
    comparison = compare([single])
    assert comparison.groups[0].forgetting is None
    assert json.loads(json.dumps(to_dict(comparison), allow_nan=False))


def test_table_and_markdown_show_the_same_cells():
    comparison = compare(six_seeds())
    cells = [
        *("dam_replay", "6", "83.5 ± 2.6", "80.8 to 86.2", "26.5 ± 2.6", "96.7 ± 1.3", "7,840"),
        *("1.0", "6", "+11.0", "+9.5 to +12.5", "0.031", "0.031", "7.8"),
    ]
    row = next(line for line in to_markdown(comparison).splitlines() if "| dam_replay" in line)
    assert row == "| " + " | ".join(cells) + " |"
    (line,) = [
        re.split(" {2,}", line.strip())
        for line in printed(comparison).splitlines()
        if line.strip().startswith("dam_replay")
    ]
    assert line == cells
    assert "Differences to random_replay, in points." in printed(comparison)


def test_tiny_p_values_are_not_printed_as_zero():
    reports = [make("random_replay", s, 0.7) for s in range(12)]
    reports += [make("dam_replay", s, 0.8) for s in range(12)]
    assert "< 0.001" in printed(compare(reports))


def test_without_tests_there_is_no_table_of_tests():
    comparison = compare([make()])
    assert "difference" not in printed(comparison)
    assert "difference" not in to_markdown(comparison)


@pytest.mark.parametrize(("num_bytes", "warned"), [(1925, False), (1962, False), (1963, True)])
def test_streams_that_fill_one_capacity_are_equal_memories(num_bytes: int, warned: bool):
    reports = [make("random_replay", 0, num_bytes=1905), make("kip_replay", 0, num_bytes=num_bytes)]
    assert bool(compare(reports).warnings) == warned


def test_a_narrow_terminal_loses_no_label():
    comparison = compare(six_seeds(memory__codec=TILES) + six_seeds())
    text = printed(comparison, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("dam_replay") >= 2


def test_square_brackets_in_labels_are_not_taken_for_markup():
    text = printed(compare([make()]))
    assert "[dam_replay]" in text


def test_numbers_that_a_report_lacks_cost_nothing(tmp_path):
    report = make("dam_replay")
    metrics = dict.fromkeys([*report.metrics, "majority_share", "auc"], math.nan)
    losses = [{"losses": [1.0, math.nan, math.inf], "scalars": {}, "flops": 1.0}]
    lacking = dataclasses.replace(report, metrics=metrics, distillation=losses)
    save(lacking, tmp_path / "run")
    loaded = RunReport.load(tmp_path / "run")
    assert loaded.metrics["auc"] is None and loaded.distillation[0]["losses"] == [1.0, None, None]
    comparison = compare(load_runs([tmp_path]))
    assert comparison.groups[0].average_accuracy.mean == pytest.approx(0.8)
    assert printed(comparison) and to_markdown(comparison) and comparison_figures(comparison)
    print_reports([loaded, loaded])


def test_dictionary_is_json_and_holds_no_reports():
    values = to_dict(compare(six_seeds()))
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text)["groups"][0]["versus"]["p"] == 2 / 64
    assert "accuracy_matrix" not in text
    expected = ["groups", "contests", "metric", "warnings", "notes", "sections", "costs"]
    assert list(values) == expected


def test_figures_of_a_comparison():
    figures = comparison_figures(compare(six_seeds()))
    assert list(figures) == ["forgetting_curves", "average_accuracy", "accuracy_over_compute"]
    left, _ = figures["forgetting_curves"].axes
    assert [line.get_label() for line in left.lines] == ["dam_replay", "random_replay"]
    assert all(figure_to_array(figure).std() > 1 for figure in figures.values())


def save(report: RunReport, folder) -> None:
    report.save(folder / "report.json")


def test_reports_are_found_at_any_depth_and_once(tmp_path):
    save(make("dam_replay", 0), tmp_path / "a")
    save(make("dam_replay", 1), tmp_path / "b" / "c")
    runs = load_runs([tmp_path, tmp_path / "a", tmp_path / "a" / "report.json"])
    assert len(runs) == 2
    assert [report.config["seed"] for report in runs] == [0, 1]
    assert compare(runs).groups[0].seeds == (0, 1)


def test_unfinished_runs_are_left_out_and_told(tmp_path):
    save(make(), tmp_path / "done")
    (tmp_path / "died").mkdir()
    (tmp_path / "died" / "status.json").write_text('{"status": "failed"}')
    comparison = compare(load_runs([tmp_path]))
    (note,) = [note for note in comparison.notes if "without a report" in note]
    assert note.startswith("1 without a report")
    assert str(tmp_path / "died") in note
    with pytest.raises(InputError, match=r"found none \(1 unfinished: .*died failed\)"):
        load_runs([tmp_path / "died"])


def test_duplicates_are_refused_naming_both(tmp_path):
    save(make(accuracy=0.8), tmp_path / "first")
    save(make(accuracy=0.9), tmp_path / "second")
    with pytest.raises(InputError, match="seed 0") as error:
        compare(load_runs([tmp_path]))
    for name in ("first", "second"):
        assert str(tmp_path / name / "report.json") in str(error.value)


def test_bad_paths_and_reports_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_runs([tmp_path / "missing"])
    with pytest.raises(InputError, match="found none"):
        load_runs([tmp_path])
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(InputError, match="expected a clbench report"):
        load_runs([tmp_path])
    with pytest.raises(InputError, match="at least one report"):
        compare([])
    nameless = dataclasses.replace(make(), config={"seed": 0})
    with pytest.raises(InputError, match="report 1: expected a configuration with strategy"):
        compare([nameless])


def test_runs_of_before_trajectory_matching_stand_with_later_ones():
    """Their settings stood side by side, without those of methods to come."""
    reports = six_seeds()
    for report in reports[::2]:
        older = report.config["distillation"]
        older |= {"distiller": "datadam", **make().config["distillation"]["settings"]}
        del older["settings"], older["difficulty"]
    comparison = compare(reports)
    assert labels(comparison) == ["dam_replay", "random_replay"]
    assert group(comparison, "dam_replay").seeds == (0, 1, 2, 3, 4, 5)
    other = make(seed=7, distillation__num_networks=3)
    assert other.config["distillation"]["settings"]["num_networks"] == 3
    del reports[0].config["distillation"]
    assert len(labels(compare([*reports, other]))) == 3


def test_runs_of_before_image_sets_stand_with_later_ones():
    reports = six_seeds()
    for report in reports[::2]:
        for name in ("image_size", "normalisation", "balance", "domain_order"):
            del report.config["benchmark"][name]
    assert labels(compare(reports)) == ["dam_replay", "random_replay"]
    other = make(seed=7, benchmark__balance="undersample")
    with pytest.raises(InputError, match="benchmark.balance differs: none: .*undersample: "):
        compare([*reports, other])
    assert len(labels(compare([*reports, other], group_by=["protocol"]))) == 3


def test_the_larger_of_two_classes_is_told_once():
    assert not [note for note in compare(six_seeds()).notes if "larger class" in note]
    reports = [
        dataclasses.replace(r, metrics={**r.metrics, "majority_share": 617 / 977})
        for r in six_seeds()
    ]
    (note,) = [note for note in compare(reports).notes if "larger class" in note]
    assert note == (
        "share of the larger class among all test images: 63.2 %: [dam_replay] [random_replay]"
    )
