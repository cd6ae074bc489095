"""Tables that other programs wrote: text, other names, other spellings, lists of codes; what is wrong is named."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.scoring import score_file

PERSON = {
    "person_id": 1,
    "age_years": 60,
    "sex": "female",
    "ethnic_group": 2,
    "smoking": 1,
    "bmi": 31.5,
    "cholesterol_hdl_ratio": 4.2,
    "systolic_bp": 144.0,
    "systolic_bp_sd": 7.5,
    "townsend": 1.25,
    "atrial_fibrillation": True,
    "atypical_antipsychotic": False,
    "oral_corticosteroid": False,
    "migraine": True,
    "rheumatoid_arthritis": False,
    "chronic_kidney_disease": False,
    "severe_mental_illness": False,
    "lupus": False,
    "treated_hypertension": True,
    "diabetes_type_1": False,
    "diabetes_type_2": False,
    "erectile_dysfunction": False,
    "family_history_chd": True,
}
IN_C = {
    "age_years": "age",
    "ethnic_group": "ethrisk",
    "smoking": "smoke_cat",
    "cholesterol_hdl_ratio": "rati",
    "systolic_bp": "sbp",
    "systolic_bp_sd": "sbps5",
    "townsend": "town",
    "atrial_fibrillation": "b_AF",
    "migraine": "b_migraine",
    "treated_hypertension": "b_treatedhyp",
    "family_history_chd": "fh_cvd",
}


def scored(folder: Path, name: str, frame: pl.DataFrame) -> pl.DataFrame:
    frame.write_parquet(folder / "in.parquet")
    score_file(name, folder / "in.parquet", folder / "out.parquet", batch_rows=2)
    return pl.read_parquet(folder / "out.parquet")


@pytest.fixture
def expected(tmp_path: Path) -> float:
    value: float = scored(tmp_path, "qrisk3", pl.DataFrame([PERSON]))["qrisk3"][0]
    return value


@pytest.mark.parametrize(
    "change",
    [
        {name: str(value) for name, value in PERSON.items() if name != "person_id"},
        {name: "yes" if value else "No" for name, value in PERSON.items() if isinstance(value, bool)},
        {name: str(int(value)) for name, value in PERSON.items() if isinstance(value, bool)},
        {"sex": "F"},
        {"sex": "Female "},
        {"age_years": "60.0", "smoking": "1.0"},
        {"age_years": 60.0, "smoking": 1.0, "ethnic_group": 2.0},
        {"bmi": " 31.5 "},
    ],
)
def test_text_and_other_types_give_the_same_score(tmp_path: Path, expected: float, change: dict[str, object]) -> None:
    found = scored(tmp_path, "qrisk3", pl.DataFrame([PERSON | change]))
    assert found.select("qrisk3", "reason").rows() == [(expected, None)]


def test_names_of_the_c_program_are_known_and_rows_without_a_key_are_numbered(
    tmp_path: Path, expected: float
) -> None:
    rows = pl.DataFrame([PERSON] * 5).drop("person_id").rename(IN_C)
    found = scored(tmp_path, "qrisk3", rows)
    assert found["person_id"].to_list() == [1, 2, 3, 4, 5]
    assert set(found["qrisk3"]) == {expected}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bmi": "about 30"}, "bmi: not a number"),
        ({"age_years": "sixty"}, "age_years: unknown|age_years: not a number"),
        ({"migraine": "maybe"}, "migraine: not true or false"),
        ({"smoking": "2.5"}, "smoking: not one of 0, 1, 2, 3, 4"),
        ({"smoking": "heavy"}, "smoking: not one of 0, 1, 2, 3, 4"),
        ({"sex": "1"}, "sex: not one of female, male"),
        ({"bmi": "315"}, "bmi: outside 10 to 150 kg/m2"),
        ({"ethnic_group": "17"}, "ethnic_group: not one of 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    ],
)
def test_what_cannot_be_read_is_the_reason_of_its_row_alone(
    tmp_path: Path, expected: float, change: dict[str, str], reason: str
) -> None:
    good = PERSON | {name: str(PERSON[name]) for name in change}
    found = scored(tmp_path, "qrisk3", pl.DataFrame([good, PERSON | {"person_id": 2} | change]))
    assert found["qrisk3"].to_list() == [expected, None]
    assert set(reason.split("|")) <= set(str(found["reason"][1]).split("|"))


def test_blank_is_unknown_and_said_so(tmp_path: Path) -> None:
    found = scored(tmp_path, "qrisk3", pl.DataFrame([PERSON | {"bmi": ""}]))
    assert "bmi" in found["inputs_defaulted"][0].split("|")
    assert found["marks"][0] == "estimated inputs"


def test_one_input_under_two_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="age_years also stands there as age"):
        scored(tmp_path, "qrisk3", pl.DataFrame([PERSON | {"age": 61}]))


def test_columns_that_the_score_does_not_know_are_reported(tmp_path: Path) -> None:
    pl.DataFrame([PERSON | {"bmi_value": 30.0, "age_group": "60-64"}]).write_parquet(tmp_path / "in.parquet")
    report = score_file("qrisk3", tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert report.unused == ("bmi_value", "age_group")


@pytest.mark.parametrize("between", ["|", ", ", ";", " "])
def test_codes_may_come_in_one_column_however_they_are_written(tmp_path: Path, between: str) -> None:
    lists = [between.join(["F00.6", "g81X"]), "F00†", "G81.0*", "", None]
    frame = pl.DataFrame({"person_id": [1, 2, 3, 4, 5], "icd10_codes": lists, "age": ["80"] * 5})
    found = scored(tmp_path, "hfrs", frame)
    assert found["hfrs_tenths"].to_list() == [115, 71, 44, 0, 0]
    assert found["marks"].null_count() == 5


def test_age_that_cannot_be_read_beside_codes_is_refused_with_its_count(tmp_path: Path) -> None:
    frame = pl.DataFrame({"person_id": [1, 2], "icd10_code": ["F00", "F00"], "age_years": ["80", "old"]})
    with pytest.raises(ValueError, match="cannot read age_years in 1 rows"):
        scored(tmp_path, "charlson", frame)


def test_admission_methods_are_known_as_numbers_and_in_small_letters(tmp_path: Path) -> None:
    numbers = pl.DataFrame({"admission_method": [21, 11]})
    letters = pl.DataFrame({"admission_method": ["2a", " 2B"]})
    for methods in (numbers, letters):
        spells = methods.with_columns(
            spell_id=pl.int_range(pl.len()),
            diagnosis_codes=pl.lit("j44.0"),
            procedure_codes=pl.lit(None, dtype=pl.String),
        )
        assert scored(tmp_path, "acsc", spells)["is_acsc"].to_list() == [True, False]


def test_dates_come_as_text(tmp_path: Path) -> None:
    flags = [
        "coronary_heart_disease",
        "chronic_kidney_disease",
        "diabetes",
        "hypertension",
        "atrial_fibrillation",
        "stroke_or_tia",
        "familial_hypercholesterolaemia",
        "heart_failure",
        "peripheral_arterial_disease",
        "statin",
        "earlier_risk_20_percent",
    ]
    person = {"person_id": 1, "as_of_date": "2026-11-16", "birth_date": "1966-06-01 00:00:00"}
    frame = pl.DataFrame([person | {"last_health_check_date": "2020-01-31"} | dict.fromkeys(flags, 0)])
    found = scored(tmp_path, "nhs_health_check", frame)
    assert found.select("health_check_eligible", "health_check_due_date").rows() == [(True, dt.date(2025, 1, 31))]
