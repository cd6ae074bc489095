"""Times ingestion: a full load beside DuckDB on the same files, a small delta beside it, and validation alone."""

import time
from pathlib import Path

import duckdb
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.bench import AS_OF, SEED
from pipelines.io.identity import make_key
from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings
from pipelines.steps.validation import split_by_contract
from pipelines.synthetic.write import write_extracts
from tests.benchmarks.scores import best_of

SIZES = ((80_000, 10), (200_000, 20))
"""People and practices of each load that is timed: what is fixed weighs less in the second."""
DELTA_SHARE = 100
"""One record in so many is sent again."""
LATER = "20261123023000"


def land(home: Path, *, people: int, practices: int) -> Settings:
    """A workspace with EMIS extracts of some practices, not ingested yet."""
    settings = Settings().model_copy(update={"home": home, "threads": 2})
    write_extracts(
        people=people,
        practices=practices,
        seed=SEED,
        as_of=AS_OF,
        formats=["emis", "reference"],
        out=settings.home,
        with_truth=False,
    )
    if not settings.key_file.exists():
        make_key(settings.key_file)
    return settings


def seconds_as_text(settings: Settings, folder: Path) -> float:
    """Seconds that DuckDB takes to read the same files as text into one Parquet file a table."""
    tables: dict[str, list[str]] = {}
    for path in sorted((settings.landing / "emis").glob("*/*.csv")):
        tables.setdefault("_".join(path.name.split("_")[1:3]), []).append(str(path))

    def read() -> None:
        with duckdb.connect(config={"threads": settings.threads}) as con:
            for table, paths in tables.items():
                rows = con.read_csv(paths, all_varchar=True, header=True, delimiter=",")
                rows.write_parquet(str(folder / f"{table}.parquet"), compression="zstd")

    return best_of(2, read)


def seconds_to_ingest(settings: Settings) -> tuple[float, int]:
    """Seconds of one ingest, and the records that its ledger accounts for.

    Raises:
        ValueError: something was refused.
    """
    began = time.perf_counter()
    report = ingest(settings)
    seconds = time.perf_counter() - began
    if report.refused:
        raise ValueError(f"{len(report.refused)} deliveries were refused")
    return seconds, int(report.files["records"].sum())


def land_delta(settings: Settings) -> None:
    """A later delivery of every practice, with one record in a hundred of every table sent again."""
    for path in sorted((settings.landing / "emis").glob("*/*.csv")):
        header, *records = path.read_bytes().splitlines(keepends=True)
        number, schema, table, _, agreement = path.name.split("_")
        name = "_".join((number, schema, table, LATER, agreement))
        path.with_name(name).write_bytes(b"".join([header, *records[::DELTA_SHARE]]))


def rows_validated_a_second() -> float:
    """Rows that are split by the contract of observations into good and held, by a million, one in ten held."""
    count = 1_000_000
    number = pl.int_range(count, dtype=pl.Int64)
    # Worked out from the number, row by row: a constant would be kept, and checked, as one value.
    yes, day = number >= 0, pl.lit(AS_OF).dt.offset_by((-(number % 5_000)).cast(pl.String) + "d")
    rows = pl.select(
        record_id=number,
        is_own_organisation=yes,
        has_readable_dates=yes,
        has_readable_flags=yes,
        is_confidential=number % 10 == 0,
        person_state=pl.when(number % 2 == 0).then(pl.lit("held")).otherwise(pl.lit("held")),
        birth_date=day.dt.offset_by("-50y"),
        clinical_date=day.dt.offset_by("-1y"),
        code_state=pl.when(number % 2 == 0).then(pl.lit("known")).otherwise(pl.lit("known")),
        concept_id=number + 38341003,
        entered_date=day.dt.offset_by("-1y"),
        has_readable_numbers=yes,
        extract_date=day,
    )
    split = split_by_contract(rows, contracts.StagedEvents)
    if (split.good.height, split.bad.height) != (count * 9 // 10, count // 10):
        raise ValueError("the contract does not hold back what it should")
    return count / best_of(3, lambda: split_by_contract(rows, contracts.StagedEvents))
