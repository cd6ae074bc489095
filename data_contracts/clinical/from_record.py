"""How the inputs of published scores are found on a record, as a table that SQL can join; the rules are data."""

import datetime as dt
from functools import cache

import polars as pl

from data_contracts.clinical.definitions import months_before, read_definition_csv

FILE = "from_record.csv"


@cache
def load_record_rules() -> pl.DataFrame:
    """One row per score, input and rule, in the file's order."""
    types = {"value": pl.Float64, "part": pl.Int16, "months": pl.Int32, "at_least": pl.Float64}
    return read_definition_csv(FILE, **types).with_row_index("place").with_columns(pl.col("place").cast(pl.Int16))


def score_rules(as_of: dt.date) -> pl.DataFrame:
    """One row per rule and codelist: its score, input and their number, and how the codelist answers it."""
    rules = load_record_rules()
    windows = {months: months_before(as_of, months) for months in rules["months"].drop_nulls().unique()}
    return rules.select(
        "score",
        "input",
        "value",
        "place",
        "part",
        "kind",
        "at_least",
        status_group=pl.struct("score", "group").rank("dense").cast(pl.Int16),
        input_number=pl.col("place").min().over("score", "input"),
        parts=pl.col("part").max().over("score", "input"),
        codelist=pl.col("codelists").str.split("|"),
        window_start=pl.col("months").replace_strict(windows, return_dtype=pl.Date),
        codelist_place=pl.int_ranges(pl.col("codelists").str.count_matches(r"\|") + 1),
    ).explode("codelist", "codelist_place")
