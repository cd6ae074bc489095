"""The byte counter agrees with a plain reading of the bytes, whatever the chunks."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.io.landing import counting
from pipelines.io.landing.counting import count_records


def count(folder: Path, data: bytes, quote: str | None = '"') -> counting.RecordCount:
    path = folder / "file.csv"
    path.write_bytes(data)
    return count_records(path, delimiter=",", quote=quote)


@pytest.mark.parametrize(
    ("data", "records", "blank", "is_broken"),
    [
        (b"", 0, 0, False),
        (b'"a","b"\r\n', 1, 0, False),
        (b'"a","b"\r\n"c","d"', 2, 0, False),
        (b'"a","x\r\ny"\r\n"c","d"\r\n', 2, 0, False),
        (b'"a","x ""y"" z"\n"c",""\n', 2, 0, False),
        (b'"a"\r\n\r\n\n"b"\r\n', 4, 2, False),
        (b'\xef\xbb\xbf"a"\r\n"b"\r\n', 2, 0, False),
        (b'"a","b\r\n"c","d"\r\n', 2, 0, True),
        (b'"a","b"c"\r\n"c","d"\r\n', 2, 0, True),
        (b'"a","b\r\n', 1, 0, True),
        (b"a,b\nc,d\n", 2, 0, False),
        (b'"a"\n\r', 2, 1, False),
    ],
)
def test_records_are_counted_by_the_formats_own_rules(
    tmp_path: Path, data: bytes, records: int, blank: int, is_broken: bool
) -> None:
    found = count(tmp_path, data)
    assert (found.records, found.blank, found.has_broken_quotes) == (records, blank, is_broken)


def test_without_quotes_every_line_is_a_record(tmp_path: Path) -> None:
    assert count(tmp_path, b'a|"b\nc|d\n', quote=None).records == 2


def test_a_nul_and_a_missing_line_end_are_seen(tmp_path: Path) -> None:
    assert count(tmp_path, b"a\0b\n").has_nul
    assert not count(tmp_path, b"a\nb").ends_with_line_end


TEXT = st.text(st.sampled_from('a ,"\r\n'), max_size=6)


@examples(max_examples=200, deadline=None, derandomize=True)
@given(rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=8), chunk=st.integers(1, 40))
def test_any_well_written_file_is_counted_right(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], chunk: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    whole = counting.CHUNK
    counting.CHUNK = chunk
    try:
        found = count(tmp_path_factory.mktemp("counted"), text.getvalue().encode())
    finally:
        counting.CHUNK = whole
    assert (found.records, found.blank, found.has_broken_quotes) == (len(rows), 0, False)
