"""Flags hospital spells that are emergencies for ambulatory-care-sensitive conditions."""

from functools import cache

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.icd10 import LIST_FORM
from models.published.inputs import Inputs
from models.published.marking import Finding, joined
from models.published.registry import RowScore

_DEFINITION = load_definition("acsc")


@cache
def _conditions() -> list[dict[str, str | None]]:
    return load_table(_DEFINITION, "acsc_conditions").to_dicts()


def _working(inputs: Inputs) -> dict[str, pl.Expr]:
    return {
        "_diagnoses": _bare(inputs["diagnosis_codes"]),
        "_procedures": _bare(inputs["procedure_codes"]).fill_null(""),
        "_is_emergency": inputs["admission_method"].is_in(inputs.definition.lists["new_emergency"]),
    }


def _bare(codes: pl.Expr) -> pl.Expr:
    return codes.str.to_uppercase().str.replace_all(r"[.\s]", "")


def _starts(codes: str, prefixes: str, position: str) -> pl.Expr:
    """True where a code in that position starts with one of the prefixes."""
    before = {"primary": "^", "secondary": r"\|", "any": r"(?:^|\|)"}[position]
    return pl.col(codes).str.contains(f"{before}(?:{prefixes})")


def _met(condition: dict[str, str | None]) -> pl.Expr:
    """True where an emergency spell meets the condition with all its rules."""
    met = pl.col("_is_emergency") & _starts(
        "_diagnoses", condition["icd10_prefixes"] or "", condition["position"] or ""
    )
    if condition["needs_secondary"]:
        met = met & _starts("_diagnoses", condition["needs_secondary"], "secondary")
    if condition["excluded_by_secondary"]:
        met = met & _starts("_diagnoses", condition["excluded_by_secondary"], "secondary").not_()
    if condition["excluded_procedure_prefixes"]:
        position = condition["excluded_procedure_position"] or ""
        met = met & _starts("_procedures", condition["excluded_procedure_prefixes"], position).not_()
    return met


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    met = [(condition, _met(condition)) for condition in _conditions()]
    groups = dict.fromkeys(str(condition["group"]) for condition in _conditions())
    by_group = [
        (group, pl.any_horizontal([is_met for condition, is_met in met if condition["group"] == group]))
        for group in groups
    ]
    return {
        "is_emergency": pl.col("_is_emergency"),
        "is_acsc": pl.any_horizontal([is_met for _, is_met in met]),
        "acsc_conditions": joined([(str(condition["condition"]), is_met) for condition, is_met in met]),
        "acsc_groups": joined(by_group),
    }


def _marks(inputs: Inputs) -> list[Finding]:
    return [("diagnosis_codes: a code not ICD-10 in form", pl.col("_diagnoses").str.contains(LIST_FORM).not_())]


SCORE = RowScore(definition=_DEFINITION, formula=_formula, working=_working, marks=_marks)
