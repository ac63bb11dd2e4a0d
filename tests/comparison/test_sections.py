"""What may stand in one table: refusals, sections, and tests that stay within them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

from clbench.cli.group import cli
from clbench.comparison import compare, to_dict
from clbench.errors import InputError
from tests.comparison.test_comparison import TILES, group, make, over_bytes, save, six_seeds

SMALL = {"learner__network": {"name": "mlp", "width": 100}}


def headings(comparison) -> list[str]:
    return [section.heading for section in comparison.sections]


def row_names(comparison) -> list[list[str]]:
    return [section.names() for section in comparison.sections]


def has(report, size: int) -> bool:
    return report.memory[-1]["num_bytes"] == size


def of_other_data() -> list:
    return [dataclasses.replace(r, data={"fingerprint": "ffffffffff"}) for r in six_seeds()[:6]]


def of_another_order() -> list:
    return [dataclasses.replace(r, class_groups=[[0, 2], [1, 3]]) for r in six_seeds()[:6]]


def of_fewer_test_images() -> list:
    return [dataclasses.replace(r, num_test=[10, 9]) for r in six_seeds()[:6]]


def of_another_split() -> list:
    return [make("random_replay", seed, benchmark__num_experiences=2) for seed in range(6)]


@pytest.mark.parametrize(
    ("others", "fault"),
    [
        (of_other_data, r"data.fingerprint differs: .*ab12cd34ef: \[dam_replay, fingerprint="),
        (of_another_order, r"stream differs under seed 0: .*classes 0 2 \| 1 3 .*: \[random_"),
        (of_fewer_test_images, r"stream differs under seed 0: .*with 10, 9 test images: \[random_"),
        (of_another_split, r"benchmark.num_experiences differs: .*2: \[random_replay, "),
    ],
)
def test_other_protocols_of_one_benchmark_are_refused_or_kept_apart(others, fault):
    reports = [*six_seeds()[6:], *others()]
    with pytest.raises(InputError, match=fault) as error:
        compare(reports)
    assert "\n" not in str(error.value) and "--group-by auto,protocol" in str(error.value)
    apart = compare(reports, group_by=["auto", "protocol"])
    assert len(apart.sections) == 2 and all(apart_heading for apart_heading in headings(apart))
    assert all(g.versus is None for g in apart.groups), "no test across protocols"
    assert [len(section.groups) for section in apart.sections] == [1, 1]


def test_orders_that_differ_between_seeds_are_no_fault():
    """A stream whose classes are shuffled has another order under each seed."""
    shuffled = [
        dataclasses.replace(r, class_groups=[[r.config["seed"], 9], [7, 8]]) for r in six_seeds()
    ]
    assert len(compare(shuffled).sections) == 1


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clbench.figures.save_figures", lambda *_: [])
    save(make("dam_replay"), tmp_path / "a")
    save(dataclasses.replace(make("random_replay"), num_test=[10, 9]), tmp_path / "b")
    refused = CliRunner().invoke(cli, ["compare", "a", "b"])
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1
    assert "under seed 0" in refused.stderr and "Traceback" not in refused.output
    assert not (tmp_path / "comparisons").exists()
    apart = CliRunner().invoke(cli, ["compare", "a", "b", "--group-by", "auto,protocol"])
    assert apart.exit_code == 0 and apart.stdout.count("class_order=") >= 2
    wrong = CliRunner().invoke(cli, ["compare", "a", "--group-by", "seed"])
    assert wrong.exit_code == 2 and "--group-by: expected one or more of auto" in wrong.stderr


def test_benchmarks_and_learners_always_divide():
    kmnist = six_seeds(benchmark__name="split_kmnist")
    comparison = compare([*six_seeds(), *kmnist, *six_seeds(**SMALL)], group_by=["bytes"])
    assert headings(comparison) == [
        "benchmark=split_kmnist, width=default",
        "benchmark=split_mnist5k, width=100",
        "benchmark=split_mnist5k, width=default",
    ]
    assert row_names(comparison) == [["dam_replay", "random_replay"]] * 3
    for section in comparison.sections:
        assert section.groups[0].versus.baseline == section.groups[1].label
        assert section.groups[0].versus.p_holm == 2 / 64, "corrected within the section"


def test_bytes_divide_and_bounds_stand_in_every_section():
    comparison = compare(over_bytes(2000, 8000))
    assert headings(comparison) == ["2,000 bytes", "8,000 bytes"]
    rows = ["dam_replay", "random_replay", "cumulative", "naive"]
    assert row_names(comparison) == [rows, rows]
    assert len(comparison.groups) == 6, "each group once"
    together = compare(over_bytes(2000, 8000), group_by=["learner"])
    assert headings(together) == [""] and len(together.sections[0].groups) == 6
    assert "dam_replay, capacity_bytes=2000" in together.sections[0].names()


def test_a_section_is_what_its_runs_alone_would_be():
    both = compare(over_bytes(2000, 8000))
    for section, size in zip(both.sections, (2000, 8000), strict=True):
        runs = [r for r in over_bytes(2000, 8000) if not r.memory or has(r, size)]
        (alone,) = compare(runs).sections
        assert alone.names() == section.names()
        for one, other in zip(alone.groups, section.groups, strict=True):
            assert one.score == other.score
            assert (one.versus is None) == (other.versus is None)
            if one.versus:
                assert dataclasses.replace(one.versus, baseline="") == dataclasses.replace(
                    other.versus, baseline=""
                )


def test_codecs_divide_where_each_has_several_strategies():
    reports = six_seeds() + six_seeds(memory__codec=TILES)
    assert headings(compare(reports)) == ["codec=raw", "codec=tiles:factor=2"]
    assert headings(compare(reports, group_by=["bytes"])) == [""]
    own = [r for r in reports if (r.config["strategy"] == "dam_replay") == ("tiles" in str(r))]
    comparison = compare(own)
    assert headings(comparison) == [""], "each memory has the codec that suits it"
    assert group(comparison, "dam_replay, codec=tiles:factor=2").versus is not None
    assert len(compare(own, group_by=["codec"]).sections) == 2


def test_sections_are_in_the_dictionary():
    values = json.loads(json.dumps(to_dict(compare(over_bytes(2000, 8000))), allow_nan=False))
    first = values["sections"][0]
    assert first["heading"] == "2,000 bytes"
    assert first["rows"][0]["name"] == "dam_replay"
    assert first["rows"][0]["versus"]["p_holm"] == 2 / 64
