"""QRISK3: its inputs, refusals and marks."""

import polars as pl
import pytest

from models.published.qrisk3 import SCORE
from tests.lib.reference_scores import SCORE_DATA, read_rows, ten_year_risk

FLAGS = [column.name for column in SCORE.definition.inputs if column.kind == "flag" and column.must_exist]
PERSON = {
    "person_id": 1,
    "age_years": 64,
    "sex": "female",
    "ethnic_group": 1,
    "smoking": 0,
    "bmi": 25.0,
    "cholesterol_hdl_ratio": 4.0,
    "systolic_bp": 130.0,
    "systolic_bp_sd": 8.0,
    "townsend": 1.0,
    **dict.fromkeys(FLAGS, False),
}
COEFFICIENTS = read_rows(SCORE_DATA / "qrisk3_coefficients.csv")


def scored(options: dict[str, str] | None = None, **changes: object) -> dict[str, object]:
    return SCORE.score(pl.DataFrame([PERSON | changes], infer_schema_length=None), options=options).to_dicts()[0]


def test_a_complete_person_gets_the_published_risk() -> None:
    result = scored()
    assert result["qrisk3"] == pytest.approx(ten_year_risk(COEFFICIENTS, PERSON), abs=1e-9)
    assert result["reason"] is None
    assert result["inputs_clipped"] is None


def test_unknown_flags_count_as_false_and_are_listed() -> None:
    result = scored(migraine=None)
    assert result["qrisk3"] == scored()["qrisk3"]
    assert "migraine" in str(result["inputs_defaulted"]).split("|")
    assert "migraine" not in str(result["inputs_used"]).split("|")


def test_unknown_smoking_counts_as_never_in_the_score_only() -> None:
    result = scored(smoking=None)
    assert result["qrisk3"] == scored(smoking=0)["qrisk3"]
    assert "smoking" in str(result["inputs_missing"]).split("|")


@pytest.mark.parametrize("name", ["bmi", "cholesterol_hdl_ratio", "systolic_bp", "systolic_bp_sd"])
def test_unknown_measurements_are_estimated_and_marked(name: str) -> None:
    result = scored(**{name: None})
    assert result["marks"] == "estimated inputs"
    assert result["qrisk3"] is not None


def test_refusing_estimates_gives_null_with_a_reason() -> None:
    result = scored({"unknown": "refuse"}, bmi=None)
    assert result["qrisk3"] is None
    assert result["reason"] == "bmi: unknown"
    assert "unknown=refuse" in str(result["score_version"])


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("bmi", 17.9, 18.0),
        ("bmi", 60.0, 47.0),
        ("systolic_bp", 211.0, 210.0),
        ("systolic_bp", 69.0, 70.0),
        ("cholesterol_hdl_ratio", 13.0, 12.0),
        ("cholesterol_hdl_ratio", 0.9, 1.0),
        ("townsend", 13.0, 12.0),
        ("townsend", -9.0, -8.0),
    ],
)
def test_values_past_the_range_of_the_model_are_clipped_and_listed(name: str, value: float, nearest: float) -> None:
    result = scored(**{name: value})
    assert result["inputs_clipped"] == name
    assert result["qrisk3"] == scored(**{name: nearest})["qrisk3"]
    assert scored({"clip": "none"}, **{name: value})["qrisk3"] == pytest.approx(
        ten_year_risk(COEFFICIENTS, PERSON | {name: value}), abs=1e-9
    )


def test_the_older_kit_clips_bmi_at_40() -> None:
    assert scored({"clip": "kit"}, bmi=45.0)["qrisk3"] == scored(bmi=40.0)["qrisk3"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age_years": 24}, "age_years: outside 25 to 84 years"),
        ({"age_years": 85}, "age_years: outside 25 to 84 years"),
        ({"age_years": 64.5}, "age_years: not a whole number"),
        ({"age_years": None}, "age_years: unknown"),
        ({"sex": "indeterminate"}, "sex: not one of female, male"),
        ({"ethnic_group": 10}, "ethnic_group: not one of 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"ethnic_group": 0}, "ethnic_group: not one of 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"smoking": 5}, "smoking: not one of 0, 1, 2, 3, 4"),
        ({"bmi": 9.9}, "bmi: outside 10 to 150 kg/m2"),
        ({"bmi": float("nan")}, "bmi: outside 10 to 150 kg/m2"),
        (
            {"systolic_bp": 12.5, "systolic_bp_unit": "kPa"},
            "systolic_bp: outside 40 to 350 mmHg|systolic_bp_unit: not mmHg",
        ),
        ({"bmi": 25.0, "bmi_unit": "lb/in2"}, "bmi_unit: not kg/m2"),
        ({"migraine": 2}, "migraine: not 0 or 1"),
        ({"cardiovascular_disease": True}, "not eligible: cardiovascular_disease"),
    ],
)
def test_bad_input_is_named_and_never_scored(changes: dict[str, object], reason: str) -> None:
    result = scored(**changes)
    assert result["reason"] == reason
    assert result["qrisk3"] is None
    assert result["qrisk3_band"] is None


def test_eligibility_can_be_ignored_and_is_then_marked() -> None:
    result = scored({"eligibility": "ignore"}, cardiovascular_disease=True)
    assert result["qrisk3"] == scored()["qrisk3"]
    assert result["marks"] == "outside guidance: cardiovascular_disease"


@pytest.mark.parametrize(
    ("age", "is_scored"), [(24, False), (25, True), (26, True), (83, True), (84, True), (85, False)]
)
def test_ages_25_to_84_are_scored(age: int, *, is_scored: bool) -> None:
    assert (scored(age_years=age)["qrisk3"] is not None) == is_scored


@pytest.mark.parametrize(
    ("letter", "group"),
    [("A", 1), ("D", 9), ("H", 2), ("J", 3), ("K", 4), ("N", 7), ("R", 8), ("Z", None), ("99", None)],
)
def test_nhs_ethnic_categories_stand_in_for_qrisk_groups(letter: str, group: int | None) -> None:
    result = scored(ethnic_group=None, ethnic_category=letter)
    assert result["qrisk3"] == scored(ethnic_group=group or 1)["qrisk3"]
    assert ("ethnic_group" in str(result["inputs_defaulted"])) == (group is None)


def test_an_unknown_nhs_category_is_named() -> None:
    assert "ethnic_category: not one of" in str(scored(ethnic_group=None, ethnic_category="Q")["reason"])


def test_erectile_dysfunction_changes_men_only() -> None:
    assert scored(erectile_dysfunction=True)["qrisk3"] == scored()["qrisk3"]
    assert scored(erectile_dysfunction=True)["marks"] == "ignored: erectile_dysfunction is for sex male only"
    assert scored(sex="male", erectile_dysfunction=True)["qrisk3"] > scored(sex="male")["qrisk3"]


def test_whole_numbers_may_stand_for_flags_and_decimals_for_codes() -> None:
    changes = {"migraine": 1, "smoking": 2.0, "ethnic_group": 3.0, "age_years": 64.0}
    assert scored(**changes)["qrisk3"] == scored(migraine=True, smoking=2, ethnic_group=3)["qrisk3"]


def test_a_table_without_a_needed_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"columns absent: bmi;.*wrong type: smoking"):
        SCORE.score(pl.DataFrame([PERSON | {"smoking": "never"}]).drop("bmi"))


def test_a_table_needs_one_of_the_ethnic_columns() -> None:
    with pytest.raises(ValueError, match="ethnic_group or ethnic_category"):
        SCORE.score(pl.DataFrame([PERSON]).drop("ethnic_group"))


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="no option clip=all"):
        scored({"clip": "all"})


def test_a_lazy_table_scores_as_an_eager_one() -> None:
    frame = pl.DataFrame([PERSON | {"person_id": i, "age_years": 20 + i, "migraine": None} for i in range(80)])
    assert SCORE.score(frame.lazy()).collect().equals(SCORE.score(frame))


def test_an_empty_table_gives_an_empty_table() -> None:
    assert SCORE.score(pl.DataFrame([PERSON]).clear()).height == 0
