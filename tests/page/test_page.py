"""The page of a comparison: what it says, that it needs nothing, and that nothing in it runs."""

import base64
import dataclasses
import functools
import hashlib
import io
import re
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from clbench.cli.group import cli
from clbench.codecs import parse
from clbench.coded import CodedImages
from clbench.comparison import Comparison, Group, Runs, Summary, compare, load_runs
from clbench.page import build_page
from clbench.page.answers import answers
from clbench.page.charts import Line, Look, experience_chart
from clbench.report import RunReport
from clbench.store.plain import readable
from clbench.types import LabelledImages
from tests.comparison.test_comparison import make, six_seeds

HOSTILE = (
    "javascript:alert(1)<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)></script><script>alert(1)</script>',
    "</style></svg></pre>{{ 7 * 7 }}{% raw %}a\x1b[31m\u202eb\ud800",
)


class Elements(HTMLParser):
    """Every element with its attributes, and the text inside each kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("a", "b", "code", "small", "span", "wbr"):
            self.handle_data(" ")
        if tag not in ("meta", "link", "img", "wbr", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts.setdefault(tag, []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def text(self, tag: str = "body") -> str:
        return " ".join("".join(self.texts.get(tag, [])).split())

    def values(self, *names: str) -> Iterator[str]:
        for _, attributes in self.found:
            yield from (attributes[name] or "" for name in names if name in attributes)


def over_bytes(*sizes: int) -> list[RunReport]:
    made = []
    for size in sizes:
        for report in six_seeds(memory__capacity_bytes=size):
            report.memory[-1]["num_bytes"] = size - report.config["seed"]
            made.append(report)
    bounds = [make(name, s, a + 0.01 * s, num_bytes=None) for s in range(6)
              for name, a in (("naive", 0.2), ("cumulative", 0.9))]  # fmt: skip
    return made + bounds


@functools.cache
def two_budgets() -> Comparison:
    return compare(over_bytes(1960, 7840))


@functools.cache
def usual() -> tuple[str, Elements]:
    """The page of two budgets, which nothing changes."""
    return page_of(two_budgets())


def with_folders(reports: list[RunReport], root: Path) -> Runs:
    """The reports in run directories of their own."""
    for i, report in enumerate(reports):
        report.save(root / f"run-{i:03}" / "report.json")
    return load_runs([root])


def page_of(comparison: Comparison, runs: Runs | None = None) -> tuple[str, Elements]:
    page = build_page(comparison, runs)
    return page, Elements(page)


def test_answers_say_difference_interval_p_and_pairs() -> None:
    comparison = two_budgets()
    _, found = usual()
    text = found.text()
    assert "Does a memory of distilled images beat a memory of real ones, at equal bytes" in text
    assert "Distilled memory is ahead in 2 of 2 cases, real memory in 0" in text
    # Six pairs of seeds give p = 0.031, which two cases double.
    assert "After Holm's correction 0 of 2 hold." in text
    assert text.count("Perhaps: distilled is ahead") == 2
    first, second = comparison.contests
    for contest in (first, second):
        assert contest.versus is not None
        assert f"At {contest.num_bytes:,.0f} bytes the best distilled memory, dam_replay" in text
    # Gains of 0.10, 0.12, 0.11, 0.09, 0.13, 0.11: mean 0.11, t(0.975, 5) * s / sqrt(6) = 0.0148.
    assert "Difference +11.0 points, 95 % interval +9.5 to +12.5; p = 0.031 (0.062 after" in text
    assert text.count("6 pairs of seeds.") == 2
    assert "Without memory: " in text and "cumulative 92.5 ± 1.9 %" in text


def test_one_budget_is_answered_too_by_the_best_real_memory() -> None:
    """The comparison itself makes contests for several budgets only."""
    reports = six_seeds() + [make("herding_replay", s, 0.75 + 0.01 * s) for s in range(6)]
    comparison = compare(reports)
    assert comparison.contests == ()
    (answer,) = answers(comparison)
    assert answer.distilled.strategy == "dam_replay" and answer.real.strategy == "herding_replay"
    assert answer.versus.baseline == answer.real.label
    assert answer.versus.difference.mean == pytest.approx(0.06)
    assert answer.versus.p == 2 / 64 and answer.verdict == "yes"
    assert answer.holds, "one case is not corrected"
    assert "Yes: distilled is ahead" in page_of(comparison)[1].text()
    same = compare([r for r in reports if r.config["strategy"] != "random_replay"],
                   baseline="herding_replay")  # fmt: skip
    (tested,) = [g.versus for g in same.groups if g.versus]
    assert answer.versus.difference == tested.difference
    worse = compare(six_seeds()[6:] + [make("herding_replay", s, 0.9) for s in range(6)])
    assert answers(worse)[0].verdict == "no"


def test_tables_are_those_within_which_tests_are_corrected() -> None:
    comparison = compare(
        over_bytes(1960, 7840) + [make("herding_replay", s, 0.75) for s in range(6)]
    )
    _, found = page_of(comparison)
    tables = [a for a in found.all("div") if (a.get("aria-label") or "").startswith("Results")]
    assert len(tables) == len(comparison.sections) > 1
    headings = found.text("h4")
    for section in comparison.sections:
        assert section.heading.rpartition(", ")[2] in headings
        for group in section.groups:
            if group.versus is not None:
                assert f"{group.versus.p:.3f} {group.versus.p_holm:.3f}" in found.text("table")


def test_compute_and_whether_distilling_pays() -> None:
    comparison, reports = two_budgets(), over_bytes(1960, 7840)
    _, found = usual()
    assert len(comparison.costs) == 2
    for worth in comparison.costs:
        assert f"{worth.sentence}." in found.text("li")
    counted = [dataclasses.replace(r, flops={"train": 1e12, "distil": 2e12}) for r in reports]
    for made, unit in ((counted, "10¹² operations"), (reports, "seconds")):
        labels = [a["aria-label"] or "" for a in page_of(compare(made))[1].all("svg")]
        assert sum(f"over {unit} of training and distilling: dam" in label for label in labels) == 1
    page, _ = page_of(compare(counted))
    assert "<td>3</td><td>83.5 ± 2.6</td>" in page, "training and distilling, in 10^12"
    unknown = [dataclasses.replace(r, flops={}, measured={}) for r in reports]
    assert len(page_of(compare(unknown))[1].all("svg")) == 3


def test_what_cannot_be_tested_is_said() -> None:
    few = compare([make("dam_replay", s, 0.8) for s in range(2)]
                  + [make("random_replay", s, 0.7) for s in range(2)])  # fmt: skip
    assert "No difference shown" in page_of(few)[1].text()
    assert "2 pairs of seeds, with which p cannot fall below 0.5." in page_of(few)[1].text()
    alone = compare([make("dam_replay", 0, 0.8), make("random_replay", 1, 0.7)])
    assert "They have no seed in common." in page_of(alone)[1].text()
    real = compare([make("random_replay", 0, 0.7)])
    assert "only real memories were run; the best, random_replay" in page_of(real)[1].text()
    none = compare([make("naive", 0, 0.2, num_bytes=None)])
    assert "Nothing to answer: no row has a memory." in page_of(none)[1].text()


def test_warnings_and_notes_stand_before_the_numbers() -> None:
    unequal = [make("random_replay", seed, 0.7, num_bytes=31360) for seed in range(2)]
    comparison = compare(six_seeds()[6:8] + unequal)
    assert comparison.warnings and comparison.notes
    page, found = page_of(comparison)
    text = found.text()
    for line in (*comparison.warnings, *comparison.notes):
        assert " ".join(line.split()) in text
    assert page.index('class="warnings"') < page.index('id="results"')
    assert page.index('class="notes"') < page.index('id="results"')
    assert "open" in [a for a in found.all("details") if a.get("class") == "notes"][0]


def test_tables_curves_and_matrices_hold_the_numbers() -> None:
    comparison = two_budgets()
    _, found = usual()
    text = found.text()
    for group in comparison.groups:
        mean, std = 100 * group.score.mean, 100 * group.score.std
        assert f"{mean:.1f} ± {std:.1f}" in text
    assert "+11.0 (+9.5 to +12.5)" in text
    # After the first of two experiences everybody is at 100 %.
    assert "100.0 (100.0 to 100.0) 72.5 (70.5 to 74.5)" in text
    charts = found.all("svg")
    assert len(charts) == 4, "two budgets of curves, accuracy over bytes, accuracy over compute"
    assert all(c["role"] == "img" and "random_replay 72.5" in c["aria-label"] for c in charts)
    heat = [
        a["class"] for a in found.all("td") if re.fullmatch(r"h\d+|later", a.get("class") or "")
    ]
    assert len(heat) == 4 * len(comparison.groups)
    assert heat.count("later") == len(comparison.groups)


def test_every_number_leads_to_configuration_and_command() -> None:
    comparison = two_budgets()
    page, found = usual()
    ids = list(found.values("id"))
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in found.all("a")]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    commands = [c for c in re.findall(r'<pre class="command"><code>(.*?)</code>', page)]
    assert len(commands) == sum(len(group.reports) for group in comparison.groups)
    assert "clbench run --strategy dam_replay --seed 3 --memory-bytes 1960" in commands
    for group in comparison.groups:
        for seed in group.seeds:
            assert f"row-{comparison.groups.index(group) + 1}-seed-{seed}" in ids
    assert page.count("num_experiences&#34;") == len(comparison.groups), "once for each row"


def test_a_configuration_that_no_options_make_is_a_file() -> None:
    report = make("dam_replay", 3)
    report.config["distillation"]["network"]["width"] = None
    page, found = page_of(compare([report]))
    assert "No options of clbench run make this configuration" in found.text()
    assert "clbench run --config config.json --seed 3" in page


def test_nothing_is_asked_of_anybody() -> None:
    page, found = usual()
    outside = [v for v in found.values("src", "href", "srcset", "action", "data", "poster")
               if not v.startswith(("#", "data:"))]  # fmt: skip
    assert outside == []
    style = "".join(found.texts["style"])
    assert "@import" not in style and "http" not in style and "url(" not in style
    inline = " ".join(found.values("style", "clip-path", "fill"))
    assert re.findall(r"url\((?!#)", inline) == []
    (policy,) = [a["content"] for a in found.all("meta") if "http-equiv" in a]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert "fetch" not in script and "XMLHttpRequest" not in script
    assert not [name for _, attributes in found.found for name in attributes if name[:2] == "on"]


def hostile_reports(name: str) -> list[RunReport]:
    reports = six_seeds()
    for report in reports:
        report.config["benchmark"]["name"] = name
        report.config["memory"]["codec"] = name
        report.config[name] = name
        report.environment.update(device=name, processor=name, versions={"torch": name})
        report.notes.append(name)
        report.class_groups[0][0] = 0
    return reports


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_text(name: str) -> None:
    reports = hostile_reports(name)
    comparison = compare(reports)
    evil = [
        dataclasses.replace(g, memory=f"{name}{i}", condition=name, label=f"{name} {g.label}")
        for i, g in enumerate(comparison.groups)
    ]
    comparison = dataclasses.replace(
        comparison, groups=tuple(dataclasses.replace(g, versus=None) for g in evil),
        warnings=(name,), notes=(*comparison.notes, name),
    )  # fmt: skip
    paths = tuple(Path(f"/runs/{name.replace('/', '-')}/{i}/report.json") for i in range(12))
    page, found = page_of(comparison, Runs(paths, tuple(reports)))
    page.encode()
    plain = usual()[1]
    assert len(found.all("script")) == 1 and len(found.all("style")) == len(plain.all("style"))
    assert found.texts["script"] == plain.texts["script"]
    kinds = {tag for tag, _ in found.found}
    assert "onerror" not in {n for _, attributes in found.found for n in attributes}
    assert kinds <= {tag for tag, _ in plain.found} | {"div"}
    assert all(v.startswith(("#", "data:")) for v in found.values("href", "src"))
    assert (
        "\x1b" not in page
        and "\u202e" not in page
        and "{{ 7 * 7 }}" * (name.count("7 * 7")) in page
    )
    assert " ".join(readable(name).split())[:8] in found.text()


def test_the_same_comparison_gives_the_same_bytes() -> None:
    one = usual()[0]
    assert one == build_page(compare(over_bytes(1960, 7840)))
    assert not re.search(r"20\d\d-\d\d-\d\d", one)


def memory_file(folder: Path, codec: str, shape: tuple[int, int, int] = (1, 8, 8)) -> CodedImages:
    """A memory of five images of each of four classes, which are dark to bright."""
    labels = torch.arange(4).repeat_interleave(5)
    images = (labels * 60 + 20).to(torch.uint8)[:, None, None, None].expand(-1, *shape).clone()
    images[::5, :, 0, 0] = 255
    coded = CodedImages.of(LabelledImages(images, labels), parse(codec), shape)
    coded.save(folder / "memory" / "exp_1.safetensors")
    return coded


@pytest.mark.parametrize(
    ("codec", "shape"),
    [("raw", (1, 8, 8)), ("raw", (3, 6, 9)), ("levels:side=4,levels=3", (1, 8, 8))],
)
def test_memories_are_shown_as_they_are_read_back(
    codec: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    runs = with_folders([make("random_replay", 0), make("dam_replay", 0)], tmp_path)
    held = memory_file(tmp_path / "run-000", codec, shape).images.quantised()
    page, found = page_of(compare(runs), runs)
    (image,) = found.all("img")
    assert (
        image["loading"] == "lazy" and "random_replay, seed 0: the first 4 images" in image["alt"]
    )
    assert "classes 0, 1, 2, 3" in image["alt"]
    content = base64.b64decode(image["src"].removeprefix("data:image/webp;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    c, h, w = shape
    assert pixels.shape[:2] == (4 * (h + 2) - 2, 4 * (w + 2) - 2)
    assert (image["width"], image["height"]) == (str(pixels.shape[1]), str(pixels.shape[0]))
    for label in range(4):
        for i in range(4):
            shown = pixels[i * (h + 2) :, label * (w + 2) :][:h, :w]
            stored = held.of_class(label).images[i].numpy().transpose(1, 2, 0)
            assert np.array_equal(shown, np.broadcast_to(stored, (h, w, 3)))
    assert "No picture: its memory file is missing" in found.text()


def test_a_memory_that_is_none_costs_a_sentence(tmp_path: Path) -> None:
    runs = with_folders([make("random_replay", 0)], tmp_path)
    file = tmp_path / "run-000" / "memory" / "exp_1.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"no memory")
    _, found = page_of(compare(runs), runs)
    assert "No picture: expected a set written by clbench" in found.text()
    assert "No picture: the folder of the run is not known" in page_of(compare(runs))[1].text()


def test_large_images_of_many_classes_stay_small(tmp_path: Path) -> None:
    runs = with_folders([make("random_replay", 0)], tmp_path)
    labels = torch.arange(30)
    images = torch.randint(0, 256, (30, 3, 96, 128), generator=torch.Generator().manual_seed(0))
    coded = CodedImages.of(
        LabelledImages(images.to(torch.uint8), labels), parse("raw"), (3, 96, 128)
    )
    coded.save(tmp_path / "run-000" / "memory" / "exp_1.safetensors")
    _, found = page_of(compare(runs), runs)
    (image,) = found.all("img")
    assert (image["width"], image["height"]) == (str(10 * 66 - 2), str(2 * 50 - 2))
    assert "(10 more classes are not shown)" in image["alt"]


def test_a_study_of_three_hundred_runs_is_small() -> None:
    """Fifty rows: two learners, five budgets, five memories; ten experiences."""
    groups = []
    for width in (100, 400):
        for size in (980, 1960, 3920, 7840, 15680):
            for i, name in enumerate(("random", "herding", "dm", "dam", "kip")):
                first = make(
                    f"{name}_replay", 0, 0.6 + 0.02 * i + size / 1e5, num_bytes=size,
                    memory__capacity_bytes=size, learner__network__width=width,
                )  # fmt: skip
                reports = [
                    dataclasses.replace(first, config={**first.config, "seed": seed})
                    for seed in range(6)
                ]
                groups.append(row_of(f"width={width}", name, size, reports))
    page = build_page(Comparison(tuple(groups), (), ()))
    assert len(page.encode()) < 1_500_000
    assert page.count("<svg") == 12 and page.count('class="command"') == 300


def row_of(condition: str, name: str, size: int, reports: list[RunReport]) -> Group:
    """What `compare` makes of them, in a hundredth of the time."""
    score = Summary.of([report.metrics["average_accuracy"] for report in reports])
    bytes_held = Summary.of([float(size)] * len(reports))
    label = f"{name}_replay, capacity_bytes={size}, {condition}"
    runs = tuple(ten_experiences(report) for report in reports)
    return Group(
        label=label,
        strategy=f"{name}_replay",
        seeds=tuple(range(len(reports))),
        reports=runs,
        score=score,
        average_accuracy=score,
        forgetting=score,
        memory_bytes=bytes_held,
        seconds=bytes_held,
        budget=float(size),
        memory=f"{name}_replay",
        condition=condition,
    )


def ten_experiences(report: RunReport) -> RunReport:
    last = report.metrics["average_accuracy"]
    matrix = [[last if j <= i else 0.0 for j in range(10)] for i in range(10)]
    return dataclasses.replace(
        report, accuracy_matrix=matrix, class_groups=[[i] for i in range(10)],
        num_test=[10] * 10, untrained_accuracy=[0.0] * 10,
    )  # fmt: skip


def test_curves_of_a_single_experience_and_many_memories() -> None:
    looks = [Look.of(i) for i in range(200)]
    assert len({(look.colour, look.marker, str(look.dash)) for look in looks}) == 200
    lines = [Line(f"m{i}", look, [(1.0, [0.5, 0.5001])]) for i, look in enumerate(looks[:12])]
    drawing = experience_chart(lines, [Line("<naive>", Look.of_bound(0), [(1.0, [0.01])])], "one")
    assert "?naive? 1.0" in drawing.content and "<naive>" not in drawing.content
    assert "#" not in re.sub(r'url\(#one-|href="#one-', "", drawing.content), "no fixed colour"
    ids = re.findall(r' id="([^"]+)"', drawing.content)
    assert ids and all(name.startswith("one-") for name in ids) and len(ids) == len(set(ids))


def test_costs_are_shown_by_phase() -> None:
    reports = six_seeds()
    for report in reports:
        report.measured["seconds"].update(distil=3.0, evaluate=0.5)
        report.flops.update(train=2e12, distil=5e11, evaluate=1e10)
    _, found = page_of(compare(reports))
    assert "4.5 1 3 0.5 2 0.5 0.01" in found.text()
    widths = [a["style"] for a in found.all("i")]
    assert widths == ["width:22.2%", "width:66.7%", "width:11.1%"] * 2


def test_compare_writes_the_page_and_says_where(tmp_path: Path) -> None:
    with_folders(six_seeds(), tmp_path / "runs")
    output = tmp_path / "out"
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "runs"), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert f"written: {output / 'index.html'}" in done.output.replace("\n", "")
    page = (output / "index.html").read_text()
    runs = load_runs([tmp_path / "runs"])
    assert page == build_page(compare(runs), runs)
    assert shlex.quote(str(tmp_path / "runs" / "run-000")) in page


def test_a_page_that_fails_costs_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr("clbench.page.build_page", fail)
    with_folders(six_seeds()[:2], tmp_path / "runs")
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "runs"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "index.html could not be drawn (RuntimeError: no ink)" in done.stderr
    assert (tmp_path / "out" / "comparison.md").exists()


def test_the_block_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    with_folders(six_seeds()[:2], tmp_path / "runs" / "split_mnist5k")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert Path("page.html").read_text("utf-8").startswith("<!doctype html>")
