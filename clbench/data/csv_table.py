"""Tables of comma-separated values, checked before anybody believes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from clbench.data.checks import refuse
from clbench.errors import InputError


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: where it ends in the file, from 1.
        values: column -> text, without white space around it.
    """

    line: int
    values: dict[str, str]


def read_table(content: bytes, required: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """The rows of a CSV in UTF-8 (a byte-order mark is allowed) with commas and one header line.

    Args:
        content: the file.
        required: columns that must be there, in any order.
        optional: columns that may be there; others may not.

    Raises:
        InputError: one line that says what was expected, what was found and what to do.
    """
    wanted = ",".join([*required, *(f"[{name}]" for name in optional)])
    if not content.strip():
        raise InputError(f"expected a table with the columns {wanted}, found an empty file")
    lines = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines)]
        _check_header(header, required, optional, wanted)
        numbered = [(lines.line_num, cells) for cells in lines if any(map(str.strip, cells))]
    except csv.Error as error:
        raise InputError(
            f"line {lines.line_num}: expected comma-separated values, found {error}; save the "
            "table as CSV again"
        ) from None
    if not numbered:
        raise InputError("expected rows below the header, found none")
    refuse(
        [
            f"line {number}: expected {len(header)} values, as in the header, found {len(cells)}"
            for number, cells in numbered
            if len(cells) != len(header)
        ]
    )
    return [
        Row(number, {name: cell.strip() for name, cell in zip(header, cells, strict=True)})
        for number, cells in numbered
    ]


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"line {line}: expected UTF-8, found the byte 0x{content[error.start]:02x}; save the "
            "table as UTF-8"
        ) from None
    if "\0" in text:
        raise InputError("expected text, found a zero byte; save the table as CSV in UTF-8")
    return text


def _check_header(
    header: list[str], required: Sequence[str], optional: Sequence[str], wanted: str
) -> None:
    if len(header) == 1:
        for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in header[0]:
                raise InputError(
                    f"expected commas between the columns, found {name}; save the table with commas"
                )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"expected every column once, found {twice[0]!r} twice; remove one")
    missing = [name for name in required if name not in header]
    if missing:
        raise InputError(
            f"expected the columns {wanted}, found no column {missing[0]!r} among "
            f"{', '.join(map(repr, header))[:200]}"
        )
    unknown = [name for name in header if name not in (*required, *optional)]
    if unknown:
        raise InputError(f"expected the columns {wanted}, found also {unknown[0]!r}; remove it")
