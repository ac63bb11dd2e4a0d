"""A comparison as plain dictionaries, for JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from clbench.comparison.records import Comparison, Group


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Return a dictionary ready for JSON: all numbers in 0..1, bytes, seconds; no reports.

    ``groups`` holds every group once; ``sections`` name their rows by label and hold the tests of
    each row within the section.
    """
    return {
        "groups": [_group(group) for group in comparison.groups],
        "contests": [
            {**dataclasses.asdict(contest), "winner": contest.winner}
            for contest in comparison.contests
        ],
        "metric": comparison.metric,
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
        "sections": [
            {
                "heading": section.heading,
                "rows": [
                    {
                        "label": group.label,
                        "name": name,
                        "settings": settings,
                        "versus": group.versus and dataclasses.asdict(group.versus),
                    }
                    for group, name, settings in zip(
                        section.groups, section.names(), section.settings, strict=True
                    )
                ],
            }
            for section in comparison.sections
        ],
        "costs": [dataclasses.asdict(worth) for worth in comparison.costs],
    }


def _group(group: Group) -> dict[str, Any]:
    # The reports lie beside; asdict would copy them.
    values = dataclasses.asdict(dataclasses.replace(group, reports=()))
    del values["reports"]
    return values
