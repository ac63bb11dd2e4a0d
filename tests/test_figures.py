"""Figures show the numbers they are given; files are images of the right size."""

import io
import itertools

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.image import AxesImage
from matplotlib.text import Text
from PIL import Image

from clbench import figures
from clbench.errors import InputError
from clbench.figures.style import DPI, PALETTE, lines_in_words
from clbench.types import LabelledImages

R = [[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.4, 0.85, 0.6]]
GROUPS = {"dam_replay": [R, np.array(R) * 0.9], "naive": [np.array(R) * 0.5]}


def every_figure():
    memory = LabelledImages(torch.zeros(2, 1, 6, 6, dtype=torch.uint8), torch.tensor([0, 1]))
    return {
        "accuracy_matrix": figures.accuracy_matrix_figure(R),
        "forgetting_curves": figures.forgetting_curves_figure(R),
        "memory": figures.memory_figure(memory),
        "confusion": figures.confusion_figure([[3, 1], [0, 2]]),
        "distillation": figures.distillation_figure([[2.0, 1.0]]),
        "curves": figures.comparison_curves_figure(GROUPS),
        "bars": figures.comparison_bars_figure({"a": [0.5, 0.6], "b": [0.2]}),
    }


def test_files_and_arrays_have_the_figures_size(tmp_path):
    for name, figure in every_figure().items():
        figures.save_figure(figure, tmp_path / "figures" / f"{name}.png")
        pixels = figures.figure_to_array(figure)
        # Matplotlib cuts off parts of a pixel, but not the error of a float.
        width, height = np.floor(figure.get_size_inches() * DPI + 1e-9).astype(int)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (height, width, 3)
        assert pixels.std() > 1, f"{name} is blank"
        with Image.open(tmp_path / "figures" / f"{name}.png") as image:
            assert image.format == "PNG"
            assert image.size == (width, height)
            image.load()


def test_nothing_is_cut_off():
    """No ink on the outermost pixels: titles, labels and legends lie inside."""
    for name, figure in every_figure().items():
        pixels = figures.figure_to_array(figure)
        border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((edge == 255).all() for edge in border), name


def test_the_same_figure_twice_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        figures.save_figure(figures.forgetting_curves_figure(R), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(mpl.rcParams)
    every_figure()
    assert dict(mpl.rcParams) == before


def test_heat_map_shows_every_number_and_names_the_classes():
    figure = figures.accuracy_matrix_figure(R, class_groups=[[0, 1], [2], list(range(3, 9))])
    (axes,) = figure.axes
    written = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    assert written == {(j, i): f"{100 * R[i][j]:.1f}" for i in range(3) for j in range(3)}
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["1 (0, 1)", "2 (2)", "3 (6 classes)"]
    (image,) = axes.images
    shown = image.get_array()
    assert np.ma.getmaskarray(shown)[np.triu_indices(3, 1)].all()
    assert shown[np.tril_indices(3)].data == pytest.approx(np.array(R)[np.tril_indices(3)])


def test_heat_map_of_a_stream_that_still_goes_on():
    (axes,) = figures.accuracy_matrix_figure(R[:2]).axes
    assert len(axes.texts) == 6
    with pytest.raises(InputError, match=r"found shape \(3, 2\)"):
        figures.accuracy_matrix_figure([row[:2] for row in R])


def test_forgetting_curves_start_when_the_experience_is_learnt():
    (axes,) = figures.forgetting_curves_figure(R).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert list(lines) == ["1", "2", "3", "average"]
    assert lines["1"].tolist() == [[1, 90], [2, 70], [3, 40]]
    assert lines["2"].tolist() == [[2, 80], [3, 85]]
    assert lines["average"][:, 1] == pytest.approx([90, 75, 185 / 3])


def test_a_stream_of_one_experience_can_be_drawn():
    for figure in (
        figures.accuracy_matrix_figure([[0.5]]),
        figures.forgetting_curves_figure([[0.5]]),
        figures.comparison_curves_figure({"naive": [[[0.5]]]}),
    ):
        assert figures.figure_to_array(figure).std() > 1


def shown_image(figure) -> np.ndarray:
    (axes,) = figure.axes
    (image,) = [child for child in axes.get_children() if isinstance(child, AxesImage)]
    return np.asarray(image.get_array())


def test_memory_shows_images_one_row_per_class():
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images[0], images[1], images[2, 0, 0, 0] = 51, 102, 255
    memory = LabelledImages(images, torch.tensor([7, 2, 7]))
    figure = figures.memory_figure(
        memory, class_names=[f"class {i}" for i in range(8)], num_bytes=31
    )
    canvas = shown_image(figure)
    assert canvas.shape == (10, 10)  # 2 classes x 2 columns of 4 pixels and a gap of 1
    assert (canvas[0:4, 0:4] == 0.4).all()
    assert (canvas[5:9, 0:4] == 0.2).all()
    assert canvas[5, 5] == 1
    assert (canvas[6:9, 5:9] == 0).all()
    assert (canvas[0:4, 5:10] == 1).all(), "no image there: paper"
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["class 2", "class 7"]
    assert "3 images, 31 bytes" in figure.get_suptitle()


def test_memory_in_colour_float_and_with_soft_labels():
    images = torch.full((1, 3, 4, 4), 0.25)
    images[0, 0] = 2.0
    memory = LabelledImages(images, torch.tensor([[0.2, 0.8]]))
    figure = figures.memory_figure(memory)
    assert shown_image(figure)[0, 0].tolist() == [1.0, 0.25, 0.25]
    assert figure.axes[0].get_yticklabels()[0].get_text() == "1"
    assert figures.figure_to_array(figure).std() > 0


def test_an_empty_memory_is_refused():
    empty = LabelledImages(torch.zeros(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(InputError, match="empty one"):
        figures.memory_figure(empty)


def test_confusion_shows_counts_coloured_by_share_of_the_row():
    figure = figures.confusion_figure([[30, 10], [0, 0]], class_names=["cat", "dog"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["30", "10"]
    assert shown_image(figure).tolist() == [[0.75, 0.25], [0, 0]]
    assert axes.get_title(loc="left") == "Confusion matrix, 75.0 % right"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    with pytest.raises(InputError, match="square"):
        figures.confusion_figure([[1, 2]])


def test_distillation_losses():
    (axes,) = figures.distillation_figure([[4.0, 2.0], [], [8.0]]).axes
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["1", "3"]
    assert axes.lines[0].get_xydata().tolist() == [[1, 4], [2, 2]]
    assert axes.get_yscale() == "log"
    (axes,) = figures.distillation_figure([[1.0, -1.0]]).axes
    assert axes.get_yscale() == "linear"
    with pytest.raises(InputError, match="found none"):
        figures.distillation_figure([[], []])


def test_the_running_mean_of_the_losses_is_a_mean_over_a_window():
    losses = np.random.default_rng(0).random(200)
    (axes,) = figures.distillation_figure([losses]).axes
    smooth = axes.lines[1].get_ydata()
    expected = [losses[max(0, i - 5) : i + 6].mean() for i in range(200)]
    assert smooth == pytest.approx(expected)


def test_comparison_curves_are_means_with_bands_where_there_are_seeds():
    left, right = figures.comparison_curves_figure(GROUPS).axes
    assert left.lines[0].get_ydata() == pytest.approx([85.5, 71.25, 0.95 * 185 / 3])
    assert right.lines[0].get_xydata()[0] == pytest.approx([2, 95 * 0.2])
    assert [line.get_color() for line in left.lines] == list(PALETTE[:2])
    assert len(left.collections) == 1, "a single seed has no band"
    with pytest.raises(InputError, match="at least one group"):
        figures.comparison_curves_figure({})
    with pytest.raises(InputError, match="at least one group"):
        figures.comparison_curves_figure({"naive": []})


def test_bars_show_mean_interval_and_every_seed():
    (axes,) = figures.comparison_bars_figure({"a": [0.5, 0.7], "b": [0.2]}).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([60, 20])
    assert [text.get_text() for text in axes.texts] == ["60.0", "20.0"]
    scatters = [c for c in axes.collections if isinstance(c, PathCollection)]
    points = [scatter.get_offsets()[:, 0].tolist() for scatter in scatters]
    assert points == [pytest.approx([50, 70]), pytest.approx([20])]
    assert len(axes.containers) == 3, "two bars, and an interval for the group with two seeds"


def test_many_groups_look_apart():
    """Beyond the palette lines and markers tell groups of one colour apart."""
    many = {f"group {i}": [R, R] for i in range(30)}
    left, right = figures.comparison_curves_figure(many).axes
    for axes in (left, right):
        seen = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in axes.lines]
        assert len(set(map(str, seen))) == 30
        assert all(one[0] != other[0] for one, other in itertools.pairwise(seen))
    (bars,) = figures.comparison_bars_figure({str(i): [0.5] for i in range(12)}).axes
    colours = [bar.get_facecolor() for bar in bars.patches]
    assert len(colours) == 12 and all(a != b for a, b in itertools.pairwise(colours))


@pytest.mark.parametrize("count", [3, 8, 14])
def test_no_legend_is_cut_off(count):
    """Every entry lies within the figure, and below the panels, however long its name."""
    names = [f"strategy_{i}, codec=levels:side=14,levels=2, num_networks={i}" for i in range(count)]
    point = figures.Point(2000.0, [0.5, 0.6], [1.0, 2.0], [1e9, 2e9])
    panel = figures.Panel({name: {2000.0: [0.5], 8000.0: [0.6]} for name in names}, {})
    drawn = [
        figures.comparison_curves_figure({name: [R, R] for name in names}),
        figures.accuracy_over_bytes_figure({"": panel}),
        figures.accuracy_over_compute_figure({name: [point] for name in names}),
    ]
    for figure in drawn:
        figures.figure_to_array(figure)
        (legend,) = figure.legends
        box, whole = legend.get_window_extent(), figure.bbox
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= whole.x1, legend.get_texts()[0]
        assert len(legend.get_texts()) == count
        shown = [" ".join(text.get_text().split()) for text in legend.get_texts()]
        assert len(set(shown)) == count
        for axes in figure.axes:
            assert axes.get_window_extent().y0 > box.y1
            assert axes.get_window_extent().height > 150, "the legend leaves room"


def test_forgetting_begins_at_zero_and_bands_are_named():
    figure = figures.comparison_curves_figure({"a": [R, R], "b": [R]})
    low, high = figure.axes[1].get_ylim()
    assert -0.05 * high <= low <= 0 < high
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "lines: means; bands: 95 % interval, n = 1 to 2"
    better = [[0.5, 0.0], [0.9, 0.9]]
    low, _ = figures.comparison_curves_figure({"a": [better]}).axes[1].get_ylim()
    assert low < -40, "later experiences may help"


def test_what_is_far_off_leaves_the_panel_and_is_named_there():
    near = {f"r{i}": [[[1.0, 0.0], [0.9 - i / 50, 0.95]]] for i in range(3)}
    left, right = figures.comparison_curves_figure(
        {**near, "naive": [[[1.0, 0.0], [0.0, 0.4]]]}
    ).axes
    assert left.get_ylim()[0] > 20 and right.get_ylim()[1] < 100
    assert [text.get_text() for text in left.texts] == ["naive 20.0, below"]
    assert [text.get_text() for text in right.texts] == ["naive 100.0, above"]


def test_sections_have_panels_of_their_own_and_share_looks():
    sections = {"2,000 bytes": {"a": [R], "b": [R]}, "8,000 bytes": {"b": [R]}}
    figure = figures.section_curves_figure(sections)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["2,000 bytes\nAccuracy", "Forgetting", "8,000 bytes\nAccuracy", "Forgetting"]
    first, second = figure.axes[0].lines[1], figure.axes[2].lines[0]
    assert first.get_label() == second.get_label() == "b"
    assert first.get_color() == second.get_color() == PALETTE[1]
    bars = figures.section_bars_figure(
        {heading: {name: [0.5, 0.7] for name in rows} for heading, rows in sections.items()},
        title="Accuracy",
    )
    assert [axes.get_title("left") for axes in bars.axes] == list(sections)
    assert "n = 2" in bars.axes[-1].get_xlabel()


def test_accuracy_over_compute_has_a_point_and_its_spread_for_each_row():
    rows = {
        "kip": [figures.Point(2000.0, [0.8, 0.9], [10.0, 30.0], [1e11, 1e11])],
        "random": [
            figures.Point(2000.0, [0.7, 0.8], [1.0, 1.0], [1e10, 1e10]),
            figures.Point(8000.0, [0.8, 0.9], [2.0, 2.0], []),
        ],
        "naive": [figures.Point(None, [0.1], [1.0], [1e9])],
    }
    figure = figures.accuracy_over_compute_figure(rows)
    seconds, flops = figure.axes
    assert seconds.get_xscale() == flops.get_xscale() == "log"
    marks = [part for part in seconds.collections if isinstance(part, PathCollection)]
    assert [mark.get_offsets().tolist() for mark in marks] == [
        [[20.0, pytest.approx(85.0)]],
        [[1.0, pytest.approx(75.0)], [2.0, pytest.approx(85.0)]],
    ]
    small, large = marks[1].get_sizes()
    assert small < large, "more bytes"
    kip, random = (container.lines[2] for container in seconds.containers)
    level, upright = (bars.get_segments()[0] for bars in kip)
    assert level[:, 0].tolist() == [10.0, 30.0], "least and most of its seeds"
    assert upright[0, 1] < 80 < 85 < 90 < upright[1, 1], "95 % of two seeds"
    assert len(random[0].get_segments()) == 2 and len(flops.containers) == 2
    assert [text.get_text() for text in seconds.texts] == ["10.0"], "far below"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["kip", "random", "naive", "2,000 bytes", "8,000 bytes"]
    with pytest.raises(InputError, match="at least one point"):
        figures.accuracy_over_compute_figure({})


def test_svg_and_pdf_are_the_same_twice_and_need_no_font(tmp_path):
    def draw():
        return figures.comparison_bars_figure({"a": [0.5, 0.6], "b": [0.2]})

    for folder in ("one", "two"):
        assert figures.save_figures({"bars": draw}, tmp_path / folder, figures.FORMATS) == []
    for kind in figures.FORMATS:
        one, two = ((tmp_path / f / f"bars.{kind}").read_bytes() for f in ("one", "two"))
        assert one == two, kind
    assert b"<text" not in (tmp_path / "one" / "bars.svg").read_bytes(), "letters are outlines"
    assert b"/FontFile2" in (tmp_path / "one" / "bars.pdf").read_bytes(), "fonts are within"


def lines_at(axes, value: float, upright: bool = False) -> int:
    ends = [(line.get_xdata() if upright else line.get_ydata()) for line in axes.get_lines()]
    return sum(len(end) == 2 and all(v == pytest.approx(value) for v in end) for end in ends)


def test_the_larger_of_two_classes_is_a_line() -> None:
    bars = figures.comparison_bars_figure({"naive": [0.5], "replay": [0.7]}, majority_share=0.632)
    assert lines_at(bars.axes[0], 63.2, upright=True) == 1
    assert "63.2 %" in bars.legends[0].get_texts()[0].get_text()
    full = figures.offline_figure(
        [1.0, 0.5], [0.6, 0.9], test_accuracy=0.8, title="x", majority_share=0.632
    )
    assert lines_at(full.axes[1], 63.2) == 1 and lines_at(full.axes[1], 80) == 1
    confusion = figures.confusion_figure([[600, 17], [300, 60]])
    assert "larger class: 63.2 %" in confusion.axes[0].get_xlabel()
    crossed = figures.cross_architecture_figure(
        {"a": {"mlp": [0.7]}}, ["mlp"], majority_share=0.632
    )
    assert "63.2" in crossed.axes[0].get_xlabel()


def test_without_two_classes_there_is_no_such_line() -> None:
    bars = figures.comparison_bars_figure({"naive": [0.5], "replay": [0.7]})
    assert not bars.legends and lines_at(bars.axes[0], 63.2, upright=True) == 0


def test_cross_architecture_shows_every_cell() -> None:
    scores = {"ours": {"mlp": [0.91, 0.93], "lenet": [0.8]}, "full data": {"mlp": [0.99]}}
    figure = figures.cross_architecture_figure(scores, ["mlp", "lenet"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["92.0 ± 1.4", "80.0", "99.0", "-"]
    with pytest.raises(InputError, match="at least one set"):
        figures.cross_architecture_figure({}, ["mlp"])


def test_a_search_rings_what_each_proxy_chooses() -> None:
    proxies = {"ours": [0.5, 0.9, 0.7], "random": [0.6, 0.5, 0.4]}
    truth = [0.97, 0.99, 0.98]
    figure = figures.search_figure(proxies, truth, {"ours": "Spearman 1.00"})
    assert [len(axes.collections) for axes in figure.axes] == [2, 2]
    rings = [axes.collections[1].get_offsets().tolist()[0] for axes in figure.axes]
    assert rings == [pytest.approx([90, 99]), pytest.approx([60, 97])]
    assert "Spearman 1.00" in figure.axes[0].get_title("left")
    alone = figures.search_figure(proxies, [], {})
    assert list(alone.axes[0].get_lines()[0].get_ydata()) == pytest.approx([90, 70, 50])


NO_NUMBERS = [None, float("nan"), float("inf")]


@pytest.mark.parametrize("gap", [[0.5, *NO_NUMBERS, 0.25], NO_NUMBERS], ids=["some", "all"])
def test_what_is_no_number_leaves_a_gap(gap):
    scores = {"a": {"mlp": [0.5, None], "lenet": [0.5]}, "b": {"mlp": NO_NUMBERS}}
    for figure in (
        figures.distillation_figure([[1.0, 0.5], gap]),
        figures.offline_figure(gap, gap, test_accuracy=float("nan"), title="t"),
        figures.cross_architecture_figure(scores, ["mlp", "lenet"]),
        figures.cross_architecture_figure({"b": {"mlp": gap}}, ["mlp"]),
        figures.search_figure({"a": gap}, [0.1] * len(gap), {}),
        figures.search_figure({"a": gap}, [], {}),
    ):
        assert figures.figure_to_array(figure).std() > 1


NAMES = ["$x^{$", "caf\udce9", "$$", "50 % $a_b$"]


def test_names_are_shown_as_they_are_written():
    memory = LabelledImages(torch.zeros(4, 1, 6, 6, dtype=torch.uint8), torch.arange(4))
    scores = {name: {name: [0.5] for name in NAMES} for name in NAMES}
    captions = dict.fromkeys(NAMES, NAMES[0])
    for figure in (
        figures.memory_figure(memory, class_names=NAMES, title=NAMES[0]),
        figures.confusion_figure(np.eye(4), class_names=NAMES, title=NAMES[1]),
        figures.offline_figure([1.0], [0.5], test_accuracy=0.5, title=NAMES[0]),
        figures.cross_architecture_figure(scores, NAMES, title=NAMES[0]),
        figures.search_figure({name: [0.5, 0.6] for name in NAMES}, [], captions),
        figures.comparison_curves_figure({name: [R] for name in NAMES}),
        figures.comparison_bars_figure({name: [0.5] for name in NAMES}, title=NAMES[0]),
    ):
        assert figures.figure_to_array(figure).std() > 1
        figure.savefig(io.BytesIO())
        texts = [text.get_text() for text in figure.findobj(Text)]
        assert any("$" in text or "\ufffd" in text for text in texts)
        assert not any("mathdefault" in text or "\udce9" in text for text in texts)


def test_a_figure_that_fails_is_a_note(tmp_path):
    def fails():
        raise ValueError("no\nluck")

    drawings = {"bad": fails, "good": lambda: figures.confusion_figure(np.eye(2))}
    (note,) = figures.save_figures(drawings, tmp_path)
    assert "bad" in note and "ValueError: no luck" in note and "\n" not in note
    assert [file.name for file in tmp_path.iterdir()] == ["good.png"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 1], "lines: one seed, so without bands"),
        ([6, 6], "lines: means; bands: 95 % interval, n = 6"),
        ([1, 3], "lines: means; bands: 95 % interval, n = 1 to 3"),
    ],
)
def test_a_legend_promises_no_bands_that_are_not_there(numbers: list[int], expected: str) -> None:
    assert lines_in_words(numbers) == expected
