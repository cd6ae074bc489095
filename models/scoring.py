"""The weekly step: every person of a week gets a score, or a stated reason for none. Nothing is fitted here."""

import polars as pl

from models.additive import AdditiveModel
from models.matrix import with_cambridge

RISK = "risk_avoidable_admission_12m"
VALUES = ["raw_score", "cut_error", RISK, "model_version"]


def score_people(
    model: AdditiveModel, features: pl.LazyFrame, people: pl.DataFrame, cambridge: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One row per person, sorted by person_id, as the risk_scores contract says.

    Args:
        model: the champion.
        features: person_features as of the week.
        people: people as of the week.
        cambridge: cambridge_scores as of the week; needed only by a model that reads them.
    """
    population = model.design.population
    ages = (population.minimum_age_years, population.maximum_age_years)
    outside = people.select("person_id", is_outside=~pl.col("age_years").is_between(*ages))
    scores = model.score(with_cambridge(features, cambridge), people["person_id"]).rename({"risk": RISK})
    is_scored = pl.col("raw_score").is_not_null()
    reason = pl.lit(f"age is outside the model's {ages[0]} to {ages[1]} years")
    return (
        scores.with_columns(cut_error=pl.when(is_scored).then(pl.lit(model.cut_error)))
        .join(outside, on="person_id", how="left", validate="1:1", maintain_order="left")
        .with_columns(
            pl.when(~pl.col("is_outside")).then(pl.col(VALUES)),
            unscored_reason=pl.when("is_outside").then(reason).otherwise("unscored_reason"),
        )
        .drop("is_outside")
    )


def leave_unscored(people: pl.DataFrame) -> pl.DataFrame:
    """One row per person without a score, for a week in which no model has been promoted."""
    return people.sort("person_id").select(
        "person_id",
        pl.lit(None, dtype=pl.Float64).alias("raw_score"),
        pl.lit(None, dtype=pl.Float64).alias(RISK),
        unscored_reason=pl.lit("no model has been promoted to champion"),
        model_version=pl.lit(None, dtype=pl.String),
        cut_error=pl.lit(None, dtype=pl.Float64),
    )
