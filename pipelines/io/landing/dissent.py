"""A dissent from use beyond a person's own care counts whatever is wrong with its entry, in every GP feed."""

import polars as pl

from data_contracts.codelists import codes_of

DISSENTS = "type_1_opt_out"
"""The codelist of dissents."""
READABLE = ("has_readable_dates", "has_readable_flags", "has_readable_numbers", "has_check_digit")


def is_dissent() -> pl.Expr:
    """True for coded entries of the dissent codelist."""
    return pl.col("concept_id").is_in(codes_of(DISSENTS)).fill_null(False)


def let_dissents_count(rows: pl.DataFrame) -> pl.DataFrame:
    """The entries, no dissent among them held back for its dates, its value or its own flags.

    An impossible clinical date becomes none, and an impossible entry date the extract's last day.
    """
    dissents = is_dissent()
    last_day = pl.col("extract_date").dt.offset_by("-1d")
    return rows.with_columns(
        *(pl.col(name) | dissents for name in READABLE if name in rows.columns),
        clinical_date=pl.when(~dissents | _is_possible("clinical_date")).then("clinical_date"),
        entered_date=pl.when(dissents & ~_is_possible("entered_date").fill_null(False))
        .then(last_day)
        .otherwise("entered_date"),
        is_confidential=pl.col("is_confidential") & ~dissents,
    )


def _is_possible(name: str) -> pl.Expr:
    """Not before birth, not after the extract."""
    return pl.col(name).is_between(pl.col("birth_date"), pl.col("extract_date"))
