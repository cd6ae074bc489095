"""Scores a Parquet file with a published score, batch by batch; what a score means is in models/published."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.clinical.scores.definition import ScoreDefinition
from models.published.reading import as_contract, columns_wanted
from models.published.registry import PublishedScore, load_scores
from pipelines.io.durable import write_aside

BATCH_ROWS = 250_000
_SORTING_MEMORY = "2GB"


@dataclass(frozen=True)
class ScoringReport:
    """What one file came to, in counts."""

    score: str
    version: str
    rows_read: int
    rows_written: int
    rows_without_score: int
    unused: tuple[str, ...] = ()
    """Columns of the file that the score does not know."""


def list_scores() -> list[ScoreDefinition]:
    """Every published score that is installed, by name."""
    return [score.definition for _, score in sorted(load_scores().items())]


def describe_score(name: str) -> str:
    """The contract of a score as text: columns, codings, units, accepted ranges, outputs, version and licence."""
    return _score(name).definition.as_text()


def score_file(
    name: str,
    input_path: Path,
    output_path: Path,
    *,
    batch_rows: int = BATCH_ROWS,
    key: str | None = None,
    options: Mapping[str, str] | None = None,
) -> ScoringReport:
    """What scoring the file came to; one row per key is written, and memory does not grow with the file.

    Raises:
        ValueError: no score of that name, or a table that is not what the score takes.
    """
    score = _score(name)
    key = key or score.definition.key
    with write_aside(output_path) as draft, _batches(input_path, score.definition, key, batch_rows) as batches:
        read = (as_contract(_keyed(batch, key), score.definition) for batch in batches)
        scored = (score.score(batch, key=key, options=options) for batch in read)
        written, without = _write(scored, draft, score.definition, key)
    rows = int(pq.read_metadata(input_path).num_rows)
    return ScoringReport(
        name, score.definition.version, rows, written, without, _unused(input_path, score.definition, key)
    )


def _unused(path: Path, definition: ScoreDefinition, key: str) -> tuple[str, ...]:
    found = pq.read_schema(path).names
    return tuple(name for name in found if name not in {key, *columns_wanted(found, definition)})


def _score(name: str) -> PublishedScore:
    scores = load_scores()
    if name not in scores:
        raise ValueError(f"no score called {name!r}; there is {', '.join(sorted(scores))}")
    return scores[name]


def _keyed(batch: pl.DataFrame, key: str) -> pl.DataFrame:
    """The batch, once every row of it has a key."""
    nulls = batch[key].null_count() if key in batch.columns else 0
    if nulls:
        raise ValueError(f"column {key}: {nulls} rows have no key; every row needs one")
    return batch


@contextmanager
def _batches(path: Path, definition: ScoreDefinition, key: str, batch_rows: int) -> Iterator[Iterator[pl.DataFrame]]:
    """The columns the score reads, a batch at a time, the rows of one key never in two batches."""
    found = pq.read_schema(path).names
    columns = [name for name in [key] if name in found] + columns_wanted(found, definition)
    if definition.rows == "one_per_key" or key not in columns:
        numbered = definition.rows == "one_per_key" and key == definition.key and key not in found
        batches = _read(path, columns, batch_rows)
        yield _numbered(batches, key) if numbered else batches
        return
    if _is_sorted(path, key, batch_rows):
        yield _whole_keys(_read(path, columns, batch_rows), key)
        return
    with TemporaryDirectory() as folder:
        yield _whole_keys(_read(_sorted_copy(path, columns, key, Path(folder)), columns, batch_rows), key)


def _read(path: Path, columns: list[str], batch_rows: int) -> Iterator[pl.DataFrame]:
    """The file in batches; an empty file is one empty batch."""
    # Buffering ahead would keep the bytes of every row group read so far: memory would grow with the file.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        empty = True
        for batch in file.iter_batches(batch_size=batch_rows, columns=columns):
            empty = False
            yield _frame(pa.Table.from_batches([batch]))
        if empty:
            yield _frame(file.schema_arrow.empty_table().select(columns))


def _numbered(batches: Iterator[pl.DataFrame], key: str) -> Iterator[pl.DataFrame]:
    """The batches with the number of each row in the file, from 1, as its key."""
    first = 1
    for batch in batches:
        yield batch.with_row_index(key, offset=first).with_columns(pl.col(key).cast(pl.Int64))
        first += batch.height


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _is_sorted(path: Path, key: str, batch_rows: int) -> bool:
    last = None
    for batch in _read(path, [key], batch_rows):
        keys = batch[key].drop_nulls()
        if not keys.is_sorted() or (last is not None and keys.len() and keys[0] < last):
            return False
        last = keys[-1] if keys.len() else last
    return True


def _sorted_copy(path: Path, columns: list[str], key: str, folder: Path) -> Path:
    """The columns of the file in the order of the key; sorting past the memory limit spills to the folder."""
    copy = folder / "sorted.parquet"
    with duckdb.connect(
        config={"memory_limit": _SORTING_MEMORY, "temp_directory": str(folder / "spill")}
    ) as connection:
        names = [duckdb.ColumnExpression(name) for name in columns]
        ordered = connection.read_parquet(str(path)).select(*names).sort(duckdb.ColumnExpression(key))
        ordered.write_parquet(str(copy))
    return copy


def _whole_keys(batches: Iterator[pl.DataFrame], key: str) -> Iterator[pl.DataFrame]:
    """The same rows, cut only between one key and the next."""
    held: pl.DataFrame | None = None
    for batch in batches:
        rows = batch if held is None else pl.concat([held, batch])
        held = rows.filter(pl.col(key) == rows[key][-1]) if rows.height else rows
        if held.height < rows.height:
            yield rows.head(rows.height - held.height)
    if held is not None:
        yield held


def _write(scored: Iterator[pl.DataFrame], path: Path, definition: ScoreDefinition, key: str) -> tuple[int, int]:
    """Rows written, and how many of them have a reason for having no score."""
    written = without = 0
    with path.open("wb") as sink, ExitStack() as open_writer:
        writer: pq.ParquetWriter | None = None
        for frame in scored:
            # Few distinct texts in many rows: handed over as codes they are written four times as fast.
            coded = frame.with_columns(pl.col(pl.String).exclude(key).cast(pl.Categorical))
            table = coded.to_arrow(compat_level=pl.CompatLevel.oldest())
            if writer is None:
                writer = pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=False)
                open_writer.enter_context(writer)
                about = {"score": definition.name, "version": definition.version, "licence": definition.licence}
                about["notice"] = definition.licence_note
                writer.add_key_value_metadata(about)
            writer.write_table(table)
            written += frame.height
            without += frame.height - frame["reason"].null_count()
    return written, without
