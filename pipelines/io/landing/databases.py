"""Reads the tables of a landed DuckDB file without letting it do anything: as an archive whose members are Parquet.

The file is opened read-only on a connection that may touch no other file, load no extension and change no setting.
Only columns that are stored in base tables are selected: views, macros and generated columns are never evaluated.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import duckdb
import polars as pl

from pipelines.io.landing.archives import ArchiveLimits, Member
from pipelines.io.landing.errors import LandingError

SUFFIX = ".duckdb"
LOCKED_DOWN: dict[str, str | bool | int] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "enable_external_access": False,
    "lock_configuration": True,
}
TABLES_SQL = """
select tables.table_name
from system.main.duckdb_tables() as tables
where tables.database_name = 'landed' and tables.schema_name = 'main'
order by tables.table_name
"""
COLUMNS_SQL = """
select columns.column_name
from system.main.duckdb_columns() as columns
where
    columns.database_name = 'landed'
    and columns.schema_name = 'main'
    and columns.table_name = $table
    and not columns.is_generated
order by columns.column_index
"""
NAMELESS = re.compile(r"column\d+")


def list_tables(path: Path, limits: ArchiveLimits) -> list[Member]:
    """The base tables of a DuckDB file as members, in a fixed order; their size is not known before they are read.

    Raises:
        LandingError: the file cannot be opened, or has more tables or bytes than it may.
    """
    if path.stat().st_size > limits.largest_bytes:
        raise _refusal(path, f"at most {limits.largest_bytes} bytes", "more")
    with _opened(path) as con:
        names = [str(name) for (name,) in con.sql(TABLES_SQL).fetchall()]
    if len(names) > limits.most_members:
        raise _refusal(path, f"at most {limits.most_members} tables", f"{len(names)}")
    odd = [name for name in names if not re.fullmatch(r"\w{1,60}", name, flags=re.ASCII)]
    if odd:
        raise _refusal(path, "plain names of tables", f"{len(odd)} others")
    return [Member(f"{name}.parquet", f"{name}.parquet", path.stat().st_size) for name in names]


def hash_table(path: Path, member: Member) -> str:
    """A digest of the whole file and the table's name: it stays the same as long as the file does."""
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{content}|{member.name}".encode()).hexdigest()


@contextmanager
def open_table(path: Path, name: str) -> Iterator[IO[bytes]]:
    """A table's rows as a Parquet stream, all columns as text.

    A table whose columns have no names of their own holds them in its first row, as a CSV reader left it.

    Raises:
        LandingError: the file or the table cannot be read.
    """
    with _opened(path) as con:
        columns = [str(column) for (column,) in con.sql(COLUMNS_SQL, params={"table": Path(name).stem}).fetchall()]
        listed = ", ".join(_quoted(column) for column in columns)
        rows: pl.DataFrame = con.sql(f"select {listed} from landed.main.{_quoted(Path(name).stem)}").pl()  # noqa: S608
    stream = io.BytesIO()
    _named(_texts(rows)).write_parquet(stream)
    stream.seek(0)
    yield stream


def _texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Every column as text; a whole number that was kept as a decimal one loses its fraction."""
    nested = [name for name, kind in rows.schema.items() if kind.is_nested() or kind == pl.Binary]
    return rows.drop(nested).with_columns(pl.col(name).cast(pl.String) for name in rows.columns if name not in nested)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    if not rows.height or not all(NAMELESS.fullmatch(name) for name in rows.columns):
        return rows
    names = [str(name) for name in rows.row(0)]
    if len(set(names)) < len(names):
        return rows
    return rows[1:].rename(dict(zip(rows.columns, names, strict=True)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own with the file attached under a name, so that nothing in it hides a built-in."""
    try:
        with closing(duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "2GB"})) as con:
            con.execute(f"attach {_text(str(path))} as landed (read_only, type duckdb)")
            for name, value in LOCKED_DOWN.items():
                con.execute(f"set {name} = ?", [value])
            yield con
    except (duckdb.Error, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise _refusal(path, "a DuckDB file that can be read", type(error).__name__) from None


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _refusal(path: Path, expected: str, found: str) -> LandingError:
    return LandingError(expected=expected, found=found, where=path.name)
