"""Tables in terminals of any width, and as CSV, Markdown and LaTeX, whatever rows are called."""

from __future__ import annotations

import csv
import io
import re

import pytest
from click.testing import CliRunner

from clbench.cli.group import cli
from clbench.comparison import compare, to_csv, to_latex, to_markdown, to_runs_csv
from clbench.comparison.documents import in_latex
from tests.comparison.test_comparison import TILES, make, over_bytes, printed, save, six_seeds

LONG = "levels:side=14,levels=2"
HOSTILE = "a_b&50%$#{x}^~\\|<b>[link](http://x)"


def several(**settings) -> list:
    """Rows whose settings differ: codecs, a method's, within one section."""
    reports = [make("random_replay", s, 0.7 + 0.01 * s, memory__codec=LONG) for s in range(6)]
    for codec in (TILES, LONG):
        for steps in (80, 200):
            more = {"memory__codec": codec, "distillation__settings__num_networks": steps}
            reports += [make("dam_replay", s, 0.8 + 0.01 * s, **more) for s in range(6)]
    return reports


def lines_of(text: str, start: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(start)]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_row_loses_its_name_at_any_width(width):
    """Every table names each of its rows, no two alike, and no line is wider than the terminal."""
    comparison = compare(several(), group_by=["bytes"])
    text = printed(comparison, width)
    assert max(map(len, text.splitlines())) <= width
    rows = lines_of(text, "dam_replay")
    tables = text.count("accuracy %") + (text.count("difference  ") > 0 and width < 200)
    assert len(rows) >= 4
    for first in range(0, 4 * tables, 4):
        assert len(set(rows[first : first + 4])) == 4
    assert lines_of(text, "random_replay")
    for value in (TILES, LONG, "200", "80"):
        assert re.search(rf"(^|[ =]){re.escape(value)}(,|\s|$)", text, re.M), "no setting is broken"


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_the_command_shows_every_row_in_a_narrow_terminal(columns, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    # A pipe is wide; only a terminal is as narrow as it says.
    monkeypatch.setattr("clbench.cli.display.PLAIN_WIDTH", int(columns))
    monkeypatch.setattr("clbench.figures.save_figures", lambda *_: [])
    for report in six_seeds():
        save(report, tmp_path / "runs" / f"{report.config['strategy']}{report.config['seed']}")
    shown = CliRunner().invoke(cli, ["compare", "runs"]).stdout
    table = shown.split("written:")[0]
    assert max(map(len, table.splitlines())) <= int(columns)
    assert lines_of(table, "dam_replay")[0].split()[1:3] == ["6", "83.5"]
    assert lines_of(table, "random_replay")


def test_what_does_not_fit_is_left_out_by_importance_and_named():
    comparison = compare(six_seeds())
    wide, narrow, narrowest = (printed(comparison, width) for width in (200, 60, 40))
    assert "Left out" not in wide and "FLOPs" not in wide.splitlines()[1], "no report counts them"
    assert len(lines_of(wide, "random_replay")) == 1, "one table"
    (told,) = lines_of(narrow, "Left out for want of width")
    assert "seconds" in told and "forgetting %" in told
    for heading in ("accuracy %", "95 % interval", "difference", "Holm", " p "):
        assert heading in narrow
    assert "83.5 ± 2.6" in narrowest and "+11.0" in narrowest
    assert "95 % interval" not in narrowest.split("Left out")[0].splitlines()[1]


def test_settings_have_columns_where_there_is_room_then_names_then_a_list():
    comparison = compare(several(), group_by=["bytes"])
    wide, narrow = (printed(comparison, width) for width in (200, 60))
    assert re.search(r"strategy +codec +num_networks +n ", wide)
    assert lines_of(narrow, "dam_replay (1)")
    assert any(f"dam_replay, codec={TILES}" in line for line in lines_of(narrow, "("))
    own = [make("dam_replay", distillation__settings__num_networks=n) for n in (80, 200)]
    own += [make("dm_replay", distillation__settings__batch_real=n) for n in (8, 16)]
    for width, shown in ((120, "dam_replay  80 "), (90, "dam_replay, num_networks=80  ")):
        text = printed(compare(own), width)
        assert lines_of(text, shown), "settings that few rows have are shorter in their names"


def test_a_name_longer_than_the_terminal_is_folded_not_cut():
    name = "strategy_of_a_plugin_" + "x" * 60
    reports = [make("random_replay", s) for s in range(2)]
    for report in reports:
        report.config["strategy"] = name
    text = printed(compare(reports), 40)
    assert max(map(len, text.splitlines())) <= 40 and "80.0" in text
    folded = "".join(re.findall(r"^ ([a-z_x]+)", text, re.M))
    assert name in folded


def test_the_table_over_budgets_fits_too():
    comparison = compare(over_bytes(2000, 8000, 20000))
    for width in (40, 60, 80):
        text = printed(comparison, width)
        assert max(map(len, text.splitlines())) <= width
        assert [line.split()[-1] for line in lines_of(text, "20,000 ") if "real" in line] == [
            "real"
        ]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_for_each_row_and_for_each_run():
    comparison = compare(over_bytes(2000, 8000))
    rows = read(to_csv(comparison))
    assert [(row["section"], row["row"]) for row in rows[:2]] == [
        ("2,000 bytes", "dam_replay"),
        ("2,000 bytes", "random_replay"),
    ]
    assert len(rows) == 8, "bounds in both sections"
    dam = comparison.sections[0].groups[0]
    assert float(rows[0]["score_mean"]) == dam.score.mean
    assert float(rows[0]["difference_mean"]) == dam.versus.difference.mean
    assert float(rows[0]["p"]) == 2 / 64 and rows[0]["seeds"] == "0 1 2 3 4 5"
    assert rows[1]["p"] == "", "a baseline is not tested"
    runs = read(to_runs_csv(comparison))
    assert len(runs) == 36
    assert runs[0]["label"] == "dam_replay, capacity_bytes=2000" and runs[0]["seed"] == "0"
    assert float(runs[0]["average_accuracy"]) == dam.score.values[0]
    assert float(runs[0]["compute_seconds"]) == 1.0 and runs[0]["memory_bytes"] == "2000.0"


def hostile():
    """A strategy of somebody else's, with every sign that means something to some format."""
    reports = six_seeds()
    for report in reports[6:]:
        report.config["strategy"] = HOSTILE
    for report in reports[:6]:
        report.config["strategy"] = "=cmd|'/c calc'!A1\nrow"
    return compare(reports)


def test_no_cell_of_csv_is_a_formula():
    rows = read(to_csv(hostile()))
    assert len(rows) == 2
    assert {row["strategy"] for row in rows} == {HOSTILE, "'=cmd|'/c calc'!A1 row"}
    numbers = [row["difference_low"] for row in read(to_csv(compare(six_seeds()[::-1])))]
    assert all(not number.startswith("'") for number in numbers)


def test_latex_is_booktabs_and_escapes_everything():
    text = to_latex(hostile())
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[5] == r"\begin{tabular}{lrrrr}"
    assert [body[0], body[3], body[-1]] == [
        r"\begin{table}",
        r"\label{tab:clbench-1}",
        r"\end{table}",
    ]
    captions = [line for line in body if line.startswith(r"\caption")]
    assert len(captions) == 1 and captions[0].endswith("}")
    assert [line for line in body if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]
    rows = [line for line in body if line.endswith(r"\\")]
    assert len(rows) == 3
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 4, "as many cells as columns"
    escaped = re.sub(r"\\[a-z]+\d*\{\}|\\[{}$&#_%]|\{[][*'-]\}|\$(\\pm|-)\$|\\\\$", "", rows[1])
    escaped += re.sub(r"\\[a-z]+\d*\{\}|\\[{}$&#_%]|\{[][*'-]\}|\$(\\pm|-)\$|\\\\$", "", rows[2])
    assert not set(escaped.replace(" & ", "")) & set('\\{}$#_%^~<>|"[]'), escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("83.5 ± 2.6", r"83.5 $\pm$ 2.6"),
        ("-1.5 to +0.5", r"$-$1.5 to +0.5"),
        ("< 0.001", r"\textless{} 0.001"),
        ("-", "{-}"),
        ("1.1e12", "1.1e12"),
        ("50%_a\\b", r"50\%\_a\textbackslash{}b"),
        ("中\nb", "U+4E2D b"),
        ("[x] a--b", "{[}x{]} a{-}{-}b"),
    ],
)
def test_latex_of_a_cell(text, shown):
    assert in_latex(text) == shown


def test_markdown_has_a_heading_for_each_section():
    text = to_markdown(compare(over_bytes(2000, 8000)))
    assert re.findall(r"^### .*$", text, re.M) == ["### 2,000 bytes", "### 8,000 bytes"]
    assert text.count("| strategy |") == 2
    assert "<b>" not in to_markdown(hostile()) and "](http" not in to_markdown(hostile())


def test_the_command_writes_and_prints_every_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for report in six_seeds():
        save(report, tmp_path / "runs" / f"{report.config['strategy']}{report.config['seed']}")
    arguments = ["compare", "runs", "-o", "all", "--figures", "svg,pdf"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    names = {path.name for path in (tmp_path / "all").iterdir()}
    assert {"comparison.md", "comparison.json", "comparison.csv", "comparison.tex"} < names
    assert {"runs.csv", "forgetting_curves.svg", "average_accuracy.pdf"} < names
    assert not any(name.endswith(".png") for name in names)
    monkeypatch.setattr("clbench.figures.save_figures", lambda *_: [])
    for kind, file in {
        "csv": "comparison.csv",
        "runs-csv": "runs.csv",
        "latex": "comparison.tex",
        "markdown": "comparison.md",
        "json": "comparison.json",
    }.items():
        done = CliRunner().invoke(cli, ["compare", "runs", "--format", kind])
        assert done.stdout == (tmp_path / "all" / file).read_text(), kind
    for wrong in (["--figures", "gif"], ["--format", "csv", "--json"], ["--json", "--markdown"]):
        refused = CliRunner().invoke(cli, ["compare", "runs", *wrong])
        assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1, wrong
