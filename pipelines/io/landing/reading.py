"""Reads one landed file as text, so that every physical record ends as a row or as a bad record.

A member of an archive, or a file in another encoding than UTF-8, is read from a plain copy in the work folder. The
fast route is DuckDB over the whole file and is taken only if it accounts for every record that the byte
counter saw. Otherwise each record is taken by itself, in plain Python.
"""

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import duckdb
import polars as pl
from duckdb import ColumnExpression, SQLExpression, StarExpression

from pipelines.io.landing import databases
from pipelines.io.landing.archives import open_member
from pipelines.io.landing.counting import RecordCount, count_records
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import FeedTable, FileFormat, known_headers, load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.parquet_text import opened_parquet, read_parquet_rows

READERS = 2
"""Files that are read at a time: counting the bytes of one takes one core."""
BATCH = 200_000
CHUNK = 1 << 20
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
class FileCount:
    """How many records of a file were seen while it was read; those of an unused file are all declared blank."""

    file: LandedFile
    records: int
    blank: int
    left_out: tuple[str, ...] = ()
    is_used: bool = True
    note: str | None = None
    """What the ledger should tell of it."""


@dataclass(frozen=True)
class TextTable:
    """One file as text: its rows (the contract's columns and ``line``), records that are not rows, the counts."""

    held: pl.LazyFrame
    """In memory or, of a table that may be too long for that, in a file of the work folder."""
    bad: pl.DataFrame
    count: FileCount

    @property
    def rows(self) -> pl.DataFrame:
        """The rows, in memory."""
        return self.held.collect()

    def where(self, wanted: pl.Expr) -> "TextTable":
        """Some of the rows, and all that is no row."""
        return replace(self, held=self.held.filter(wanted))

    @property
    def file(self) -> LandedFile:
        """The file that was read."""
        return self.count.file


def read_text(
    file: LandedFile, *, con: duckdb.DuckDBPyConnection, work: Path, spooled_by: str | None = None
) -> TextTable:
    """Every record of one file, as text; an empty value is null, whatever quotes stand around it.

    With ``spooled_by`` the rows of a delimited file lie in the work folder, in the order of that column where they
    have it, so that those with one value can be had in the memory that they take.

    Raises:
        LandingError: the file is empty or unreadable, or its header lacks a required column.
    """
    if file.problem or file.size == 0:
        raise LandingError(expected="a readable file with records", found=file.problem or "no bytes", where=file.name)
    contract = load_feed(file.feed)
    table = contract.tables[file.table]
    with as_plain(file, work) as path:
        if _is_parquet(file):
            rows, left_out = read_parquet_rows(path, table, most_records=contract.most_records, name=file.name)
            known = known_headers(file.feed, file.table)
            left_out = tuple(header for header in left_out if header.lower() not in known)
            count = FileCount(file, records=rows.height, blank=0, left_out=left_out)
            return TextTable(rows.lazy(), pl.DataFrame(schema=BAD_RECORDS), count)
        spool = _Spool(con, work, spooled_by) if spooled_by else None
        return _read_delimited(con, file, path, layout=contract.layout(file.name), table=table, spool=spool)


def read_texts(
    files: Iterable[LandedFile], *, con: duckdb.DuckDBPyConnection, work: Path, spooled_by: str | None = None
) -> list[TextTable]:
    """Each file as ``read_text`` reads it, in the order given; while one is counted another is parsed.

    Raises:
        LandingError: one is empty or unreadable, or its header lacks a required column.
    """

    def read(file: LandedFile) -> TextTable:
        with closing(con.cursor()) as own:
            return read_text(file, con=own, work=work, spooled_by=spooled_by)

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        return list(pool.map(read, files))


def count_all_unused(files: Iterable[LandedFile], work: Path) -> tuple[FileCount, ...]:
    """The records of files that nothing is taken from, in the order given.

    Raises:
        LandingError: one is unreadable.
    """
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        return tuple(pool.map(lambda file: count_unused(file, work), files))


def count_unused(file: LandedFile, work: Path) -> FileCount:
    """The records of a file that nothing is taken from.

    Raises:
        LandingError: the file is unreadable.
    """
    if file.problem:
        raise LandingError(expected="a readable file", found=file.problem, where=file.name)
    contract = load_feed(file.feed)
    with as_plain(file, work) as path:
        if _is_parquet(file):
            with opened_parquet(path, most_records=contract.most_records, name=file.name) as opened:
                records = int(opened.metadata.num_rows)
        else:
            layout = contract.layout(file.name)
            counted = count_records(path, delimiter=layout.delimiter, quote=layout.quote)
            records = max(counted.records - layout.has_header, 0)
    return FileCount(file, records=0, blank=records, is_used=False)


@contextmanager
def as_plain(file: LandedFile, work: Path) -> Iterator[Path]:
    """The file itself, or, of a member of an archive or a file in another encoding, a plain copy in UTF-8.

    A byte that the encoding does not know stays as it is, and makes its record a bad one.
    """
    is_utf8 = _is_parquet(file) or load_feed(file.feed).layout(file.name).encoding == "utf-8"
    if is_utf8 and file.member is None:
        yield file.path
        return
    # A name of its own: two files of one content may be read at the same time.
    handle, name = tempfile.mkstemp(prefix="plain_", dir=work)
    copy = Path(name)
    with os.fdopen(handle, "wb") as target, open_landed(file) as source:
        while chunk := source.read(CHUNK):
            target.write(chunk if is_utf8 else _to_utf8(chunk))
    try:
        yield copy
    finally:
        copy.unlink()


def _to_utf8(chunk: bytes) -> bytes:
    return chunk.decode("cp1252", errors="surrogateescape").encode("utf-8", errors="surrogateescape")


def open_landed(file: LandedFile) -> AbstractContextManager[IO[bytes]]:
    """The bytes of a landed file, or of a member of an archive, as a stream."""
    if file.member is None:
        return file.path.open("rb")
    is_database = file.path.suffix == databases.SUFFIX
    return (databases.open_table if is_database else open_member)(file.path, file.member)


def _is_parquet(file: LandedFile) -> bool:
    return (file.member or file.path.name).endswith(".parquet")


@dataclass(frozen=True)
class _Spool:
    """Keeps rows in files of the work folder, in the order of a column where they have it."""

    con: duckdb.DuckDBPyConnection
    work: Path
    by: str

    def keep(self, read: duckdb.DuckDBPyRelation) -> pl.LazyFrame:
        """The rows of a query, each with its ``line``, from a file."""
        order = [ColumnExpression(name) for name in (self.by, "line") if name in read.columns]
        path = self.path()
        read.sort(*order).write_parquet(str(path), compression="lz4", row_group_size=BATCH)
        return pl.scan_parquet(path).with_columns(pl.col("line").cast(BAD_RECORDS["line"]))

    def keep_pieces(self, pieces: Iterable[pl.DataFrame]) -> pl.LazyFrame:
        """Rows that come piece by piece, from a file."""
        paths = []
        for piece in pieces:
            paths.append(self.path())
            piece.write_parquet(paths[-1], compression="lz4")
        kept = self.keep(self.con.read_parquet([str(path) for path in paths]))
        for path in paths:
            path.unlink()
        return kept

    def path(self) -> Path:
        """A new file."""
        handle, name = tempfile.mkstemp(prefix="spool_", suffix=".parquet", dir=self.work)
        os.close(handle)
        return Path(name)


def _read_delimited(
    con: duckdb.DuckDBPyConnection,
    file: LandedFile,
    path: Path,
    *,
    layout: FileFormat,
    table: FeedTable,
    spool: _Spool | None,
) -> TextTable:
    count = count_records(path, delimiter=layout.delimiter, quote=layout.quote)
    columns, left_out, has_header = _columns(file, path, layout=layout, table=table)
    records = count.records - count.blank - has_header
    wanted = [name for name in columns if not name.startswith("unused_")]
    is_sound = not (count.has_broken_quotes or count.has_nul) and (
        count.ends_with_line_end or not layout.needs_last_line_end
    )
    rows = _read_fast(con, path, columns, wanted, layout, has_header, spool) if is_sound else None
    bad: list[pl.DataFrame] = [pl.DataFrame(schema=BAD_RECORDS)]
    if rows is None or rows.select(pl.len()).collect().item() != records:
        pieces = _read_carefully(path, columns, layout=layout, count=count, skip=int(has_header), bad=bad)
        rows = (spool.keep_pieces(pieces) if spool else pl.concat(pieces).lazy()).select("line", *wanted)
    missing = [name for name in (*table.optional, *table.positions) if name not in wanted]
    rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
    return TextTable(rows, pl.concat(bad), FileCount(file, records=records, blank=count.blank, left_out=left_out))


def _columns(
    file: LandedFile, path: Path, *, layout: FileFormat, table: FeedTable
) -> tuple[list[str], tuple[str, ...], bool]:
    """Our name of each column of the file, in its order; names of unknown headers; whether there is a header."""
    first = _first_record(file, path, layout)
    if table.positions:
        has_header = table.header_starts_with is not None and first[0] == table.header_starts_with
        by_position = {place: name for name, place in table.positions.items()}
        most = table.width or 0
        width = min(max(len(first), table.least_width or most), most)
        return [by_position.get(n, f"unused_{n}") for n in range(1, width + 1)], (), has_header
    names = table.named(first)
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


def _first_record(file: LandedFile, path: Path, layout: FileFormat) -> list[str]:
    with path.open("rb") as raw:
        line = raw.readline(1 << 20)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return _parse(text, layout)
    except (UnicodeDecodeError, csv.Error):
        raise LandingError(expected=f"a header in {layout.encoding}", found="another", where=file.name) from None


def _shown(header: str) -> str:
    """A header that looks like a name; anything else could be data, and is not repeated."""
    return header if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ ]{0,59}", header) else "(not a name)"


def _read_fast(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    columns: list[str],
    wanted: list[str],
    layout: FileFormat,
    has_header: bool,
    spool: _Spool | None,
) -> pl.LazyFrame | None:
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
        read = con.sql(READ_SQL, params=values)
        if spool:
            return spool.keep(read.select(SQLExpression("row_number() over ()").alias("line"), StarExpression()))
        rows: pl.DataFrame = read.pl()
    except duckdb.Error:
        return None
    return rows.with_row_index("line", offset=1).lazy()


def _read_carefully(
    path: Path, columns: list[str], *, layout: FileFormat, count: RecordCount, skip: int, bad: list[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Rows record by record, in pieces; records that are no rows are added to ``bad``."""
    schema = {"line": pl.UInt32, **dict.fromkeys(columns, pl.String)}
    rows: list[tuple[int | str | None, ...]] = []
    found: list[tuple[int, str, str]] = []
    records = _records(path, is_by_line=count.has_broken_quotes or layout.quote is None, quote=layout.quote)
    for line, raw in enumerate(_skip_blank(records, skip=skip), start=1):
        is_cut = layout.needs_last_line_end and not raw.endswith(b"\n")
        parsed = "truncated" if is_cut else _parse_record(raw, layout, len(columns))
        if isinstance(parsed, str):
            found.append((line, parsed, raw.decode("utf-8", errors="backslashreplace").rstrip("\r\n")))
        else:
            rows.append((line, *[value or None for value in parsed]))
        if len(rows) == BATCH:
            yield pl.DataFrame(rows, schema=schema, orient="row")
            rows = []
    yield pl.DataFrame(rows, schema=schema, orient="row")
    bad.append(pl.DataFrame(found, schema=BAD_RECORDS, orient="row"))


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
