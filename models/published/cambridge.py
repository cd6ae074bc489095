"""The Cambridge Multimorbidity Score (Payne 2020), 20 conditions: its input contract and the score, nothing else.

Limits against the paper's own rules, beyond the small starter codelists: irritable bowel syndrome and anxiety or
depression leave out antispasmodics, anxiolytics and hypnotics; painful condition counts opioids as the analgesics
that need a prescription, and any antiepileptic as the specified ones; psychosis or bipolar disorder leaves out
lithium; any inhaled medicine counts for asthma. Kidney function takes the higher of the last two eGFRs, of any age.
"""

import datetime as dt
from collections.abc import Callable
from functools import cache, reduce
from operator import and_, or_
from typing import Any

import pandera.polars as pa
import polars as pl

from data_contracts.clinical.definitions import months_before, read_definition_csv
from data_contracts.tables.history import Contract
from data_contracts.tables.weekly import PERSON_ID, CambridgeScores

CODE = "On record within the time that the condition's rule allows"
ISSUES = "Issues in the last 12 months"


class CambridgeInputs(Contract):
    """One row per person: what the 20 conditions are decided from, time limits already applied."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    hypertension_code: bool = pa.Field(description=CODE)
    anxiety_or_depression_code: bool = pa.Field(description=f"{CODE}: the latest within 12 months")
    hearing_loss_code: bool = pa.Field(description=CODE)
    irritable_bowel_syndrome_code: bool = pa.Field(description=CODE)
    asthma_code: bool = pa.Field(description=CODE)
    diabetes_code: bool = pa.Field(description=CODE)
    coronary_heart_disease_code: bool = pa.Field(description=CODE)
    atrial_fibrillation_code: bool = pa.Field(description=CODE)
    stroke_or_tia_code: bool = pa.Field(description=CODE)
    copd_code: bool = pa.Field(description=CODE)
    connective_tissue_disorder_code: bool = pa.Field(description=CODE)
    cancer_code: bool = pa.Field(description=f"{CODE}: the first within 60 months")
    alcohol_problems_code: bool = pa.Field(description=CODE)
    psychosis_or_bipolar_code: bool = pa.Field(description=CODE)
    epilepsy_code: bool = pa.Field(description=CODE)
    heart_failure_code: bool = pa.Field(description=CODE)
    dementia_code: bool = pa.Field(description=CODE)
    antidepressant_issues_12m: pl.Float64 = pa.Field(ge=0, description=ISSUES)
    opioid_issues_12m: pl.Float64 = pa.Field(ge=0, description=ISSUES)
    antiepileptic_issues_12m: pl.Float64 = pa.Field(ge=0, description=ISSUES)
    inhaled_respiratory_issues_12m: pl.Float64 = pa.Field(ge=0, description=ISSUES)
    laxative_issues_12m: pl.Float64 = pa.Field(ge=0, description=ISSUES)
    egfr_best_of_last_two: pl.Float64 = pa.Field(nullable=True, description="mL/min/1.73m2; null if never measured")


@cache
def load_rules() -> list[dict[str, Any]]:
    """The 20 conditions with their weights and rules, in the file's order."""
    types = dict.fromkeys(("weight_general", "weight_mortality", "min_issues", "feature_below"), pl.Float64)
    return read_definition_csv("scores/cambridge_20.csv", **types, code_months=pl.Int32).to_dicts()


def score(inputs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per person: both scores, how many of the 20 conditions, and which."""
    rules = load_rules()
    present = inputs.with_columns(**{rule["condition"]: _is_present(rule) for rule in rules})
    names = [
        pl.when(pl.col(rule["condition"])).then(pl.lit(rule["condition"]))
        for rule in sorted(rules, key=lambda rule: -rule["weight_general"])
    ]
    return (
        present.with_columns(
            cambridge_score=_weighted(rules, "weight_general"),
            cambridge_mortality_score=_weighted(rules, "weight_mortality"),
            condition_count=pl.sum_horizontal(rule["condition"] for rule in rules).cast(pl.Int8),
            conditions=pl.concat_str(names, separator="|", ignore_nulls=True),
        )
        .with_columns(conditions=pl.when(pl.col("condition_count") > 0).then(pl.col("conditions")))
        .select(list(CambridgeScores.to_schema().columns))
    )


def prepare(
    people: pl.LazyFrame, conditions: pl.LazyFrame, person_features: pl.LazyFrame, *, as_of: dt.date
) -> pl.LazyFrame:
    """One row per person in the input contract, from the weekly tables as of a date, sorted by person_id."""
    medicines = [name for name in CambridgeInputs.to_schema().columns if name.endswith("_issues_12m")]
    counted = _spread(person_features, [*medicines, "egfr_best_of_last_two"])
    coded = conditions.group_by("person_id").agg(
        _has_code(rule, as_of).any().alias(f"{rule['condition']}_code") for rule in load_rules() if rule["code_rule"]
    )
    return (
        people.select("person_id")
        .join(coded, on="person_id", how="left", validate="1:1")
        .join(counted, on="person_id", how="left", validate="1:1")
        .with_columns(pl.col("^.*_code$").fill_null(value=False), pl.col(medicines).fill_null(0.0))
        .select(list(CambridgeInputs.to_schema().columns))
        .sort("person_id")
    )


def _spread(person_features: pl.LazyFrame, names: list[str]) -> pl.LazyFrame:
    """One row per person with a column for each named feature."""
    wanted = person_features.filter(pl.col("feature").is_in(names))
    return wanted.group_by("person_id").agg(
        pl.col("value").filter(pl.col("feature") == name).max().alias(name) for name in names
    )


def _has_code(rule: dict[str, Any], as_of: dt.date) -> pl.Expr:
    """True on a row of conditions that meets one condition's code rule."""
    named = pl.col("condition").is_in(rule["codelists"].split("|"))
    if rule["code_rule"] == "ever":
        return named
    return named & (pl.col(f"{rule['code_rule']}_date") >= months_before(as_of, rule["code_months"]))


def _is_present(rule: dict[str, Any]) -> pl.Expr:
    """True where a person has one condition, by its codes, medicines or measurement; never null."""
    parts = [pl.col(f"{rule['condition']}_code")] if rule["code_rule"] else []
    parts += [_enough(rule, medicine) for medicine in _names(rule["medicines"])]
    parts += [
        _enough(rule, medicine) & ~pl.col(f"{rule['unless_codelist']}_code")
        for medicine in _names(rule["unless_medicines"])
    ]
    if rule["feature"]:
        parts.append((pl.col(rule["feature"]) < rule["feature_below"]).fill_null(value=False))
    combine: Callable[[pl.Expr, pl.Expr], pl.Expr] = and_ if rule["combine"] == "all" else or_
    return reduce(combine, parts)


def _enough(rule: dict[str, Any], medicine: str) -> pl.Expr:
    """True where a medicine was issued as often as the rule asks."""
    return pl.col(f"{medicine}_issues_12m").ge(rule["min_issues"])


def _weighted(rules: list[dict[str, Any]], weight: str) -> pl.Expr:
    """The sum of one kind of weight over the conditions present."""
    return pl.sum_horizontal(pl.col(rule["condition"]) * pl.lit(rule[weight]) for rule in rules)


def _names(joined: str | None) -> list[str]:
    """The names in a text joined by |; none for null."""
    return joined.split("|") if joined else []
