"""Flags hospital spells that are emergencies for ambulatory-care-sensitive conditions."""

from functools import cache

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.icd10 import LIST_FORM, bits_by_prefix, prefix_mask
from models.published.inputs import Inputs
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("acsc")


@cache
def _conditions() -> list[dict[str, str]]:
    return load_table(_DEFINITION, "acsc_conditions").to_dicts()


def _working(inputs: Inputs) -> list[dict[str, pl.Expr]]:
    """The codes without dots, then what each spell is, then a true or false column for each condition."""
    codes = {
        "_diagnoses": _bare(inputs["diagnosis_codes"]),
        "_procedures": _bare(inputs["procedure_codes"]).fill_null(""),
        "_is_emergency": inputs["admission_method"].is_in(inputs.definition.lists["new_emergency"]),
    }
    primary = {"_primary": prefix_mask(pl.col("_diagnoses"), bits_by_prefix(pl.DataFrame(_conditions())))}
    return [codes, primary, {f"_is_{condition['condition']}": _met(i) for i, condition in enumerate(_conditions())}]


def _bare(codes: pl.Expr) -> pl.Expr:
    return codes.str.to_uppercase().str.replace_all(r"[.\s]", "")


def _starts(codes: str, prefixes: str, position: str) -> pl.Expr:
    """True where a code in that position starts with one of the prefixes."""
    before = {"primary": "^", "secondary": r"\|", "any": r"(?:^|\|)"}[position]
    return pl.col(codes).str.contains(f"{before}(?:{prefixes})")


def _met(place: int) -> pl.Expr:
    """True where an emergency spell meets the condition with all its rules."""
    condition = _conditions()[place]
    if condition["position"] == "primary":
        met = pl.col("_primary") // (1 << place) % 2 == 1
    else:
        met = _starts("_diagnoses", condition["icd10_prefixes"], condition["position"])
    if condition["needs_secondary"]:
        met = met & _starts("_diagnoses", condition["needs_secondary"], "secondary")
    if condition["excluded_by_secondary"]:
        met = met & _starts("_diagnoses", condition["excluded_by_secondary"], "secondary").not_()
    if condition["excluded_procedure_prefixes"]:
        position = condition["excluded_procedure_position"]
        met = met & _starts("_procedures", condition["excluded_procedure_prefixes"], position).not_()
    return met & pl.col("_is_emergency")


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    met = [true for _, true in _lists(inputs)["acsc_conditions"]]
    return {"is_emergency": pl.col("_is_emergency"), "is_acsc": pl.any_horizontal(met)}


def _lists(inputs: Inputs) -> dict[str, list[Finding]]:
    met = {condition["condition"]: pl.col(f"_is_{condition['condition']}") for condition in _conditions()}
    groups: dict[str, list[pl.Expr]] = {}
    for condition in _conditions():
        groups.setdefault(condition["group"], []).append(met[condition["condition"]])
    return {
        "acsc_conditions": list(met.items()),
        "acsc_groups": [(group, pl.any_horizontal(members)) for group, members in groups.items()],
    }


def _marks(inputs: Inputs) -> list[Finding]:
    return [("diagnosis_codes: a code not ICD-10 in form", pl.col("_diagnoses").str.contains(LIST_FORM).not_())]


SCORE = RowScore(definition=_DEFINITION, formula=_formula, lists=_lists, working=_working, marks=_marks)
