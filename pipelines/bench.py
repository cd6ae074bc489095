"""The performance bill: what each table of a week costs on made-up people, beside what reading its columns costs."""

import datetime as dt
import json
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
import duckdb
import polars as pl
import pyarrow.parquet as pq
import vl_convert
from duckdb import ColumnExpression, FunctionExpression

from data_contracts.registry import CONTRACTS
from pipelines.io.identity import make_key, people_path
from pipelines.io.queries import load_queries
from pipelines.io.releases import verify_release, write_release
from pipelines.io.releases.options import ReleaseOptions
from pipelines.io.releases.publish import TABLES
from pipelines.io.studies import Question
from pipelines.io.training import train_model
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_table, weekly_order
from pipelines.io.weekly_steps import STEPS
from pipelines.settings import Settings
from pipelines.synthetic.identifiers import nhs_numbers
from pipelines.synthetic.write import write_extracts

AS_OF = dt.date(2026, 11, 16)
SEED = 2026
LEARNED_PEOPLE = 50_000
"""People whom the model is trained on: its cost is not a weekly one."""
STUDY = "avoidable_admission_12m"
MADE_UP_NUMBERS = 900_000
"""Of larger populations several people share a made-up NHS number, but nobody on a list with anybody on a list."""
SAMPLING_SECONDS = 0.02
BRIEF_SECONDS, TIMES = 0.5, 3
"""What takes less than this is measured so many times and the quickest counts: else the ratio would be noise."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GIB = 2**30
BILL = {
    "part": pl.String,
    "rows_in": pl.Int64,
    "rows_out": pl.Int64,
    "seconds": pl.Float64,
    "of_it_checking": pl.Float64,
    "seconds_per_million": pl.Float64,
    "floor_seconds": pl.Float64,
    "times_floor": pl.Float64,
    "peak_gib": pl.Float64,
    "mib": pl.Float64,
}
"""Columns of a bill: ``seconds`` build a table and check its contract; the floor is one scan of the same columns."""
LIMITS = {"part": pl.String, "times_floor": pl.Float64}
"""The most that a part, or the whole week, may take in times of its floor: a ratio of one run, on any machine."""
WEEK = "week"
PART_SLACK, LEAST_LIMIT, WEEK_SLACK = 2.0, 10.0, 1.4
"""How far over the ratios of a quiet run limits are set: a part's waver by a third, the week's hardly at all."""
Tell = Callable[[str], None]
Found = TypeVar("Found")


@dataclass
class Peak:
    """The most memory that this process and those it started held while it was watched."""

    bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Samples until stopped."""
        while not self._stop.wait(SAMPLING_SECONDS):
            self.bytes = max(self.bytes, _held())

    def stop(self) -> None:
        """Ends the watch."""
        self._stop.set()


def bill(people: int, work: Path, *, settings: Settings, on_step: Tell = lambda step: None) -> pl.DataFrame:
    """One row per part of a week over so many made-up people, in the order in which they are made: BILL.

    The people and the model are made once and kept in the work folder.
    """
    home = work / f"people-{people}"
    settings = settings.model_copy(update={"home": home})
    made = home / "made.json"
    if not made.exists():
        on_step(f"making up {people:,} people")
        with _measured() as cost:
            write_extracts(
                people=people, practices=None, seed=SEED, as_of=AS_OF, formats=["history"], out=home, with_truth=False
            )
        made.write_text(json.dumps({"seconds": cost.seconds, "peak": cost.peak}), encoding="utf-8")
    _lend_model(settings, work, on_step)
    warehouse = Warehouse(settings)
    rows = [_history(warehouse, json.loads(made.read_text("utf-8")))]
    for table in weekly_order():
        on_step(table)
        rows.append(_table(warehouse, table))
    on_step("release")
    rows.append(_release(warehouse))
    found = pl.DataFrame(rows).with_columns(
        seconds_per_million=pl.col("seconds") * 1e6 / people,
        times_floor=pl.col("seconds") / pl.col("floor_seconds"),
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in BILL.items())


@dataclass
class _Cost:
    seconds: float = 0.0
    peak: int = 0


@contextmanager
def _measured() -> Iterator[_Cost]:
    """The seconds and the peak of what runs inside, known when it has ended."""
    cost, peak = _Cost(), Peak(_held())
    watcher = threading.Thread(target=peak.watch)
    watcher.start()
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        peak.stop()
        watcher.join()
        cost.peak = peak.bytes


def _held() -> int:
    """Bytes that this process and those it started hold in memory now."""
    processes = ("self", *(str(child.pid) for child in multiprocessing.active_children()))
    return sum(_held_by(process) for process in processes)


def _held_by(process: str) -> int:
    """Bytes that one process holds, none if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def _lend_model(settings: Settings, work: Path, on_step: Tell) -> None:
    """Gives the workspace a champion, trained once on people of its own."""
    learned = settings.model_copy(update={"home": work / f"learned-{LEARNED_PEOPLE}"})
    if not learned.models.exists():
        on_step("training the model that is scored with")
        write_extracts(
            people=LEARNED_PEOPLE, practices=None, seed=SEED + 1, as_of=AS_OF, formats=["history"], out=learned.home
        )
        train_model(learned, STUDY, Question(as_of=AS_OF), on_step=on_step)
    if not settings.models.exists():
        settings.models.symlink_to(learned.models.resolve(), target_is_directory=True)


def _history(warehouse: Warehouse, made: dict[str, float]) -> dict[str, Any]:
    """What making the people up cost."""
    files = sorted(warehouse.settings.history.rglob("*.parquet"))
    return {
        "part": "made-up history",
        "rows_in": None,
        "rows_out": sum(pq.read_metadata(file).num_rows for file in files),
        "seconds": made["seconds"],
        "of_it_checking": None,
        "floor_seconds": None,
        "peak_gib": made["peak"] / GIB,
        "mib": sum(file.stat().st_size for file in files) / 2**20,
    }


def _table(warehouse: Warehouse, table: str) -> dict[str, Any]:
    """What building and checking one table cost."""
    columns = _columns_read(warehouse, table)
    return {
        "part": table,
        "rows_in": sum(_rows(warehouse, name) for name in _reads(table)),
        **_quickest(lambda: _building(warehouse, table), lambda cost: cost["seconds"]),
        "floor_seconds": _quickest(lambda: _floor(warehouse, columns), lambda seconds: seconds),
    }


def _quickest(measure: Callable[[], Found], seconds: Callable[[Found], float]) -> Found:
    """The quickest of TIMES measurements if the first is brief, else the first."""
    first = measure()
    return min([first, *(measure() for _ in range(1, TIMES if seconds(first) < BRIEF_SECONDS else 1))], key=seconds)


def _building(warehouse: Warehouse, table: str) -> dict[str, Any]:
    """What building and checking one table cost this time."""
    with _measured() as cost:
        report = build_table(warehouse, table, AS_OF)
        built = time.perf_counter()
        warehouse.check(table, AS_OF)
        checking = time.perf_counter() - built
    return {
        "rows_out": report.rows,
        "seconds": cost.seconds,
        "of_it_checking": checking,
        "peak_gib": cost.peak / GIB,
        "mib": report.bytes / 2**20,
    }


def _release(warehouse: Warehouse) -> dict[str, Any]:
    """What writing the release of the week cost, ICB files and practices' lists, and verifying it (as its check)."""
    settings = warehouse.settings
    _name_people(warehouse)
    with _measured() as cost:
        release = write_release(settings, AS_OF, options=ReleaseOptions(national_opt_out="none"))
        written = time.perf_counter()
        findings = verify_release(release)
        checking = time.perf_counter() - written
    if findings:
        raise RuntimeError(f"the release of the made-up week does not verify: {len(findings)} findings")
    files = [path for path in release.rglob("*") if path.is_file()]
    columns = {name: list(CONTRACTS[name].to_schema().columns) for name in TABLES}
    return {
        "part": "release",
        "rows_in": sum(_rows(warehouse, name) for name in TABLES),
        "rows_out": sum(pq.read_metadata(path).num_rows for path in files if path.suffix == ".parquet"),
        "seconds": cost.seconds,
        "of_it_checking": checking,
        "floor_seconds": _floor(warehouse, columns),
        "peak_gib": cost.peak / GIB,
        "mib": sum(path.stat().st_size for path in files) / 2**20,
    }


def _name_people(warehouse: Warehouse) -> None:
    """Gives the registered people made-up NHS numbers, of which history has none, and the workspace a key."""
    settings = warehouse.settings
    if not settings.key_file.exists():
        make_key(settings.key_file)
    given = 0
    for icb in warehouse.icb_codes():
        path = people_path(settings, icb)
        rows = warehouse.read("registrations", AS_OF, icb).collect()
        listed = warehouse.read("target_lists", AS_OF, icb).select("person_id").collect()["person_id"]
        is_other = ~pl.col("person_id").is_in(listed.implode())
        rank = rows.select(pl.struct(is_other.alias("is_other"), "person_id").rank("dense")).to_series()
        place = (rank.to_numpy().astype("int64") - 1 + given) % MADE_UP_NUMBERS
        given += listed.n_unique()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        rows.select(
            nhs_numbers(place, SEED).alias("nhs_number"),
            "person_id",
            "practice_code",
            "birth_date",
            pl.lit(None, dtype=pl.String).alias("given_name"),
            pl.lit(None, dtype=pl.String).alias("surname"),
            "registered_date",
            "record_id",
        ).write_parquet(path)


def _reads(table: str) -> tuple[str, ...]:
    """The tables in files that a weekly table is made from."""
    queries = load_queries()
    reads = queries[table].reads if table in queries else next(step.reads for step in STEPS if step.name == table)
    return tuple(name for name in reads if name in CONTRACTS)


def _parts(warehouse: Warehouse, table: str) -> list[Path]:
    paths = dict.fromkeys(warehouse.path(table, AS_OF, icb) for icb in warehouse.icb_codes())
    return [path for path in paths if path.exists()]


def _rows(warehouse: Warehouse, table: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in _parts(warehouse, table))


def _columns_read(warehouse: Warehouse, table: str) -> dict[str, list[str]]:
    """The columns of each file table that a weekly table needs: of its plan, or all where Python makes it."""
    everything = {name: list(CONTRACTS[name].to_schema().columns) for name in _reads(table)}
    if table not in load_queries():
        return everything
    words = set(re.findall(r"\w+", warehouse.plan(table, AS_OF)))
    return {name: [column for column in columns if column in words] for name, columns in everything.items()}


def _floor(warehouse: Warehouse, columns: dict[str, list[str]]) -> float:
    """Seconds of one scan of the columns, ICB by ICB; a hash of every value, as statistics would answer less."""
    scans = [(path, wanted) for table, wanted in columns.items() if wanted for path in _parts(warehouse, table)]
    with duckdb.connect(config={"threads": warehouse.settings.threads}) as connection:
        began = time.perf_counter()
        for path, wanted in scans:
            hashes = [
                FunctionExpression("bit_xor", FunctionExpression("hash", ColumnExpression(name))) for name in wanted
            ]
            connection.read_parquet(str(path)).aggregate(hashes).fetchall()
        return time.perf_counter() - began


def limits_of(table: pl.DataFrame) -> pl.DataFrame:
    """One row per part of a bill, and one of the week: the limits that its ratios give, LIMITS."""
    ratios = _ratios(table)
    ratio = pl.col("times_floor")
    limit = pl.when(pl.col("part") == WEEK).then(ratio * WEEK_SLACK).otherwise((ratio * PART_SLACK).clip(LEAST_LIMIT))
    return ratios.with_columns(times_floor=limit.round(1))


def over_limits(table: pl.DataFrame, limits: pl.DataFrame) -> list[str]:
    """Which parts of a bill, or the week, are over their limit or have none; empty if all is well."""
    joined = _ratios(table).join(
        limits.rename({"times_floor": "limit"}), on="part", how="left", maintain_order="left"
    )
    return [
        f"{part}: expected at most {limit} times one scan of its columns; found {ratio:.1f}"
        if limit is not None
        else f"{part}: expected a limit; found none"
        for part, ratio, limit in joined.iter_rows()
        if limit is None or ratio > limit
    ]


def _ratios(table: pl.DataFrame) -> pl.DataFrame:
    """The ratio to the floor of each part that has one, and of all of them together."""
    parts = table.drop_nulls("floor_seconds")
    week = parts.select(part=pl.lit(WEEK), times_floor=pl.col("seconds").sum() / pl.col("floor_seconds").sum())
    return pl.concat([parts.select(list(LIMITS)), week])


def write_bills(bills: dict[int, pl.DataFrame], page: Path) -> None:
    """Writes the bills as a Markdown page with a table for each size, and a chart of the largest beside it."""
    largest = bills[max(bills)]
    chart = page.with_suffix(".svg")
    chart.write_text(_chart(largest), encoding="utf-8")
    parts = [
        "# What a week costs",
        "",
        "Made by `casefinder bench`; do not edit. Made-up people, on the machine that ran it, with "
        f"{os.cpu_count()} cores. Seconds build a table and check its contract; the floor is one scan of the same "
        "columns by DuckDB in the same run; of what takes less than half a second, the quickest of three. Memory is "
        "the most that the process held. The release is all that "
        "leaves, ICB files and practices' lists, and its checking is `casefinder verify`. Ingestion is not in it: "
        "[figures](figures.md) has what that costs. "
        "What pandas and others take for the same answers is on [a page of its own](comparisons.md).",
        "",
        "| People | A week, seconds | Per million | Of it the release | Peak GiB | Making them up, per million |",
        "| --: | --: | --: | --: | --: | --: |",
        *(_week_line(people, table) for people, table in sorted(bills.items())),
        "",
        f"![Seconds per million people by table]({chart.name})",
    ]
    for people, table in sorted(bills.items()):
        parts += [
            "",
            f"## {people:,} people",
            "",
            "| Part | Rows in | Rows out | Seconds | Checking | Per million | Times floor | Peak GiB | MiB |",
            "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
            *(_line(row) for row in table.iter_rows(named=True)),
        ]
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _week_line(people: int, table: pl.DataFrame) -> str:
    """One size's row of the table at the head of the page."""
    is_made_up, is_release = pl.col("part") == "made-up history", pl.col("part") == "release"
    week, made = table.filter(~is_made_up), float(table.filter(is_made_up)["seconds"].sum())
    total, release = float(week["seconds"].sum()), float(table.filter(is_release)["seconds"].sum())
    millions, peak = people / 1e6, float(week["peak_gib"].to_numpy().max())
    return (
        f"| {people:,} | {total:.1f} | {total / millions:.1f} | {release / millions:.1f} | {peak:.2f} | "
        f"{made / millions:.1f} |"
    )


def _line(row: dict[str, Any]) -> str:
    """One row of the page's table."""
    floor = "" if row["times_floor"] is None else f"{row['times_floor']:.1f}"
    checking = "" if row["of_it_checking"] is None else f"{row['of_it_checking']:.2f}"
    rows_in = "" if row["rows_in"] is None else f"{row['rows_in']:,}"
    return (
        f"| {row['part']} | {rows_in} | {row['rows_out']:,} | {row['seconds']:.2f} | {checking} | "
        f"{row['seconds_per_million']:.2f} | {floor} | {row['peak_gib']:.2f} | {row['mib']:.1f} |"
    )


def _chart(table: pl.DataFrame) -> str:
    """Bars of seconds per million people, dearest first, with the floor as a tick."""
    week = table.filter(pl.col("part") != "made-up history").with_columns(
        floor_per_million=pl.col("seconds_per_million") / pl.col("times_floor")
    )
    bars = (
        alt.Chart(week, title="Seconds per million people; the tick is one scan of the same columns")
        .mark_bar()
        .encode(
            x=alt.X("seconds_per_million:Q", title="seconds per million people"),
            y=alt.Y("part:N", sort="-x", title=None),
        )
    )
    ticks = alt.Chart(week).mark_tick(color="black").encode(x="floor_per_million:Q", y=alt.Y("part:N", sort="-x"))
    return str(vl_convert.vegalite_to_svg((bars + ticks).to_json()))
