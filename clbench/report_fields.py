"""What the fields of a report must be: whoever hands one over may have written anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clbench.report import RunReport


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_config(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("benchmark", {}), dict)


def _numbers(value: Any, is_one: Callable[[Any], bool] = _is_number) -> bool:
    return isinstance(value, list) and all(map(is_one, value))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _square(value: Any) -> bool:
    rows = isinstance(value, list) and all(map(_numbers, value))
    return rows and all(len(row) == len(value) for row in value)


def _numbers_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(v is None or _is_number(v) for v in value.values())


def _is_memory(value: Any) -> bool:
    return isinstance(value, dict) and _is_number(value.get("num_bytes"))


def _is_distillation(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("losses", []), list):
        return False
    losses = all(v is None or _is_number(v) for v in value.get("losses", []))
    return losses and isinstance(value.get("scalars", {}), dict)


def _is_measured(value: Any) -> bool:
    return isinstance(value, dict) and _numbers_by_name(value.get("seconds") or {})


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "config": (_is_config, "an object with settings of the benchmark"),
    **dict.fromkeys(("environment", "data", "evaluations"), (_is_object, "an object")),
    "class_groups": (
        lambda v: isinstance(v, list) and all(_numbers(one, _whole) for one in v),
        "a list of class numbers for each experience",
    ),
    "num_test": (lambda v: _numbers(v, _whole), "a number for each experience"),
    "accuracy_matrix": (lambda v: _square(v) and len(v) > 0, "a square matrix of numbers"),
    "untrained_accuracy": (_numbers, "a number for each experience"),
    "validation_matrix": (lambda v: v is None or _square(v), "a square matrix of numbers, or null"),
    "confusion_matrix": (_square, "a square matrix of numbers"),
    "recall": (
        lambda v: _numbers(v, lambda one: one is None or _is_number(one)),
        "a number for each class",
    ),
    "metrics": (_numbers_by_name, "a number for each name"),
    "flops": (_numbers_by_name, "a number for each name"),
    "memory": (lambda v: _numbers(v, _is_memory), "an object with num_bytes for each experience"),
    "distillation": (lambda v: _numbers(v, _is_distillation), "an object for each experience"),
    "notes": (lambda v: _numbers(v, lambda one: isinstance(one, str)), "a list of sentences"),
    "measured": (_is_measured, "an object, its seconds numbers"),
}


def check_fields(report: RunReport) -> None:
    """See that every field is of its kind, and that all tell of as many experiences.

    Raises:
        ValueError: one is not; says which, in a few words.
    """
    for name, (is_right, expected) in _FIELDS.items():
        value = getattr(report, name)
        if not is_right(value):
            raise ValueError(f"{name}: expected {expected}, found {value!r:.40}")
    num = len(report.accuracy_matrix)
    for name in ("class_groups", "num_test", "untrained_accuracy"):
        found = len(getattr(report, name))
        if found != num:
            raise ValueError(f"{name}: expected one of each of {num} experiences, found {found}")
