"""Runs SQL files on frames in memory: for examples and tests, where nothing is written."""

import datetime as dt
from contextlib import closing

import duckdb
import polars as pl

from data_contracts.registry import CONTRACTS, WEEKLY
from pipelines.io.queries import load_queries, load_query
from pipelines.io.warehouse import CHOSEN, add_table, empty_table
from pipelines.settings import Settings

Frames = dict[str, pl.DataFrame]
Options = dict[str, str | int | float]
PARAMETERS: Options = {name: Settings.model_fields[name].default for name in CHOSEN} | {
    "icb_code": "QE1",
    "registered_in_england": 8_000_000,
}
"""The parameters of the SQL as they ship, but for an England so small that ten people have a place."""


def answer(
    name: str,
    frames: Frames,
    *,
    as_of: dt.date,
    references: Frames,
    elsewhere: Frames | None = None,
    options: Options | None = None,
) -> pl.DataFrame:
    """The rows one SQL file makes; weekly tables that are not given are made by their SQL, others are empty.

    Args:
        name: the table to make.
        frames: the tables at hand; what is made on the way is added.
        as_of: what may be known.
        references: the clinical definitions, as ``reference_tables`` makes them.
        elsewhere: the tables of another ICB, for what the file reads over every ICB.
        options: values of parameters, in place of the usual ones; for the tables made on the way too.
    """
    query = load_query(name)
    with closing(duckdb.connect(":memory:")) as connection:
        for table in query.reads:
            given = references[table] if table in references else table_of(table, frames, as_of, references, options)
            add_table(connection, table, given)
        connection.execute("create schema england")
        for table in query.everywhere:
            held = [part for part in (frames, elsewhere) if part is not None]
            parts = [table_of(table, part, as_of, references, options) for part in held]
            add_table(connection, f"england.{table}", pl.concat(parts))
        parameters = PARAMETERS | {"as_of_date": as_of} | (options or {})
        used = {key: parameters[key] for key in query.parameters}
        found: pl.DataFrame = connection.sql(query.sql, params=used or None).pl()
    CONTRACTS[name].validate(found, lazy=True)
    return found


def table_of(
    name: str, frames: Frames, as_of: dt.date, references: Frames, options: Options | None = None
) -> pl.DataFrame:
    """A table as given, made by its own SQL from the tables given, or empty."""
    if name not in frames:
        made = name in WEEKLY and name in load_queries()
        inputs = _with_entries(frames) if name == "eligibility" else frames
        frames[name] = (
            answer(name, inputs, as_of=as_of, references=references, options=options) if made else empty_table(name)
        )
    return frames[name]


def _with_entries(frames: Frames) -> Frames:
    """The tables with an entry about nobody at each practice, for without any it would be left out as a whole."""
    events = frames.get("events", empty_table("events"))
    codes = frames.get("registrations", empty_table("registrations"))["practice_code"].unique().sort()
    entry = {"person_id": 0, "entered_date": dt.date(1990, 1, 1), "concept_id": 1}
    entries = pl.DataFrame([entry | {"practice_code": code} for code in codes], schema=events.schema)
    return frames | {"events": pl.concat([events, entries])}
