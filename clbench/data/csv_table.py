"""Tables of comma-separated values, checked before anybody believes them."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from clbench.data.checks import refuse
from clbench.errors import InputError

MAX_ROWS = 1_000_000
MAX_EMPTY = 100_000
MAX_LINE = 1_000_000  # characters


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: where it ends in the file, from 1.
        values: column -> text, without white space around it.
    """

    line: int
    values: dict[str, str]


def read_table(
    content: bytes | BinaryIO, required: Sequence[str], optional: Sequence[str] = ()
) -> list[Row]:
    """The rows of a CSV in UTF-8 (a byte-order mark is allowed) with commas and one header line.

    Read line by line, so that a table takes the memory of its rows and not of its file.

    Args:
        content: the file's bytes, or the file, open for reading.
        required: columns that must be there, in any order.
        optional: columns that may be there; others may not.

    Raises:
        InputError: one line that says what was expected, what was found and what to do.
    """
    wanted = ",".join([*required, *(f"[{name}]" for name in optional)])
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    lines = csv.reader(_lines(stream), strict=True)
    rows = list[Row]()
    try:
        header = next((cells for cells in _filled(lines)), None)
        if header is None:
            raise InputError(f"expected a table with the columns {wanted}, found an empty file")
        header = [name.strip() for name in header]
        _check_header(header, required, optional, wanted)
        faults = _read_rows(lines, header, rows)
    except csv.Error as error:
        raise InputError(
            f"line {lines.line_num}: expected comma-separated values, found {error}; save the "
            "table as CSV again"
        ) from None
    if not rows and not faults:
        raise InputError("expected rows below the header, found none")
    refuse(faults)
    return rows


def _read_rows(lines: Any, header: list[str], rows: list[Row]) -> list[str]:
    """Append the rows; return a line for every one that has not the header's number of values."""
    faults = list[str]()
    for cells in _filled(lines):
        if len(cells) != len(header):
            faults.append(f"line {lines.line_num}: expected {len(header)} values, as in the "
                          f"header, found {len(cells)}")  # fmt: skip
            continue
        values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        rows.append(Row(lines.line_num, values))
        if len(rows) + len(faults) > MAX_ROWS:
            raise InputError(f"line {lines.line_num}: expected at most {MAX_ROWS:,} rows, found "
                             "more; give a part of the table")  # fmt: skip
    return faults


def _filled(lines: Any) -> Iterator[list[str]]:
    """Rows with a value."""
    empty = 0
    for cells in lines:
        if any(map(str.strip, cells)):
            yield cells
            continue
        empty += 1
        if empty > MAX_EMPTY:
            raise InputError(
                f"line {lines.line_num}: expected rows, found more than {MAX_EMPTY:,} empty lines; "
                "save the table without them"
            )


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a file in UTF-8, none longer than `MAX_LINE`."""
    number = 0
    # Every kind of line end is kept, as the csv module wants it.
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        while line := text.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE and line[-1] not in "\r\n":
                raise InputError(f"line {number}: expected at most {MAX_LINE:,} characters, found "
                                 "more; save the table as CSV again")  # fmt: skip
            if "\0" in line:
                raise InputError("expected text, found a zero byte; save the table as CSV in UTF-8")
            yield line
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        # The decoder works on blocks: the line that is at fault is this one or a later one.
        number += 1 + error.object.count(b"\n", 0, error.start)
        raise InputError(
            f"line {number}: expected UTF-8, found the byte 0x{byte:02x}; save the table as UTF-8"
        ) from None
    finally:
        with contextlib.suppress(ValueError):
            text.detach()


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
