"""What the smaller scores do at their edges, with unknowns and with bad input."""

import datetime as dt

import polars as pl
import pytest

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.registry import load_scores


def score(name: str, *rows: dict[str, object]) -> list[dict[str, object]]:
    return load_scores()[name].score(pl.DataFrame(list(rows), infer_schema_length=None)).to_dicts()


def diagnoses(*codes: str | None, age: int | None = 80) -> list[dict[str, object]]:
    return [{"person_id": 1, "icd10_code": code, "age_years": age} for code in codes]


def spell(
    method: str | None = "21", diagnoses: str | None = "J440", procedures: str | None = None
) -> dict[str, object]:
    return {"spell_id": 1, "admission_method": method, "diagnosis_codes": diagnoses, "procedure_codes": procedures}


def codes_worth(tenths: int) -> list[str]:
    """Categories whose weights add up to that many tenths, each used once."""
    weights = load_table(load_definition("hfrs"), "hfrs_weights").select("icd10_code", "weight_tenths")
    reachable: dict[int, list[str]] = {0: []}
    for code, weight in weights.iter_rows():
        reachable = {total + int(weight): [*codes, code] for total, codes in reachable.items()} | reachable
    return reachable[tenths]


@pytest.mark.parametrize(
    ("tenths", "band"),
    [
        (49, "low"),
        (50, "intermediate"),
        (51, "intermediate"),
        (149, "intermediate"),
        (150, "intermediate"),
        (151, "high"),
    ],
)
def test_frailty_bands_are_exact_at_5_and_15(tenths: int, band: str) -> None:
    result = score("hfrs", *diagnoses(*codes_worth(tenths)))[0]
    assert (result["hfrs_tenths"], result["hfrs"], result["hfrs_band"]) == (tenths, tenths / 10, band)


def test_frailty_counts_each_category_once() -> None:
    assert score("hfrs", *diagnoses("G81", "G81", "G811", "G81.9", "g819"))[0]["hfrs_tenths"] == 44


def test_frailty_marks_people_under_75_and_unknown_ages() -> None:
    assert score("hfrs", *diagnoses("G81", age=74))[0]["marks"] == "outside guidance: age_years under 75"
    assert score("hfrs", *diagnoses("G81", age=75))[0]["marks"] is None
    unknown = score("hfrs", {"person_id": 1, "icd10_code": "G81"})[0]
    assert unknown["marks"] == "age_years unknown"
    assert unknown["inputs_missing"] == "age_years"


def test_a_person_without_diagnoses_scores_nought_and_says_so() -> None:
    result = score("charlson", *diagnoses(None))[0]
    assert (result["charlson_1987"], result["charlson_conditions"]) == (0, None)
    assert result["inputs_missing"] == "icd10_code"


def test_codes_that_are_not_icd10_are_left_out_and_marked() -> None:
    result = score("charlson", *diagnoses("I500", "heart failure"))[0]
    assert result["charlson_1987"] == 1
    assert result["marks"] == "icd10_code: not ICD-10 in form"


def test_two_ages_for_one_person_are_named() -> None:
    rows = [*diagnoses("I500", age=80), *diagnoses("J440", age=81)]
    for name in ("charlson", "hfrs"):
        assert score(name, *rows)[0]["reason"] == "age_years: differs between the rows of one key"


def test_an_age_past_130_is_named() -> None:
    assert score("charlson", *diagnoses("I500", age=131))[0]["reason"] == "age_years: outside 0 to 130 years"


@pytest.mark.parametrize(
    ("codes", "original", "quan", "shmi"),
    [
        (["E109"], 1, 0, 3),
        (["E102"], 2, 1, 0),
        (["E109", "E102"], 2, 1, 0),
        (["K700"], 1, 2, 0),
        (["K700", "K704"], 3, 4, 0),
        (["C509"], 2, 2, 8),
        (["C509", "C780"], 6, 6, 14),
        (["B20"], 6, 4, 2),
        (["I252"], 1, 0, 5),
    ],
)
def test_charlson_hierarchies_and_weights(codes: list[str], original: int, quan: int, shmi: int) -> None:
    result = score("charlson", *diagnoses(*codes))[0]
    assert (result["charlson_1987"], result["charlson_quan_2011"], result["charlson_shmi"]) == (original, quan, shmi)


@pytest.mark.parametrize(
    ("age", "points"), [(0, 0), (49, 0), (50, 1), (59, 1), (60, 2), (70, 3), (79, 3), (80, 4), (110, 4)]
)
def test_charlson_age_points(age: int, points: int) -> None:
    result = score("charlson", *diagnoses("I500", age=age))[0]
    assert result["charlson_age_points"] == points
    assert result["charlson_1987_age_adjusted"] == 1 + points


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (spell(method=None), "admission_method: unknown"),
        (spell(diagnoses=None), "diagnosis_codes: unknown"),
    ],
)
def test_a_spell_that_cannot_be_judged_is_null_with_a_reason(row: dict[str, object], reason: str) -> None:
    result = score("acsc", row)[0]
    assert result["is_acsc"] is None
    assert result["reason"] == reason


def test_an_unknown_admission_method_is_named() -> None:
    assert str(score("acsc", spell(method="29"))[0]["reason"]).startswith("admission_method: not one of 11, 12")


def test_a_spell_with_an_odd_code_is_marked() -> None:
    assert score("acsc", spell(diagnoses="J440|asthma"))[0]["marks"] == "diagnosis_codes: a code not ICD-10 in form"


@pytest.mark.parametrize(("age", "mark"), [(64, True), (65, False), (95, False), (96, True)])
def test_the_frailty_index_marks_ages_it_was_not_built_for(age: int, *, mark: bool) -> None:
    deficits = {column.name: False for column in load_scores()["efi"].definition.inputs if column.kind == "flag"}
    result = score("efi", {"person_id": 1, "age_years": age, **deficits})[0]
    assert (result["marks"] == "outside guidance: age_years not 65 to 95") == mark
    assert result["efi_band"] == "fit"


def test_the_frailty_index_is_null_when_nothing_is_known() -> None:
    columns = [column.name for column in load_scores()["efi"].definition.inputs]
    result = score("efi", {"person_id": 1, **dict.fromkeys(columns)})[0]
    assert result["efi"] is None
    assert result["reason"] == "no deficit is known to be present or absent"
    assert result["inputs_used"] is None


def test_cambridge_is_null_when_nothing_is_known() -> None:
    columns = [column.name for column in load_scores()["cambridge"].definition.inputs]
    result = score("cambridge", {"person_id": 1, **dict.fromkeys(columns)})[0]
    assert (result["cambridge_score"], result["reason"]) == (None, "no condition is known to be present or absent")
    one = score("cambridge", {"person_id": 1, **dict.fromkeys(columns), "dementia": True})[0]
    assert one["cambridge_score"] == pytest.approx(2.5)
    assert len(str(one["inputs_defaulted"]).split("|")) == 19


def audit(*answers: int | None, **totals: int) -> dict[str, object]:
    return score("audit", {"person_id": 1, **{f"audit_q{i}": value for i, value in enumerate(answers, 1)}, **totals})[
        0
    ]


def test_unanswered_questions_leave_audit_unknown_but_not_audit_c() -> None:
    result = audit(3, 2, 1, None, 0, 0, 0, 0, 0, 0)
    assert (result["audit_c_score"], result["audit_score"], result["reason"]) == (6, None, None)


def test_skip_rules_count_unasked_questions_as_nought() -> None:
    assert audit(0, None, None, None, None, None, None, None, 4, 0)["audit_score"] == 4
    assert audit(1, 0, 0, None, None, None, None, None, 0, 2)["audit_score"] == 3
    assert audit(1, 0, 1, None, None, None, None, None, 0, 2)["audit_score"] is None


def test_a_total_that_is_not_the_sum_is_named() -> None:
    assert audit(3, 2, 1, 0, 0, 0, 0, 0, 0, 0, audit_c=5)["reason"] == "audit_c: not the sum of questions 1 to 3"
    assert audit(3, 2, 1, 0, 0, 0, 0, 0, 0, 0, audit=7)["reason"] == "audit: not the sum of questions 1 to 10"


def test_no_answer_and_no_total_is_a_reason() -> None:
    result = score("audit", {"person_id": 1, "audit_c": None})[0]
    assert result["reason"] == "neither AUDIT-C nor AUDIT can be worked out"


@pytest.mark.parametrize("total", [-1, 13])
def test_an_audit_c_outside_0_to_12_is_named(total: int) -> None:
    assert score("audit", {"person_id": 1, "audit_c": total})[0]["reason"] == "audit_c: outside 0 to 12 points"


def check(**changes: object) -> dict[str, object]:
    definition = load_scores()["nhs_health_check"].definition
    flags = {column.name: False for column in definition.inputs if column.kind == "flag"}
    dates = {"as_of_date": dt.date(2026, 11, 16), "birth_date": dt.date(1970, 1, 1), "last_health_check_date": None}
    return score("nhs_health_check", {"person_id": 1, **dates, **flags, **changes})[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"birth_date": dt.date(2026, 11, 17)}, "birth_date: after as_of_date"),
        ({"last_health_check_date": dt.date(2026, 11, 16)}, "last_health_check_date: not before as_of_date"),
        ({"last_health_check_date": dt.date(1969, 1, 1)}, "last_health_check_date: before birth_date"),
    ],
)
def test_impossible_dates_are_named(changes: dict[str, object], reason: str) -> None:
    result = check(**changes)
    assert result["reason"] == reason
    assert result["health_check_eligible"] is None


def test_dates_with_a_time_count_as_dates() -> None:
    result = check(birth_date=dt.datetime(1986, 11, 16, 23, 59), as_of_date=dt.datetime(2026, 11, 16, 0, 1))
    assert result["health_check_eligible"] is True


def test_an_unknown_exclusion_counts_as_absent_and_is_listed() -> None:
    result = check(statin=None)
    assert result["health_check_eligible"] is True
    assert result["inputs_defaulted"] == "statin"


def test_nobody_is_due_after_their_74th_year() -> None:
    result = check(birth_date=dt.date(1952, 1, 1), last_health_check_date=dt.date(2023, 6, 1))
    assert (result["health_check_eligible"], result["health_check_due_date"]) == (False, None)


@pytest.mark.parametrize(
    "name", ["length_of_stay_days", "is_emergency", "comorbidity_score", "emergency_attendances_6m"]
)
def test_lace_needs_all_four_parts(name: str) -> None:
    parts = {"length_of_stay_days": 3, "is_emergency": True, "comorbidity_score": 1, "emergency_attendances_6m": 0}
    assert score("lace", {"spell_id": 1, **parts})[0]["lace"] == 7
    assert score("lace", {"spell_id": 1, **parts, name: None})[0]["reason"] == f"{name}: unknown"


def test_conditions_are_counted_once_and_others_left_out() -> None:
    rows = [{"person_id": 1, "condition": name} for name in ("copd", "asthma", "copd", "falls")]
    result = score("multimorbidity", *rows, {"person_id": 2, "condition": None})
    assert (result[0]["condition_count"], result[0]["conditions"]) == (2, "asthma|copd")
    assert result[0]["multimorbidity_band"] == "two or three"
    assert (result[1]["condition_count"], result[1]["multimorbidity_band"]) == (0, "none")


def test_a_negative_count_of_medicines_is_named() -> None:
    result = score("polypharmacy", {"person_id": 1, "medicine_count": -1})[0]
    assert result["reason"] == "medicine_count: outside 0 to 200 medicines"
