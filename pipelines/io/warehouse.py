"""Runs the SQL over Parquet, ICB by ICB; reads, writes and checks the weekly tables. No clinical rule lives here."""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
from duckdb import ColumnExpression, ConstantExpression, FunctionExpression
from pandera.api.dataframe.model import DataFrameModel
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors

from data_contracts.clinical.reference import reference_tables
from data_contracts.registry import CONTRACTS, DELIVERIES, HISTORY, REFERENCE, WEEKLY
from pipelines.io.codelists import in_force
from pipelines.io.durable import write_aside
from pipelines.io.ledger import ledger_path
from pipelines.io.progress import tell
from pipelines.io.queries import Query, load_query
from pipelines.io.reuse import Known, frame_digest, is_as_made, source_digest, write_note
from pipelines.io.sensitive import SensitiveCodes
from pipelines.settings import Settings

CODED, SPELLS = "events", "spells"
"""The tables whose rows carry codes, sensitive ones among them: GP entries, and lists of hospital codes."""
ROW_GROUP_ROWS = 122_880
PREVIOUS = "previous_"
"""Before a table's name: the table of the latest earlier week, empty if there is none."""
MAY_BE_ABSENT = {*HISTORY, "paused_practices"}
"""Tables that are empty if nothing of theirs has landed."""
CHOSEN = [
    *("places_in_england", "registered_in_england", "share_of_adults", "places_by", "deprived_floor", "stay_band"),
]
"""The settings that are parameters of the SQL."""
PART_OF_ANSWER = """
    select answer.*
    from answer
    where answer.practice_code in (select part.practice_code from part)
    order by answer.practice_code, answer.person_id
"""
Parameters = dict[str, dt.date | Known]


@dataclass(frozen=True)
class BuildReport:
    """What one build wrote: rows by ICB, how long it took, how large it is."""

    table: str
    rows_by_icb: dict[str, int]
    seconds: float
    bytes: int
    reused: int = 0
    """ICBs whose part was left as it was, since all that it is made from is as it was."""

    @property
    def rows(self) -> int:
        """Rows over all ICBs."""
        return sum(self.rows_by_icb.values())


class Warehouse:
    """The history and the weekly tables of one workspace."""

    def __init__(self, settings: Settings, *, tables: Path | None = None, reuses: bool = False) -> None:
        self.settings = settings
        self.reuses = reuses
        """Whether a part stays as it is while all that it is made from is as it was."""
        self.tables = tables or settings.tables
        """Where the weekly tables lie."""
        self.sensitive = SensitiveCodes(settings)
        """The codes that nobody who reads through here sees."""
        self._definitions: dict[dt.date, dict[str, Known]] = {}

    def icb_codes(self) -> list[str]:
        """The ICBs that have registrations, sorted."""
        return sorted(file.stem for file in (self.settings.history / "registrations").glob("*.parquet"))

    def path(self, table: str, as_of: dt.date, icb: str) -> Path:
        """Where one ICB's part of a table lies; the history does not depend on the date."""
        if table == "ledger":
            return ledger_path(self.settings.home)
        if table in REFERENCE or table in DELIVERIES:
            return self.settings.history / f"{table}.parquet"
        if table in HISTORY:
            return self.settings.history / table / f"{icb}.parquet"
        return self.tables / as_of.isoformat() / table / f"{icb}.parquet"

    def previous_path(self, table: str, as_of: dt.date, icb: str) -> Path | None:
        """Where one ICB's part of a table of the latest week before this one lies; None if there is none."""
        weeks = self.settings.tables.glob(f"????-??-??/{table}/{icb}.parquet")
        return max((path for path in weeks if path.parent.parent.name < as_of.isoformat()), default=None)

    def build(self, name: str, as_of: dt.date) -> BuildReport:
        """Runs one SQL file for every ICB (or once for all of them) and writes its table.

        Raises:
            FileNotFoundError: nothing has been ingested, or a table that the SQL reads has not been built.
        """
        query, started = load_query(name), time.perf_counter()
        icbs = self.icb_codes()
        if not icbs:
            raise FileNotFoundError(f"no registrations under {self.settings.history}: ingest extracts first")
        is_england = query.scope == "england"
        build = partial(self._build_england if is_england else self._build_icb, query, as_of)
        groups = [icbs] if is_england else ([icb] for icb in self.in_turn())
        reused = sum(
            self.make(name, as_of, group, reads=query.reads, everywhere=query.everywhere, build=build)
            for group in groups
        )
        return self.report(name, as_of, seconds=time.perf_counter() - started, reused=reused)

    def in_turn(self) -> Iterator[str]:
        """Each ICB in turn; whoever listens hears how many registrations are done after it, and of how many."""
        files = {icb: self.settings.history / "registrations" / f"{icb}.parquet" for icb in self.icb_codes()}
        sizes = {icb: count_rows(file) for icb, file in files.items()}
        done = 0
        for icb, size in sizes.items():
            yield icb
            done += size
            tell(done, sum(sizes.values()))

    def make(
        self,
        table: str,
        as_of: dt.date,
        icbs: list[str],
        *,
        reads: Iterable[str],
        build: Callable[[list[str]], None],
        everywhere: Iterable[str] = (),
    ) -> int:
        """How many of these ICBs' parts of a table stayed as they were; else all of them have been built."""
        if not self.reuses:
            build(icbs)
            return 0
        source = self._source(table, as_of, icbs, reads=reads, everywhere=everywhere)
        parts = {self._note(table, as_of, icb): self.path(table, as_of, icb) for icb in icbs}
        if all(is_as_made(note, part, source) for note, part in parts.items()):
            return len(icbs)
        build(icbs)
        for note, part in parts.items():
            write_note(note, part, source)
        return 0

    def report(self, table: str, as_of: dt.date, *, seconds: float, reused: int) -> BuildReport:
        """What lies there of a table after it was made."""
        paths = {icb: self.path(table, as_of, icb) for icb in self.icb_codes()}
        rows = {icb: count_rows(path) for icb, path in paths.items()}
        return BuildReport(table, rows, seconds, sum(path.stat().st_size for path in paths.values()), reused)

    def read(self, table: str, as_of: dt.date, icb: str | None = None) -> pl.LazyFrame:
        """One ICB's part of a table, or all parts one after the other; history that has not landed is empty.

        Raises:
            FileNotFoundError: a part has not been built.
        """
        icbs = [icb] if icb else self.icb_codes()
        if table in MAY_BE_ABSENT:
            icbs = [code for code in icbs if self.path(table, as_of, code).exists()]
        parts = [self._existing(table, as_of, code) for code in icbs]
        if table in MAY_BE_ABSENT and not parts:
            return empty_table(table).lazy()
        rows = pl.scan_parquet(list(dict.fromkeys(parts)), glob=False)
        if table == CODED:
            return rows.join(self.sensitive.stripped_on(as_of).lazy(), on="concept_id", how="anti")
        if table == SPELLS:
            for column, pattern, instead in self.sensitive.hidden_on(as_of):
                rows = rows.with_columns(pl.col(column).str.replace_all(pattern, instead.replace("\\1", "${1}")))
        return rows

    def write(self, table: str, as_of: dt.date, icb: str, frame: pl.DataFrame | pl.LazyFrame) -> Path:
        """Writes one ICB's part of a table made in Python, in the contract's column order, and returns its path."""
        columns = list(CONTRACTS[table].to_schema().columns)
        target = self.path(table, as_of, icb)
        with write_aside(target, keeps_same=self.reuses) as draft:
            frame.lazy().select(columns).collect().write_parquet(
                draft, compression="zstd", row_group_size=ROW_GROUP_ROWS, statistics=True
            )
        return target

    def check(self, table: str, as_of: dt.date) -> pl.DataFrame:
        """One row per column and rule that a table breaks, with how many rows break it; never a value."""
        parts = [_failures(CONTRACTS[table], self.read(table, as_of, icb)) for icb in self.icb_codes()]
        failures = pl.concat([_no_failures(), *parts])
        return failures.group_by("column", "rule").agg(rows=pl.col("rows").sum()).sort("column", "rule")

    def publish_catalogue(self, as_of: dt.date) -> Path:
        """Builds the DuckDB file that analysts open: described views over the history and one week's tables."""
        target = self.settings.catalogue
        with write_aside(target) as draft, closing(duckdb.connect(str(draft))) as connection:
            for table in CONTRACTS:
                self._add_catalogue_view(connection, table, as_of)
        return target

    def plan(self, name: str, as_of: dt.date) -> str:
        """DuckDB's plan of one SQL file over the first ICB: which columns it reads, and how."""
        query, icbs = load_query(name), self.icb_codes()
        first = icbs if query.scope == "england" else icbs[:1]
        with self._connection(query, as_of, first) as connection:
            parameters = self._parameters(query, as_of, first[0])
            return connection.sql(query.sql, params=parameters or None).explain(format="json")

    def _note(self, table: str, as_of: dt.date, icb: str) -> Path:
        """Where it is noted what one ICB's part of a table was made from."""
        return self.settings.home / "made_from" / as_of.isoformat() / table / icb

    def _source(
        self, table: str, as_of: dt.date, icbs: list[str], *, reads: Iterable[str], everywhere: Iterable[str]
    ) -> str:
        """A digest of all that these ICBs' parts of a table are made from."""
        asked = [(read, icb) for read in reads for icb in icbs]
        asked += [(read, icb) for read in everywhere for icb in self.icb_codes()]
        paths = dict.fromkeys(path for read, icb in asked for path in self._read_from(read, as_of, icb))
        known: dict[str, Known] = {"table": table, "as_of": as_of.isoformat(), "icbs": "|".join(icbs)}
        return source_digest(known | self._defined(as_of) | self._chosen(), paths)

    def _read_from(self, table: str, as_of: dt.date, icb: str) -> list[Path]:
        """The files of one ICB in which a table that a build reads lies, whether they are there or not."""
        if table.startswith(PREVIOUS):
            path = self.previous_path(table.removeprefix(PREVIOUS), as_of, icb)
            return [path.resolve()] if path else []
        if table == "risk_model":
            return sorted(self.settings.models.rglob("*"))
        return [self.path(table, as_of, icb).resolve()]

    def _defined(self, as_of: dt.date) -> dict[str, Known]:
        """Digests of what the workspace defines beside its records: loaded codelists and sensitive codes."""
        if as_of not in self._definitions:
            self._definitions[as_of] = {
                "codelists": frame_digest(in_force(self.settings, as_of)),
                "stripped": frame_digest(self.sensitive.stripped_on(as_of)),
                "hidden": str(self.sensitive.hidden_on(as_of)),
            }
        return self._definitions[as_of]

    def _build_icb(self, query: Query, as_of: dt.date, icbs: list[str]) -> None:
        """Writes the part of one ICB."""
        (icb,) = icbs
        with self._connection(query, as_of, icbs) as connection:
            answer = connection.sql(query.sql, params=self._parameters(query, as_of, icb) or None)
            self._write_part(answer, query.name, as_of, icb)

    def _build_england(self, query: Query, as_of: dt.date, icbs: list[str]) -> None:
        """Writes the parts of a query that ranks over all ICBs, split by the practices of each."""
        with self._connection(query, as_of, icbs) as connection:
            connection.sql(query.sql, params=self._parameters(query, as_of, "")).create("answer")
            for icb in icbs:
                connection.read_parquet(str(self._existing("people", as_of, icb))).create_view("part", replace=True)
                self._write_part(connection.sql(PART_OF_ANSWER), query.name, as_of, icb)

    def _write_part(self, answer: duckdb.DuckDBPyRelation, table: str, as_of: dt.date, icb: str) -> None:
        """Writes one ICB's part of a table, in the answer's order."""
        with write_aside(self.path(table, as_of, icb), keeps_same=self.reuses) as draft:
            answer.write_parquet(str(draft), compression="zstd", row_group_size=ROW_GROUP_ROWS)

    @contextmanager
    def _connection(self, query: Query, as_of: dt.date, icbs: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """An in-memory connection that sees what the query reads and may touch this workspace only."""
        spill = (self.settings.home / "spill").resolve()
        spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        folders = [self.settings.home, self.settings.history, self.tables]
        limits = {
            "memory_limit": self.settings.memory_limit,
            "threads": self.settings.threads,
            "temp_directory": str(spill),
            "allowed_directories": [str(folder.resolve()) for folder in folders],
            "enable_external_access": False,
            "lock_configuration": True,
        }
        with closing(duckdb.connect(":memory:")) as connection:
            for name, value in limits.items():
                connection.execute(f"set {name} = ?", [value])
            references = reference_tables(as_of, codelists=in_force(self.settings, as_of))
            for table in query.reads:
                if table in references:
                    add_table(connection, table, references[table])
                else:
                    self._add_view(connection, query, table, as_of, icbs)
            connection.execute("create schema england")
            for table in query.everywhere:
                self._add_view(connection, query, table, as_of, self.icb_codes(), prefix="england_")
                connection.execute(f"create view england.{table} as from england_{table}")
            yield connection

    def _add_view(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: Query,
        table: str,
        as_of: dt.date,
        icbs: Iterable[str],
        *,
        prefix: str = "",
    ) -> None:
        """A view named after a table over the parts that exist, or an empty table if none does and none need."""
        if table.startswith(PREVIOUS):
            table_before = table.removeprefix(PREVIOUS)
            parts = [self.previous_path(table_before, as_of, icb) for icb in icbs]
            paths = [path.resolve() for path in parts if path]
        else:
            paths = list(dict.fromkeys(self.path(table, as_of, icb).resolve() for icb in icbs))
        found = [str(path) for path in paths if path.exists()]
        if table in WEEKLY and table not in query.optional and len(found) < len(paths):
            missing = next(path for path in paths if not path.exists())
            raise FileNotFoundError(f"{query.name} reads {table}, which has not been built: no {missing}")
        if found and table == CODED:
            add_table(connection, f"{prefix}stripped", self.sensitive.stripped_on(as_of))
            connection.read_parquet(found).create_view(f"{prefix}held_{table}")
            connection.execute(strip_sql(f"{prefix}{table}", f"{prefix}held_{table}", f"{prefix}stripped"))
        elif found and table == SPELLS:
            hidden = self.sensitive.hidden_on(as_of)
            hide_codes(connection.read_parquet(found), hidden).create_view(f"{prefix}{table}")
        elif found:
            connection.read_parquet(found).create_view(f"{prefix}{table}")
        else:
            add_table(connection, f"{prefix}{table}", empty_table(table))

    def _add_catalogue_view(self, connection: duckdb.DuckDBPyConnection, table: str, as_of: dt.date) -> None:
        """One view over every part of a table, described; nothing if it has no part."""
        paths = dict.fromkeys(self.path(table, as_of, icb).resolve() for icb in self.icb_codes())
        found = [str(path) for path in paths if path.exists()]
        if not found:
            return
        if table == CODED:
            add_table(connection, "stripped_codes", self.sensitive.stripped_on(as_of))
            listed = ", ".join(_sql_text(path) for path in found)
            connection.execute(strip_sql(table, f"read_parquet([{listed}])", "stripped_codes"))
        elif table == SPELLS:
            hide_codes(connection.read_parquet(found), self.sensitive.hidden_on(as_of)).create_view(table)
        else:
            connection.read_parquet(found).create_view(table)
        contract = CONTRACTS[table]
        connection.execute(f"comment on view {table} is {_sql_text(str(contract.__doc__))}")
        for name, column in contract.to_schema().columns.items():
            connection.execute(f"comment on column {table}.{name} is {_sql_text(str(column.description))}")

    def _existing(self, table: str, as_of: dt.date, icb: str) -> Path:
        """The path of one part of a table.

        Raises:
            FileNotFoundError: it has not been built.
        """
        path = self.path(table, as_of, icb).resolve()
        if not path.exists():
            raise FileNotFoundError(f"{table} of {as_of} has not been built for ICB {icb}: no {path}")
        return path

    def _parameters(self, query: Query, as_of: dt.date, icb: str) -> Parameters:
        """The values of the parameters that the query's header lists."""
        known: Parameters = {"as_of_date": as_of, "icb_code": icb, **self._chosen()}
        return {name: known[name] for name in query.parameters}

    def _chosen(self) -> dict[str, Known]:
        """What an ICB chooses that the SQL asks for."""
        return {name: getattr(self.settings, name) for name in CHOSEN}


def count_rows(file: Path) -> int:
    """Rows of a Parquet file."""
    return int(pl.scan_parquet(file).select(pl.len()).collect().item())


def strip_sql(view: str, rows: str, codes: str) -> str:
    """A statement that makes a view of rows without those whose concept is among the codes."""
    return f"create view {view} as select * from {rows} where concept_id not in (select concept_id from {codes})"  # noqa: S608


def hide_codes(rows: duckdb.DuckDBPyRelation, hidden: list[tuple[str, str, str]]) -> duckdb.DuckDBPyRelation:
    """The rows, in whose lists of codes something neutral stands for the hidden ones."""
    columns = {name: ColumnExpression(name) for name in rows.columns}
    for name, pattern, instead in hidden:
        said = (ConstantExpression(text) for text in (pattern, instead, "g"))
        columns[name] = FunctionExpression("regexp_replace", columns[name], *said)
    return rows.select(*(column.alias(name) for name, column in columns.items()))


def add_table(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Makes a table of a frame's rows on a connection."""
    connection.from_arrow(frame.to_arrow()).create(name)


def empty_table(table: str) -> pl.DataFrame:
    """No rows, in the columns and types of a table's contract."""
    columns = CONTRACTS[table.removeprefix(PREVIOUS)].to_schema().columns
    return pl.DataFrame(schema={name: column.dtype.type for name, column in columns.items()})


def _failures(contract: type[DataFrameModel], frame: pl.LazyFrame) -> pl.DataFrame:
    """One row per column and rule that a frame breaks. Pandera's own message holds values, so it goes no further."""
    # Without the depth Pandera checks a lazy frame's schema only.
    with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            contract.validate(frame.collect(), lazy=True)
        except SchemaErrors as errors:
            cases: pl.DataFrame = errors.failure_cases
            return cases.select(
                column=pl.col("column").cast(pl.String).fill_null("(table)"),
                rule=pl.col("check").cast(pl.String).fill_null("(schema)"),
                rows=pl.lit(1, dtype=pl.Int64),
            )
    return _no_failures()


def _no_failures() -> pl.DataFrame:
    """The empty answer of a check."""
    return pl.DataFrame(schema={"column": pl.String, "rule": pl.String, "rows": pl.Int64})


def _sql_text(value: str) -> str:
    """A quoted SQL string."""
    return "'" + value.replace("'", "''") + "'"
