"""Works out, for everybody in a week, the published scores that prevention goes by, from what the record answers."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from data_contracts.clinical.from_record import load_record_rules
from data_contracts.clinical.scores.definition import ScoreInput
from data_contracts.tables.weekly import PreventionScores
from models.published.registry import PublishedScore, load_scores

NOT_INSTALLED = "the package casefinder-qdiabetes is not installed"
QDIABETES = {"qdiabetes_c": "C", "qdiabetes_a": "A"}


def prevention_scores(
    people: pl.DataFrame,
    score_inputs: pl.DataFrame,
    *,
    as_of: dt.date,
    scores: Mapping[str, PublishedScore] | None = None,
) -> pl.DataFrame:
    """One row per person: QRISK3, QDiabetes and the NHS Health Check, or why there is none, sorted by person_id."""
    installed = load_scores() if scores is None else scores
    base = people.sort("person_id").select(
        "person_id",
        "age_years",
        "sex",
        "birth_date",
        ethnic_category="ethnic_group",
        as_of_date=pl.lit(as_of),
    )
    parts = [
        _qrisk3(installed["qrisk3"], base, score_inputs),
        _qdiabetes(installed, base, score_inputs),
        _health_check(installed["nhs_health_check"], base, score_inputs),
    ]
    return pl.concat([base.select("person_id"), *parts], how="horizontal").select(
        list(PreventionScores.to_schema().columns)
    )


def _qrisk3(score: PublishedScore, base: pl.DataFrame, score_inputs: pl.DataFrame) -> pl.DataFrame:
    scored = score.score(_inputs(score, "qrisk3", base, score_inputs))
    return scored.select(
        "qrisk3",
        "qrisk3_band",
        qrisk3_marks="marks",
        qrisk3_missing="inputs_missing",
        qrisk3_reason="reason",
        qrisk3_version="score_version",
    )


def _qdiabetes(
    installed: Mapping[str, PublishedScore], base: pl.DataFrame, score_inputs: pl.DataFrame
) -> pl.DataFrame:
    """Model C for people with a known HbA1c, whatever it says of them; model A for the rest."""
    if not set(QDIABETES) <= set(installed):
        nothing = {"qdiabetes": pl.Float64, "qdiabetes_model": pl.String}
        absent = {name: pl.lit(None, dtype=dtype) for name, dtype in nothing.items()}
        return base.with_columns(**absent, qdiabetes_reason=pl.lit(NOT_INSTALLED)).select(
            *nothing, "qdiabetes_reason"
        )
    inputs = _inputs(installed["qdiabetes_c"], "qdiabetes", base, score_inputs)
    has_test = inputs["hba1c"].is_not_null()
    by_model = {letter: installed[name].score(inputs) for name, letter in QDIABETES.items()}
    chosen = {
        column: pl.when(has_test).then(by_model["C"][first]).otherwise(by_model["A"][second])
        for column, first, second in (
            ("qdiabetes", "qdiabetes_c", "qdiabetes_a"),
            ("qdiabetes_reason", "reason", "reason"),
        )
    }
    return base.select(**chosen, qdiabetes_model=pl.when(has_test).then(pl.lit("C")).otherwise(pl.lit("A")))


def _health_check(score: PublishedScore, base: pl.DataFrame, score_inputs: pl.DataFrame) -> pl.DataFrame:
    scored = score.score(_inputs(score, "nhs_health_check", base, score_inputs))
    return scored.select("health_check_eligible", "health_check_due_date", "health_check_exclusions")


def _inputs(score: PublishedScore, name: str, base: pl.DataFrame, score_inputs: pl.DataFrame) -> pl.DataFrame:
    """The input contract of one score, a row a person in the order of ``base``."""
    rules = load_record_rules().filter(pl.col("score") == name)
    answered = score_inputs.lazy().filter(pl.col("score") == name)
    wanted = [column for column in score.definition.inputs if column.name in set(rules["input"])]
    spread = answered.group_by("person_id").agg(
        pl.col("recorded_date" if column.kind == "date" else "value")
        .filter(pl.col("input") == column.name)
        .max()
        .alias(column.name)
        for column in wanted
    )
    unknown = set(rules.filter(pl.col("absent") == "unknown")["input"])
    absent = [
        column.name
        for column in score.definition.inputs
        if column.must_exist and column.name not in _have(base, rules)
    ]
    return (
        base.lazy()
        .join(spread, on="person_id", how="left", maintain_order="left", validate="1:1")
        .with_columns(_typed(column, is_unknown=column.name in unknown) for column in wanted)
        .with_columns(pl.lit(None).alias(column) for column in absent)
        .collect()
    )


def _have(base: pl.DataFrame, rules: pl.DataFrame) -> set[str]:
    return {*base.columns, *rules["input"]}


def _typed(column: ScoreInput, *, is_unknown: bool) -> pl.Expr:
    """A value in its input's type; what is not on record is false where the rule says that it means no."""
    if column.kind == "flag":
        flag = pl.col(column.name) == 1
        return flag if is_unknown else flag.fill_null(value=False)
    return pl.col(column.name).cast(pl.Int64) if column.kind == "category" else pl.col(column.name)
