"""What became of each run of a sweep, by what lies on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.store.claims import NAME, is_held
from clbench.store.files import write_json
from clbench.store.reading import read_json

PLAN = "sweep.json"
SCHEMA = 1
STATES = ("done", "running", "waiting", "unfinished", "failed", "diverged")
ENDED_BADLY = ("failed", "diverged")


@dataclass(frozen=True)
class Planned:
    """One run of a sweep.

    Attributes:
        name: of its directory below ``runs/``.
        row: what varies but the seed, in one line: runs of one row are seeds of one thing.
        config: what is run.
    """

    name: str
    row: str
    config: RunConfig


@dataclass(frozen=True)
class State:
    """What is known of a run.

    Attributes:
        status: one of `STATES`.
        why: of a run that failed or diverged, in one line.
        seconds: wall time of a run that is done.
        accuracy: its average accuracy, 0..1.
        num_learnt: experiences that a run under way has learnt.
        num_experiences: of its stream; None where it has learnt none yet.
    """

    status: str
    why: str = ""
    seconds: float = 0.0
    accuracy: float | None = None
    num_learnt: int = 0
    num_experiences: int | None = None

    @property
    def share_done(self) -> float:
        """How much of the run is done, 0..1, by its experiences."""
        if self.status == "done":
            return 1.0
        return self.num_learnt / self.num_experiences if self.num_experiences else 0.0

    @property
    def reached(self) -> str:
        """Where in its stream a run under way is, in words."""
        if self.num_experiences is None:
            return "experience 1"
        number = min(self.num_learnt + 1, self.num_experiences)
        return f"experience {number} of {self.num_experiences}"


def place_of(folder: Path, name: str) -> Path:
    """Directory of a run of the sweep in ``folder``."""
    return folder / "runs" / name


def state_of(directory: Path) -> State:
    """Look at the directory of a run."""
    try:
        report = read_json(directory / "report.json")
        seconds = float(report["measured"]["seconds"]["wall"])
        return State("done", seconds=seconds, accuracy=report["metrics"]["average_accuracy"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        return State("failed", f"its report cannot be read ({error})")
    if is_held(directory / NAME):
        return _under_way("running", directory)
    try:
        status = read_json(directory / "status.json")
        if status["status"] in ENDED_BADLY:
            return State(str(status["status"]), str(status["error"]))
        return _under_way("unfinished", directory)
    except FileNotFoundError:
        return State("waiting")
    except (OSError, ValueError, KeyError, TypeError):
        return State("unfinished")


def _under_way(status: str, directory: Path) -> State:
    """What a run that is not done has learnt, by its ``partial.json``."""
    try:
        partial = read_json(directory / "partial.json")
        learnt, groups = len(partial["accuracy_matrix"]), len(partial["class_groups"])
        return State(status, num_learnt=learnt, num_experiences=groups)
    except (OSError, ValueError, KeyError, TypeError):
        return State(status)


def say_failed(directory: Path, why: str) -> None:
    """Keep why a run failed that could not say so itself."""
    write_json(directory / "status.json", {"status": "failed", "error": why})


def remember(folder: Path, planned: Iterable[Planned]) -> None:
    """Add runs to what the sweep in ``folder`` consists of.

    Raises:
        InputError: the file there is another's.
    """
    known = remembered(folder) if (folder / PLAN).exists() else {}
    rows = {**known, **{one.name: one.row for one in planned}}
    if rows != known:
        write_json(folder / PLAN, {"schema": SCHEMA, "runs": rows})


def remembered(folder: Path) -> dict[str, str]:
    """Name of each run of the sweep in ``folder`` -> its row.

    Raises:
        InputError: no sweep is there.
    """
    try:
        values = read_json(folder / PLAN)
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema {values['schema']!r}")
        runs = values["runs"]
        if not all(isinstance(x, str) and Path(x).name == x for x in runs):
            raise ValueError("a name that leads elsewhere")
        return {str(name): str(row) for name, row in runs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{folder}: expected the folder of a sweep, with its {PLAN}, found something else "
            f"({reason}); clbench sweep PLAN --output makes one"
        ) from None


def under_known_names(folder: Path, planned: Sequence[Planned]) -> list[Planned]:
    """Return the runs by the names that they have in the sweep in ``folder``, if it is one.

    The words of a name say what varies, and change when a plan is extended; its fingerprint stays.
    """
    if not (folder / PLAN).exists():
        return list(planned)
    known = {name.rpartition("-")[2]: name for name in remembered(folder)}
    return [replace(one, name=known.get(one.name.rpartition("-")[2], one.name)) for one in planned]


def states(folder: Path, names: Iterable[str]) -> dict[str, State]:
    """What became of each of these runs."""
    return {name: state_of(place_of(folder, name)) for name in names}


def counted(found: Mapping[str, State]) -> dict[str, int]:
    """How many runs are in each state, in the order of `STATES`; only states that occur."""
    numbers = Counter(state.status for state in found.values())
    return {status: numbers[status] for status in STATES if numbers[status]}


def seconds_left(found: Mapping[str, State], rows: Mapping[str, str]) -> float | None:
    """Return the wall time until all is done, with as many runs at once as are under way now.

    A run takes what those of its row took on average, or those of all rows where none of its row
    is done. None where no run is done.
    """
    taken: dict[str, list[float]] = {}
    for name, state in found.items():
        if state.status == "done":
            taken.setdefault(rows[name], []).append(state.seconds)
    if not taken:
        return None
    mean = fmean(seconds for row in taken.values() for seconds in row)
    each = {row: fmean(seconds) for row, seconds in taken.items()}
    left = sum(
        each.get(rows[name], mean) * (1.0 - state.share_done)
        for name, state in found.items()
        if state.status not in ENDED_BADLY
    )
    return left / max(1, counted(found).get("running", 0))


def as_dict(found: Mapping[str, State], rows: Mapping[str, str]) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    return {
        "counts": counted(found),
        "seconds_left": seconds_left(found, rows),
        "runs": [
            {"name": name, "row": rows[name], "status": s.status, "why": s.why,
             "seconds": s.seconds, "accuracy": s.accuracy, "num_learnt": s.num_learnt,
             "num_experiences": s.num_experiences}
            for name, s in found.items()
        ],
    }  # fmt: skip
