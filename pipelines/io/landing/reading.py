"""Reads one landed file as text, so that every physical record ends as a row or as a bad record.

The fast route is DuckDB over the whole file and is taken only if it accounts for every record that the byte
counter saw. Otherwise each record is taken by itself, in plain Python.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipelines.io.landing.counting import RecordCount, count_records
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import FeedTable, FileFormat, known_headers
from pipelines.io.landing.files import LandedFile

BATCH = 200_000
BAD_RECORDS = {"line": pl.UInt32, "reasons": pl.String, "raw": pl.String}

READ_SQL = """
select columns(lambda name: list_contains($wanted, name))
from read_csv(
    $path, columns = $columns, header = $has_header, delim = $delimiter, quote = $quote, escape = $quote,
    auto_detect = false, strict_mode = true, null_padding = false, nullstr = '', allow_quoted_nulls = true,
    max_line_size = 4194304
)
"""


@dataclass(frozen=True)
class TextTable:
    """One file as text: ``rows`` (the contract's columns and ``line``), records that are not rows, the counts."""

    rows: pl.DataFrame
    bad: pl.DataFrame
    count: RecordCount
    records: int
    left_out: tuple[str, ...]


def read_text(con: duckdb.DuckDBPyConnection, file: LandedFile, *, layout: FileFormat, table: FeedTable) -> TextTable:
    """Every record of one file, as text; an empty value is null, whatever quotes stand around it.

    Raises:
        LandingError: the file is empty or unreadable, or its header lacks a required column.
    """
    if file.problem or file.size == 0:
        raise LandingError(expected="a readable file with records", found=file.problem or "no bytes", where=file.name)
    count = count_records(file.path, delimiter=layout.delimiter, quote=layout.quote)
    columns, left_out, has_header = _columns(file, layout=layout, table=table)
    records = count.records - count.blank - has_header
    wanted = [name for name in columns if not name.startswith("unused_")]
    is_sound = not (count.has_broken_quotes or count.has_nul) and (
        count.ends_with_line_end or not layout.needs_last_line_end
    )
    rows = _read_fast(con, file.path, columns, wanted, layout, has_header) if is_sound else None
    bad = pl.DataFrame(schema=BAD_RECORDS)
    if rows is None or rows.height != records:
        rows, bad = _read_carefully(file.path, columns, layout=layout, count=count, skip=int(has_header))
        rows = rows.select("line", *wanted)
    missing = [name for name in table.optional if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
    return TextTable(rows=rows, bad=bad, count=count, records=records, left_out=left_out)


def _columns(file: LandedFile, *, layout: FileFormat, table: FeedTable) -> tuple[list[str], tuple[str, ...], bool]:
    """Our name of each column of the file, in its order; names of unknown headers; whether there is a header."""
    first = _first_record(file, layout)
    if table.positions:
        has_header = table.header_starts_with is not None and first[0] == table.header_starts_with
        by_position = {place: name for name, place in table.positions.items()}
        return [by_position.get(n, f"unused_{n}") for n in range(1, (table.width or 0) + 1)], (), has_header
    names = [_our_name(header, table) for header in first]
    known = [name for name in names if name]
    repeated = sorted({name for name in known if known.count(name) > 1})
    missing = sorted(header.replace("|", " or ") for name, header in table.columns.items() if name not in known)
    if missing or repeated:
        found = f"{len(missing)} missing ({', '.join(missing)})" if missing else f"twice: {', '.join(repeated)}"
        raise LandingError(expected=f"each required column of {file.table} once", found=found, where=file.name)
    known_ones = known_headers(file.feed, file.table)
    unread = [header for header, name in zip(first, names, strict=True) if name is None]
    left_out = tuple(_shown(header) for header in unread if header.strip().lower() not in known_ones)
    return [name or f"unused_{n}" for n, name in enumerate(names, start=1)], left_out, True


def _first_record(file: LandedFile, layout: FileFormat) -> list[str]:
    with file.path.open("rb") as raw:
        line = raw.readline(1 << 20)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return _parse(text, layout)
    except (UnicodeDecodeError, csv.Error):
        raise LandingError(expected="a header in UTF-8", found="one that is not", where=file.name) from None


def _shown(header: str) -> str:
    """A header that looks like a name; anything else could be data, and is not repeated."""
    return header if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ ]{0,59}", header) else "(not a name)"


def _our_name(header: str, table: FeedTable) -> str | None:
    spelled = table.spellings
    text = header.strip().lower()
    for name, start in table.numbered.items():
        digits = text.removeprefix(start.lower())
        if text.startswith(start.lower()) and len(digits) == 2 and digits.isascii() and digits.isdigit():
            return f"{name}_{digits}"
    return spelled.get(text)


def _read_fast(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    columns: list[str],
    wanted: list[str],
    layout: FileFormat,
    has_header: bool,
) -> pl.DataFrame | None:
    """All rows by DuckDB; None if it refuses the file."""
    values = {
        "path": str(path),
        "columns": dict.fromkeys(columns, "VARCHAR"),
        "wanted": wanted,
        "has_header": has_header,
        "delimiter": layout.delimiter,
        "quote": layout.quote or "",
    }
    try:
        rows: pl.DataFrame = con.sql(READ_SQL, params=values).pl()
    except duckdb.Error:
        return None
    return rows.with_row_index("line", offset=1)


def _read_carefully(
    path: Path, columns: list[str], *, layout: FileFormat, count: RecordCount, skip: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and bad records, record by record."""
    schema = {"line": pl.UInt32, **dict.fromkeys(columns, pl.String)}
    frames = [pl.DataFrame(schema=schema)]
    rows: list[tuple[int | str | None, ...]] = []
    bad: list[tuple[int, str, str]] = []
    records = _records(path, is_by_line=count.has_broken_quotes or layout.quote is None, quote=layout.quote)
    for line, raw in enumerate(_skip_blank(records, skip=skip), start=1):
        is_cut = layout.needs_last_line_end and not raw.endswith(b"\n")
        parsed = "truncated" if is_cut else _parse_record(raw, layout, len(columns))
        if isinstance(parsed, str):
            bad.append((line, parsed, raw.decode("utf-8", errors="backslashreplace").rstrip("\r\n")))
        else:
            rows.append((line, *[value or None for value in parsed]))
        if len(rows) == BATCH:
            frames.append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows = []
    frames.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(frames), pl.DataFrame(bad, schema=BAD_RECORDS, orient="row")


def _records(path: Path, *, is_by_line: bool, quote: str | None) -> Iterator[bytes]:
    mark = (quote or "").encode()
    held = b""
    with path.open("rb") as lines:
        for line in lines:
            held += line
            if is_by_line or held.count(mark) % 2 == 0:
                yield held
                held = b""
    if held:
        yield held


def _skip_blank(records: Iterator[bytes], *, skip: int) -> Iterator[bytes]:
    full = (record for record in records if record.rstrip(b"\n") not in (b"", b"\r"))
    for number, record in enumerate(full):
        if number >= skip:
            yield record


def _parse_record(raw: bytes, layout: FileFormat, width: int) -> list[str] | str:
    """The values of one record, or the reason why it has none."""
    if b"\0" in raw:
        return "nul_byte"
    try:
        values = _parse(raw.decode("utf-8").removesuffix("\n").removesuffix("\r"), layout)
    except UnicodeDecodeError:
        return "bad_encoding"
    except csv.Error:
        return "broken_quotes"
    if len(values) != width:
        return "too_wide" if len(values) > width else "too_narrow"
    return values


def _parse(text: str, layout: FileFormat) -> list[str]:
    if layout.quote is None:
        return text.split(layout.delimiter)
    found = list(csv.reader([text], delimiter=layout.delimiter, quotechar=layout.quote, strict=True))
    if len(found) != 1:
        raise csv.Error("more than one record")
    return found[0]
