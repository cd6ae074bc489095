"""All clinical definitions as tables that SQL reads, with the cut-off dates that apply on one as-of date."""

import datetime as dt

import polars as pl

from data_contracts.clinical.definitions import dated_tables, timeless_tables
from data_contracts.clinical.from_record import score_rules
from data_contracts.clinical.programmes.definition import programme_tables
from data_contracts.clinical.registers import register_tables
from data_contracts.codelists import load_codelists


def reference_tables(as_of: dt.date, *, codelists: pl.DataFrame | None = None) -> dict[str, pl.DataFrame]:
    """The definitions as tables by name; ``codelists`` are those in force, by default the ones that ship."""
    codes = (load_codelists() if codelists is None else codelists).select("codelist", "concept_id")
    own = {"codelists": codes, "score_rules": score_rules(as_of)} | programme_tables(as_of, codelists=codes)
    return timeless_tables() | own | dated_tables(as_of) | register_tables(as_of)
