from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.data.checks import plain_path, refuse
from clbench.data.csv_table import read_table
from clbench.errors import InputError

CELLS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r\n"), max_size=12
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_reads_what_csv_writes(rows: list[tuple[str, str]], mark: bool, crlf: bool) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n" if crlf else "\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    content = out.getvalue().encode("utf-8-sig" if mark else "utf-8")
    expected = [(x.strip(), y.strip()) for x, y in rows if x.strip() or y.strip()]
    if not expected:
        with pytest.raises(InputError, match="rows below the header"):
            read_table(content, ("a", "b"))
        return
    found = read_table(content, ("a",), ("b",))
    assert [(row.values["a"], row.values["b"]) for row in found] == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_line(content: bytes) -> None:
    try:
        rows = read_table(content, ("a",), ("b",))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert rows and all(set(row.values) <= {"a", "b"} for row in rows)


def test_line_numbers_count_lines_of_the_file() -> None:
    rows = read_table(b'a,b\n\n1,"x\ny"\n\n2,z\n', ("a", "b"))
    assert [(row.line, row.values["a"]) for row in rows] == [(4, "1"), (6, "2")]


@pytest.mark.parametrize("name", ["", ".", "/a", "..", "a/../b", "../a", "a\\b", "C:a", "a\0b"])
def test_paths_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(InputError, match="expected a path below the folder"):
        plain_path(name)


@given(st.lists(st.text("ab.-_ é", min_size=1), min_size=1, max_size=4))
def test_paths_that_lead_down_stay_below(parts: list[str]) -> None:
    parts = [part for part in parts if part not in (".", "..")] or ["a"]
    assert plain_path("/".join(parts)).parts == tuple(parts)


def test_one_fault_or_the_first_of_many() -> None:
    refuse([])
    with pytest.raises(InputError, match="^a$"):
        refuse(["a"])
    with pytest.raises(InputError, match=r"^a \(and 1,200 more\)$"):
        refuse(["a"] * 1201)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\n" * 100_002, "expected rows, found more than 100,000 empty lines"),
        (b"a,b\n1,2\n" + b" , \r\n" * 100_002, "line 100003: expected rows, found more than"),
        (b"a,b\n1," + b"x" * 1_100_000, "expected at most 1,000,000 characters, found more"),
    ],
)
def test_tables_of_nothing_are_refused_early(content: bytes, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        read_table(io.BytesIO(content + b"\n" * 9), ("a", "b"))


def test_a_table_is_read_line_by_line() -> None:
    class Watched(io.BytesIO):
        most = 0

        def read1(self, size: int = -1, /) -> bytes:
            found = super().read1(size)
            Watched.most = max(Watched.most, self.tell())
            return found

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None and 0 <= size <= 2**20, "never the whole file"
            return super().read(size)

    with pytest.raises(InputError, match="empty lines"):
        read_table(Watched(b"a,b\n" + b"\n" * 5_000_000), ("a", "b"))
    assert Watched.most < 500_000, "stops where it knows enough"


def test_empty_lines_before_the_header() -> None:
    assert [row.line for row in read_table(b"\n\na,b\n1,2\n", ("a", "b"))] == [4]
    with pytest.raises(InputError, match="found an empty file"):
        read_table(b"\n \n", ("a", "b"))
