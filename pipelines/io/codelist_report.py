"""Says how well codelists fit the data: codes on no list, lists that match nothing, prevalence by supplier."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_contracts.clinical.definitions import ethnic_groups, read_definition_csv
from pipelines.io.codelists import in_force
from pipelines.io.ledger import read_ledger
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables

CODED = {"events": "concept_id", "medications": "product_id"}
SHOWN = 20
SMALLEST_SHOWN = 5


@dataclass(frozen=True)
class CodelistReport:
    """Four tables of counts; no row is about a person."""

    coverage: pl.DataFrame
    """One row a history table: codes, rows, and the share of rows whose code is on a list."""
    unknown: pl.DataFrame
    """The codes that no list knows and that are used most: table, code, rows."""
    unmatched: pl.DataFrame
    """One row a codelist that matches nothing: codelist, codes, origin."""
    prevalence: pl.DataFrame
    """One row a register and supplier: registered people of its ages, on the register, percent, published percent."""


def report_codelists(warehouse: Warehouse, as_of: dt.date) -> CodelistReport:
    """How the codelists in force on the date fit this workspace's history."""
    codelists = in_force(warehouse.settings, as_of)
    used = pl.concat([_used(warehouse, table, column, as_of) for table, column in CODED.items()])
    known = pl.concat([codelists.select("concept_id"), ethnic_groups().select("concept_id")]).unique()
    marked = used.join(known.with_columns(is_known=pl.lit(True)), on="concept_id", how="left")
    return CodelistReport(
        coverage=_coverage(marked),
        unknown=_unknown(marked),
        unmatched=_unmatched(codelists, used),
        prevalence=_prevalence(warehouse, as_of),
    )


def _used(warehouse: Warehouse, table: str, column: str, as_of: dt.date) -> pl.DataFrame:
    """One row per code that a history table holds: table, concept_id, rows."""
    history = warehouse.read(table, as_of)
    counted = history.group_by(concept_id=column).agg(rows=pl.len().cast(pl.Int64))
    return counted.select(pl.lit(table).alias("table"), "concept_id", "rows").collect(engine="streaming")


def _coverage(marked: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("is_known").fill_null(value=False)
    return (
        marked.group_by("table")
        .agg(
            codes=pl.len(),
            codes_on_a_list=known.sum(),
            rows=pl.col("rows").sum(),
            percent_of_rows_on_a_list=(100 * pl.col("rows").filter(known).sum() / pl.col("rows").sum()).round(1),
        )
        .sort("table")
    )


def _unknown(marked: pl.DataFrame) -> pl.DataFrame:
    strange = marked.filter(pl.col("is_known").is_null(), pl.col("rows") >= SMALLEST_SHOWN)
    columns = ["table", pl.col("concept_id").cast(pl.String).alias("code"), "rows"]
    return strange.sort("rows", "concept_id", descending=[True, False]).head(SHOWN).select(columns)


def _unmatched(codelists: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    matched = codelists.join(used, on="concept_id", how="semi")["codelist"].unique()
    idle = codelists.filter(pl.col("codelist").is_in(matched.implode()).not_())
    return (
        idle.group_by("codelist")
        .agg(codes=pl.len(), origin=pl.col("origin").unique().sort().str.join("; "))
        .sort("codelist")
    )


def _prevalence(warehouse: Warehouse, as_of: dt.date) -> pl.DataFrame:
    """Registers by the supplier of each practice's record, beside the published figure; small counts left out."""
    if not all(warehouse.path("register_counts", as_of, icb).exists() for icb in warehouse.icb_codes()):
        build_tables(warehouse, as_of, upto="register_counts")
    published = read_definition_csv("published_prevalence.csv", age_from=pl.Int16, percent=pl.Float64)
    suppliers = _suppliers(warehouse)
    people = warehouse.read("people", as_of).select("practice_code", "age_years").collect()
    counts = warehouse.read("register_counts", as_of).select("practice_code", "register", "on_register").collect()
    sizes = (
        people.join(published.select("register", "age_from"), how="cross")
        .filter(pl.col("age_years") >= pl.col("age_from"))
        .group_by("practice_code", "register")
        .agg(registered=pl.len())
    )
    return (
        counts.join(sizes, on=["practice_code", "register"], how="inner", validate="1:1")
        .join(suppliers, on="practice_code", how="left", validate="m:1")
        .group_by("register", pl.col("supplier").fill_null("unknown"))
        .agg(pl.col("registered", "on_register").sum())
        .filter(pl.col("on_register") >= SMALLEST_SHOWN)
        .join(published, on="register", how="left", validate="m:1")
        .select(
            "register",
            "supplier",
            "registered",
            "on_register",
            percent=(100 * pl.col("on_register") / pl.col("registered")).round(2),
            published_percent="percent",
            published_year="year",
        )
        .sort("register", "supplier")
    )


def _suppliers(warehouse: Warehouse) -> pl.DataFrame:
    """One row per practice: the feed of its latest file that was loaded."""
    loaded = read_ledger(warehouse.settings.home).filter(
        pl.col("status") == "loaded", pl.col("practice_code").is_not_null()
    )
    return loaded.sort("ingest", "feed").group_by("practice_code").agg(supplier=pl.col("feed").last())
