"""The published scores of a week: the same as scoring the contract's table, and null with a reason."""

import datetime as dt
import importlib.util
import sys
from pathlib import Path

import polars as pl
import pytest

from models.published.prevention import NOT_INSTALLED, prevention_scores
from models.published.registry import PublishedScore, load_scores
from tests.lib.tables import AS_OF, table

PACKAGE = Path(__file__).parents[2] / "packages" / "casefinder-qdiabetes"


def people(**values: object) -> pl.DataFrame:
    """One woman of sixty, or as said."""
    usual = {
        "person_id": 1,
        "practice_code": "A81001",
        "icb_code": "QE1",
        "registered_date": dt.date(2015, 1, 1),
        "birth_date": dt.date(1966, 6, 1),
        "age_years": 60,
        "sex": "female",
        "ethnic_group": "H",
        "imd_decile": 3,
    }
    return pl.DataFrame([usual | values], schema=table("people", "person_id\n1").schema)


def inputs(**values: float) -> pl.DataFrame:
    """What the record answers, as score__input=value."""
    rows = [
        {
            "person_id": 1,
            "score": name.split("__")[0],
            "input": name.split("__")[1],
            "value": float(value),
            "recorded_date": dt.date(2026, 1, 1),
        }
        for name, value in values.items()
    ]
    return pl.DataFrame(rows, schema=table("score_inputs", "person_id\n1").schema)


FULL = {
    "qrisk3__smoking": 2,
    "qrisk3__bmi": 31.5,
    "qrisk3__systolic_bp": 144,
    "qrisk3__systolic_bp_sd": 7.5,
    "qrisk3__cholesterol_hdl_ratio": 4.2,
    "qrisk3__treated_hypertension": 1,
    "qrisk3__family_history_chd": 1,
}


def score(
    given: pl.DataFrame, answered: pl.DataFrame, scores: dict[str, PublishedScore] | None = None
) -> dict[str, object]:
    found: dict[str, object] = prevention_scores(given, answered, as_of=AS_OF, scores=scores).row(0, named=True)
    return found


def test_qrisk3_of_the_week_is_qrisk3_of_the_contract() -> None:
    definition = load_scores()["qrisk3"].definition
    flags = {column.name: False for column in definition.inputs if column.kind == "flag"}
    row = {"person_id": 1, "age_years": 60, "sex": "female", "ethnic_category": "H", "townsend": None, **flags}
    row |= {name.split("__")[1]: value for name, value in FULL.items()}
    row |= {"treated_hypertension": True, "family_history_chd": True}
    expected = load_scores()["qrisk3"].score(pl.DataFrame([row]))
    found = score(people(), inputs(**FULL))
    assert found["qrisk3"] == expected["qrisk3"][0]
    assert (found["qrisk3_missing"], found["qrisk3_marks"], found["qrisk3_reason"]) == ("townsend", None, None)


def test_what_is_not_on_record_is_unknown_and_said_so() -> None:
    found = score(people(), inputs())
    missing = str(found["qrisk3_missing"]).split("|")
    assert {"smoking", "bmi", "systolic_bp", "family_history_chd"} <= set(missing)
    assert "migraine" not in missing
    assert found["qrisk3_marks"] == "estimated inputs"


@pytest.mark.parametrize(("age", "scored"), [(24, False), (25, True), (84, True), (85, False)])
def test_nobody_outside_the_ages_of_qrisk3_is_scored(age: int, scored: bool) -> None:
    found = score(people(age_years=age), inputs(**FULL))
    assert (found["qrisk3"] is not None, found["qrisk3_reason"] is None) == (scored, scored)


def test_person_with_cardiovascular_disease_has_a_reason_and_no_score() -> None:
    found = score(people(), inputs(**FULL, qrisk3__cardiovascular_disease=1))
    assert (found["qrisk3"], found["qrisk3_reason"]) == (None, "not eligible: cardiovascular_disease")


def test_sex_that_the_equation_does_not_know_is_a_reason() -> None:
    found = score(people(sex="unknown"), inputs(**FULL))
    assert (found["qrisk3"], found["qrisk3_reason"]) == (None, "sex: not one of female, male")


def test_health_check_goes_by_the_record() -> None:
    assert score(people(), inputs())["health_check_eligible"] is True
    barred = score(people(), inputs(nhs_health_check__statin=1))
    assert (barred["health_check_eligible"], barred["health_check_exclusions"]) == (False, "statin")
    recent = score(people(), inputs(nhs_health_check__last_health_check_date=1))
    assert recent["health_check_due_date"] == dt.date(2031, 1, 1)


def test_without_the_package_there_is_a_reason_in_place_of_qdiabetes() -> None:
    found = score(people(), inputs(), {name: load_scores()[name] for name in ("qrisk3", "nhs_health_check")})
    assert (found["qdiabetes"], found["qdiabetes_model"], found["qdiabetes_reason"]) == (None, None, NOT_INSTALLED)


@pytest.fixture
def with_qdiabetes(monkeypatch: pytest.MonkeyPatch) -> dict[str, PublishedScore]:
    if importlib.util.find_spec("casefinder_qdiabetes") is None:
        monkeypatch.setattr(sys, "path", [*sys.path, str(PACKAGE)])
    from casefinder_qdiabetes.scores import SCORES

    return load_scores() | {one.definition.name: one for one in SCORES}


@pytest.mark.parametrize(
    ("hba1c", "model", "scored"), [(None, "A", True), (38, "C", True), (47.9, "C", True), (48, "C", False)]
)
def test_qdiabetes_takes_the_model_that_fits_and_never_scores_diabetes(
    with_qdiabetes: dict[str, PublishedScore], hba1c: float | None, model: str, scored: bool
) -> None:
    known = {} if hba1c is None else {"qdiabetes__hba1c": hba1c}
    found = score(people(), inputs(**known, qdiabetes__bmi=31), with_qdiabetes)
    assert (found["qdiabetes_model"], found["qdiabetes"] is not None) == (model, scored)
    assert (found["qdiabetes_reason"] is None) == scored
