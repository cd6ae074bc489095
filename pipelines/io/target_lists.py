"""Reads what a week's target lists are made from: the week's tables, the last lists before it, stated capacity."""

import datetime as dt
from dataclasses import fields
from pathlib import Path

import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from data_contracts.actions import Actions, load_actions
from data_contracts.clinical.definitions import load_features
from data_contracts.tables.capacity import Capacity, Offers
from data_contracts.tables.history import Contract
from pipelines.io.feedback import read_answers
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from pipelines.steps.lists import WeeklyTables, sort_answers
from pipelines.steps.roles import weekly_slots

STATED = {"slots", "offers", "resting", "added"}
READS = tuple(field.name for field in fields(WeeklyTables) if field.name not in STATED)
"""The weekly tables that the lists are made from."""


def read_weekly_tables(warehouse: Warehouse, as_of: dt.date, icb: str) -> WeeklyTables:
    """One ICB's tables of a week, its practices' capacity and answers: what lists are made from and explained by."""
    settings, rules = warehouse.settings, load_actions()
    resting, added = sort_answers(read_answers(settings, as_of=as_of), rules=rules, as_of=as_of)
    tables = {name: warehouse.read(name, as_of, icb) for name in READS}
    return WeeklyTables(
        **tables,
        slots=read_slots(warehouse, as_of=as_of, icb=icb),
        offers=read_offers(settings, as_of=as_of, rules=rules),
        resting=resting,
        added=added,
    )


def capacity_path(settings: Settings) -> Path:
    """Where capacity may be stated."""
    return settings.home / "capacity.csv"


def offers_path(settings: Settings) -> Path:
    """Where local offers may be listed."""
    return settings.home / "offers.csv"


def read_slots(warehouse: Warehouse, *, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """One row per practice and role of one ICB for which slots are stated; None if there is no capacity file.

    Raises:
        ValueError: the file is not as its contract says.
    """
    path = capacity_path(warehouse.settings)
    if not path.is_file():
        return None
    capacity = _read_stated(path, Capacity)
    networks = _practices(warehouse.settings).select("practice_code", "pcn_code")
    registered = warehouse.read("people", as_of, icb).group_by("practice_code").agg(registered=pl.len()).collect()
    practices = registered.join(networks, on="practice_code", how="left", validate="1:1")
    return weekly_slots(capacity, practices, as_of=as_of)


def read_offers(settings: Settings, *, as_of: dt.date, rules: Actions) -> pl.DataFrame | None:
    """One row per local offer that runs on the as-of date and practice that it serves; None if none are listed.

    Raises:
        ValueError: the file is not as its contract says, or names a need that nothing here knows.
    """
    path = offers_path(settings)
    if not path.is_file():
        return None
    offers = _read_stated(path, Offers)
    known = {name for name in (*rules.flags, *rules.programmes, *load_features()) if not rules.is_sensitive(name)}
    strangers = sorted(set(offers["needs"].str.split("|").explode().drop_nulls()) - known)
    if strangers:
        raise ValueError(
            f"{path}: expected needs that are lifestyle flags, programmes or features; found "
            f"{', '.join(strangers[:3])}"
        )
    running = offers.with_row_index("place").filter(
        pl.col("status") == "active",
        pl.col("valid_from").is_null() | (pl.col("valid_from") <= as_of),
        pl.col("valid_to").is_null() | (pl.col("valid_to") >= as_of),
    )
    practices = _practices(settings)
    areas = pl.concat(
        [
            practices.select("practice_code", service_area=pl.col(name))
            for name in ("practice_code", "pcn_code", "icb_code")
        ]
    ).drop_nulls()
    local = running.join(areas, on="service_area", how="inner")
    everywhere = running.filter(pl.col("service_area").is_null()).join(practices.select("practice_code"), how="cross")
    return pl.concat([local, everywhere.select(local.columns)]).sort("place", "practice_code")


def _practices(settings: Settings) -> pl.DataFrame:
    """One row per practice: practice_code, pcn_code, icb_code."""
    return pl.read_parquet(settings.history / "practices.parquet", columns=["practice_code", "pcn_code", "icb_code"])


def _read_stated(path: Path, contract: type[Contract]) -> pl.DataFrame:
    """The rows of a CSV file that people keep by hand.

    Raises:
        ValueError: it is not as its contract says.
    """
    columns = {name: column.dtype.type for name, column in contract.to_schema().columns.items()}
    try:
        rows = pl.read_csv(path, schema_overrides=columns)
        contract.validate(rows)
    except (pl.exceptions.PolarsError, SchemaError, SchemaErrors) as error:
        raise ValueError(
            f"{path} is not as expected: the columns {', '.join(columns)}, dates as 2026-11-16, whole numbers; see "
            f"data_contracts/tables/capacity.py. Found: {str(error).splitlines()[0]}"
        ) from None
    return rows


def read_previous(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """One ICB's list of the latest week before this one; None if there is none."""
    path = warehouse.previous_path("target_lists", as_of, icb)
    if path is None:
        return None
    before = pl.read_parquet(path)
    # Lists of older versions do not say for how long.
    return before if "weeks_listed" in before.columns else before.with_columns(weeks_listed=pl.lit(1, dtype=pl.Int64))
