"""Runs SQL files on frames in memory: for examples and tests, where nothing is written."""

import datetime as dt
from contextlib import closing

import duckdb
import polars as pl

from data_contracts.registry import CONTRACTS, WEEKLY
from pipelines.io.queries import load_queries, load_query
from pipelines.io.warehouse import add_table, empty_table

Frames = dict[str, pl.DataFrame]
PARAMETERS = {"icb_code": "QE1", "places_in_england": 800_000, "registered_in_england": 8_000_000, "stay_band": 1.25}


def answer(name: str, frames: Frames, *, as_of: dt.date, references: Frames) -> pl.DataFrame:
    """The rows one SQL file makes; weekly tables that are not given are made by their SQL, others are empty.

    Args:
        name: the table to make.
        frames: the tables at hand; what is made on the way is added.
        as_of: what may be known.
        references: the clinical definitions, as ``reference_tables`` makes them.
    """
    query = load_query(name)
    with closing(duckdb.connect(":memory:")) as connection:
        for table in query.reads:
            given = references[table] if table in references else table_of(table, frames, as_of, references)
            add_table(connection, table, given)
        parameters = PARAMETERS | {"as_of_date": as_of}
        used = {key: parameters[key] for key in query.parameters}
        found: pl.DataFrame = connection.sql(query.sql, params=used or None).pl()
    CONTRACTS[name].validate(found, lazy=True)
    return found


def table_of(name: str, frames: Frames, as_of: dt.date, references: Frames) -> pl.DataFrame:
    """A table as given, made by its own SQL from the tables given, or empty."""
    if name not in frames:
        made = name in WEEKLY and name in load_queries()
        frames[name] = answer(name, frames, as_of=as_of, references=references) if made else empty_table(name)
    return frames[name]
