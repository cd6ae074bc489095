"""Reads a landed Parquet file as text; its record count comes from the file's own footer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import FeedTable


def read_parquet_rows(
    path: Path, table: FeedTable, *, most_records: int, name: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The contract's columns of every row as text, with ``line``; and the names of columns that are not read.

    Raises:
        LandingError: the file is unreadable, over the limit, not of its stated length or lacks a required column.
    """
    with opened_parquet(path, most_records=most_records, name=name) as opened:
        names = opened.schema_arrow.names
        found = {ours: text for ours, text in zip(table.named(names), names, strict=True) if ours}
        missing = sorted(header for ours, header in table.columns.items() if ours not in found)
        if missing:
            raise LandingError(expected="each required column", found=f"no {', '.join(missing)}", where=name)
        wanted = {ours: found.get(ours) for ours in table.names}
        rows = _texts(opened, wanted)
        if rows.height != opened.metadata.num_rows:
            raise LandingError(expected=f"{opened.metadata.num_rows} records", found=f"{rows.height}", where=name)
    return rows.with_row_index("line", offset=1), tuple(sorted(set(names) - set(wanted.values())))


def _texts(opened: pq.ParquetFile, wanted: Mapping[str, str | None]) -> pl.DataFrame:
    """The wanted columns as text, by our name; null where the file has none. Never its metadata, nor bad UTF-8."""
    read = opened.read(columns=[name for name in wanted.values() if name])
    read.validate(full=True)
    series = {ours: pl.Series(ours, read.column(name)) for ours, name in wanted.items() if name}
    none = pl.lit(None, dtype=pl.String)
    return pl.DataFrame(series).select(
        pl.col(ours).cast(pl.String).replace("", None) if name else none.alias(ours) for ours, name in wanted.items()
    )


@contextmanager
def opened_parquet(path: Path, *, most_records: int, name: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file that states no more records than we take; what cannot be read in it is refused.

    Raises:
        LandingError: the file is unreadable or over the limit.
    """
    try:
        with pq.ParquetFile(path) as opened:
            if opened.metadata.num_rows > most_records:
                raise LandingError(expected=f"at most {most_records} records", found="more", where=name)
            yield opened
    except (OSError, ValueError, ArrowException, pl.exceptions.PolarsError) as error:
        raise LandingError(expected="a Parquet file", found=type(error).__name__, where=name) from None
