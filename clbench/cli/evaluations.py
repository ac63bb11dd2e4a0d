"""What every command of `clbench evaluate` does: read, evaluate, write, print."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clbench.cli.group import Interrupted, say
from clbench.cli.places import new_directory, resumable_directory
from clbench.errors import InputError
from clbench.store.files import CHECKPOINTS

KEPT_TRIALS = "the networks that were trained are kept in the cache"
SETTINGS = "settings__"


@contextmanager
def resumable(kept: str, then: str = "the same command goes on there") -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP say what is kept and how to go on.

    Raises:
        Interrupted: in their place.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept}; {then}") from None


def evaluate_and_show(name: str, values: dict[str, Any]) -> None:
    """Do one evaluation.

    Args:
        name: in the table of evaluations.
        values: of the command's options.
    """
    claim = resumable_directory if "data_set" in values else new_directory
    output = values.get("output")
    # Before the other imports, which take seconds.
    chosen = None if output is None else claim(output, output)

    from clbench.cli.display import ProgressLine, print_json, print_shown
    from clbench.errors import Diverged
    from clbench.evaluation import EVALUATIONS
    from clbench.evaluation.trials import Divergences

    row = EVALUATIONS.find(name)
    settings = _settings(row, values)
    loaded, images = _inputs(row, values)
    laboratory = laboratory_of(images, values)
    evaluation = row.make(settings)
    evaluation.check(images.spec, laboratory.seed)
    place = None
    if row.keeps_report:
        place = chosen or claim(None, Path("evaluations") / _title(row, name, values, images))
    kept = KEPT_TRIALS
    if place is not None and not row.of_sets:
        laboratory = laboratory.replace(checkpoint=place / CHECKPOINTS[0])
        kept = f"{laboratory.checkpoint} keeps the epochs that were done"
    epochs: list[Any] = []
    with ProgressLine(not values["quiet"]) as line, resumable(kept):
        heard = Divergences(say_trials(line))
        laboratory = laboratory.replace(on_trial=heard, on_epoch=_say_epochs(line, epochs))
        try:
            found = evaluation.run(laboratory, loaded)
        except Diverged as error:
            about = _about(name, settings, laboratory, images)
            raise _kept_divergence(error, place, about, epochs) from None
    content = found.to_dict()
    if place is not None:
        content = {
            **_about(name, settings, laboratory, images),
            **_found(found, loaded),
            **({"diverged_networks": heard.lines} if heard.lines else {}),
        }
        with resumable(f"{place / 'report.json'} holds the result", "figures may be missing"):
            _write(place, content, found, laboratory, values["tensorboard"])
    if values["json"]:
        return print_json(content)
    if not values["quiet"]:
        print_shown(images.shown_as, found.shown())
        for text in heard.lines:
            say(f"diverged:    {text}; lower --evaluation-learning-rate")
        _say_where(images, place, values)
    return None


def _settings(row: Any, values: Mapping[str, Any]) -> Any:
    from clbench.cli.build_config import tree_of

    settings = row.settings
    if values.get("recipe"):
        settings = settings.updated(row.presets[values["recipe"]])
    given = {
        name.removeprefix(SETTINGS): value
        for name, value in values.items()
        if name.startswith(SETTINGS) and value is not None
    }
    return settings.updated(tree_of(given))


def _inputs(row: Any, values: Mapping[str, Any]) -> tuple[Any, Any]:
    from clbench import api
    from clbench.cli.sets import load_images, named

    if row.of_sets:
        return api.load_sets(values["sets"], values["data_root"])
    size = values["benchmark__image_size"]
    moments = values["benchmark__normalisation"] or "dataset"
    root, quiet = values["data_root"], values["quiet"]
    return {}, load_images(named(values["data_set"], values), size, moments, root, quiet=quiet)


def laboratory_of(images: Any, values: Mapping[str, Any]) -> Any:
    """Return the laboratory that a command's options ask for."""
    from clbench.evaluation import Laboratory, trials
    from clbench.machine.device import resolve_device

    return Laboratory(
        images.train,
        images.test,
        images.spec,
        seed=values["seed"] or 0,
        device=resolve_device(values["device"] or "auto"),
        workers=values.get("workers") or trials.default_workers(),
        directory=None if values.get("no_cache") else trials.default_directory(),
        title=images.shown_as,
    )


def _title(row: Any, name: str, values: Mapping[str, Any], images: Any) -> str:
    from clbench.data import short_name

    title = f"{name.replace('_', '-')}-{short_name(images.name)}"
    if row.of_sets:
        return title
    network = values.get(f"{SETTINGS}network__name") or row.settings.network.name
    return f"{title}-{network}-{values['recipe']}-seed{values['seed'] or 0}"


def say_trials(line: Any) -> Callable[..., None]:
    """Progress of trials on one line, with the last one's accuracy."""
    line.show("training networks", 0, 1, "networks")

    def show(done: int, total: int, trial: Any, outcome: Any) -> None:
        name = trial.set_name.split(" #")[0]
        what = "diverged" if outcome.diverged else f"{100 * outcome.accuracy:.1f} %"
        detail = f"networks; {trial.network.name} on {name}: {what}"
        line.show("training networks", done, total, detail)

    return show


def _say_epochs(line: Any, epochs: list[Any]) -> Callable[..., None]:
    def show(done: int, total: int, epoch: Any) -> None:
        epochs.append(epoch)
        detail = f"epochs, loss {epoch.loss:.4f}, {100 * epoch.accuracy:.1f} % right"
        line.show("training", done, total, detail)

    return show


def _about(name: str, settings: Any, laboratory: Any, images: Any) -> dict[str, Any]:
    """What a report begins with."""
    from clbench.measuring.cost import environment

    return {
        "kind": name.replace("_", "-"),
        "data": {
            "name": images.name,
            "title": images.shown_as,
            "fingerprint": images.fingerprint,
            "notes": list(images.notes),
        },
        "config": {**settings.to_dict(), "seed": laboratory.seed},
        "environment": environment(),
    }


def _found(found: Any, loaded: Mapping[str, Any]) -> dict[str, Any]:
    measured = found.measured()
    return {
        **({"sets": {key: one.about() for key, one in loaded.items()}} if loaded else {}),
        "result": found.to_dict(),
        **({"measured": measured} if measured else {}),
    }


def _kept_divergence(
    error: InputError, place: Path | None, about: dict[str, Any], epochs: Sequence[Any]
) -> InputError:
    """Write a report of the epochs before a training diverged, which has no accuracy."""
    from clbench.errors import Diverged
    from clbench.store.checkpoints import remove_states
    from clbench.store.files import write_json

    training = about["config"].get("training")
    if place is None or not epochs and training is None:
        return error
    rate = f" (it is {training['learning_rate']:g})" if training else ""
    line = f"{str(error).partition(';')[0]}; lower --learning-rate{rate}"
    result = {
        "accuracy": None,
        "loss": None,
        "train_losses": [epoch.loss for epoch in epochs],
        "train_accuracies": [epoch.accuracy for epoch in epochs],
    }
    report = {"kind": about["kind"], "diverged": line, **about, "result": result}
    write_json(place / "report.json", report)
    # It leads nowhere else.
    remove_states(place / CHECKPOINTS[0])
    return Diverged(f"{line}; the epochs before it are in {place / 'report.json'}")


def _write(
    place: Path, report: dict[str, Any], found: Any, laboratory: Any, tensorboard: bool
) -> None:
    """Write ``report.json``, then figures and events; a figure that fails costs a line."""
    from clbench.figures import save_figures
    from clbench.store.checkpoints import remove_states
    from clbench.store.files import write_json
    from clbench.tracking import write_evaluation

    write_json(place / "report.json", report)
    remove_states(place / CHECKPOINTS[0])
    drawings, shown = found.drawings(laboratory), found.shown()
    for note in save_figures(drawings, place / "figures"):
        say(f"note: {note}", err=True)
    if tensorboard:
        table: tuple[Sequence[str], Sequence[Sequence[Any]]] = (shown.columns, shown.rows)
        name = next(iter(drawings), "result")
        tables = {"result" if report["kind"] == "offline" else name: table}
        write_evaluation(place, drawn=drawings, tables=tables, curves=found.scalars())


def _say_where(images: Any, place: Path | None, values: Mapping[str, Any]) -> None:
    say_notes(images)
    if place is None:
        return
    say(f"report:      {place / 'report.json'}")
    say(f"figures:     {place / 'figures'}")
    if values["tensorboard"]:
        from clbench.tracking import SCALARS_ADDRESS

        say(f"TensorBoard: tensorboard --logdir {shlex.quote(str(place))}")
        say(f"             unsmoothed at {SCALARS_ADDRESS}")


def say_notes(images: Any) -> None:
    """Print what a reader of any number must know of the data."""
    from clbench.measuring.metrics import majority_of_two

    for note in images.notes:
        say(f"note:        {note}")
    share = majority_of_two(images.test.hard_labels.numpy())
    if share is not None:
        say(f"note:        always the largest class: {100 * share:.1f} %")
