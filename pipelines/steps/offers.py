"""Suggests a local offer that answers a need of somebody on a list, as long as the offer has places."""

import polars as pl

from data_contracts.actions import Actions
from pipelines.steps.reasons import worded


def suggest_offers(
    listed: pl.DataFrame,
    offers: pl.DataFrame,
    *,
    features: pl.LazyFrame,
    states: pl.LazyFrame,
    flags: pl.LazyFrame,
    rules: Actions,
) -> pl.DataFrame:
    """One row per person for whom an offer is found: person_id, offer (its id), offer_text.

    Offers stand in the order of their file; each takes the people whom it fits and who have none yet, the first of
    every practice's list before the second of any, until its places are used up.

    Args:
        listed: the people on the lists: person_id, practice_code, rank, age_years.
        offers: one row per offer and practice that it serves, as read_offers gives them.
        features: person_features.
        states: programme_states.
        flags: lifestyle_flags.
        rules: the words.
    """
    ids = listed.lazy().select("person_id")
    wanted = sorted(set(offers["needs"].str.split("|").explode().drop_nulls()))
    known_flags = [name for name in wanted if name in rules.flags]
    needs = pl.concat(
        [
            *(flags.filter(pl.col(name)).select("person_id", need=pl.lit(name)) for name in known_flags),
            states.filter("is_gap").select("person_id", need=pl.col("programme").cast(pl.String)),
            features.filter(pl.col("value") > 0).select("person_id", need=pl.col("feature").cast(pl.String)),
        ]
    )
    having = needs.filter(pl.col("need").is_in(wanted)).join(ids, on="person_id", how="semi").collect()
    waiting = listed.sort("rank", "practice_code", "person_id")
    found = waiting.clear().with_columns(offer=pl.lit(""))
    for (_, offer), areas in offers.group_by("place", "id", maintain_order=True):
        fits = waiting.join(areas, on="practice_code", how="semi").filter(
            pl.col("age_years").is_between(*_ages(areas)),
            pl.col("person_id").is_in(_who_needs(having, areas).implode()),
        )
        places = areas["places"][0]
        taken = fits if places is None else fits.head(places)
        found = pl.concat([found, taken.with_columns(offer=pl.lit(offer))])
        waiting = waiting.join(taken, on="person_id", how="anti", maintain_order="left")
    words = offers.unique("id").select(
        offer="id",
        offer_text=worded(
            rules.offer_text,
            {"name": pl.col("name"), "contact": pl.coalesce("phone", "url", pl.lit("ask the practice"))},
        ),
    )
    return found.select("person_id", "offer").join(words, on="offer", how="left", validate="m:1")


def _ages(areas: pl.DataFrame) -> tuple[int, int]:
    """The ages that an offer is for."""
    low, high = areas.select("minimum_age", "maximum_age").row(0)
    return low or 0, 200 if high is None else high


def _who_needs(having: pl.DataFrame, areas: pl.DataFrame) -> pl.Series:
    """The people who have a need that an offer answers."""
    return having.filter(pl.col("need").is_in(areas["needs"][0].split("|")))["person_id"]
