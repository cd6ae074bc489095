"""How reasons and actions are put into words."""

import datetime as dt
from importlib.resources import files

import polars as pl
import pytest
import yaml

from data_contracts.actions import load_actions
from data_contracts.tables.weekly import CHANNELS, PROGRAMMES
from pipelines.steps.reasons import ReasonTables, blanks_of, suggest_actions, word_reasons
from tests.lib.release_frames import frame, gap_of

RULES = load_actions()
PERSON = {"person_id": 7}


def tables(place_from: str = "complex_care", **rows: list[dict[str, object]]) -> ReasonTables:
    """Tables of one person, number 7, with the rows given."""
    names = ["complex_care", "risk_scores", "risk_reasons", "person_features", "conditions", "measurements"]
    names += ["programme_states", "non_responders", "lifestyle_flags", "care_owed", "people_not_seen"]
    frames = {name: frame(name, [row | PERSON for row in rows.get(name, [])]) for name in names}
    chosen = pl.DataFrame([{"person_id": 7, "practice_code": "A81001", "place_from": place_from, "rank": 1}])
    return ReasonTables(chosen=chosen, **frames)


def reasons(**rows: list[dict[str, object]]) -> list[str]:
    worded = word_reasons(tables(**rows), rules=RULES)
    return worded["reasons"][0].split("|") if worded.height else []


def ranked(score: float = 2.31, by: str = "cambridge_score") -> list[dict[str, object]]:
    return [{"ranked_by": by, "score": score, "rank": 1}]


def gap(**values: object) -> list[dict[str, object]]:
    return [gap_of(7, "A81001", **values)]


@pytest.mark.parametrize(
    ("score", "by", "text"),
    [
        (0.34, "risk_avoidable_admission_12m", "estimated 34 in 100 chance of an avoidable emergency admission"),
        (0.001, "risk_avoidable_admission_12m", "estimated 1 in 100 chance of an avoidable emergency admission"),
        (2.314, "cambridge_score", "Cambridge Multimorbidity Score 2.31"),
    ],
)
def test_the_score_that_ranked_comes_first(score: float, by: str, text: str) -> None:
    worded = reasons(complex_care=ranked(score, by), risk_scores=[{"risk_avoidable_admission_12m": score}])
    assert worded[0].startswith(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "one emergency admission in the last 12 months"),
        (2.0, "two emergency admissions in the last 12 months"),
        (9.0, "nine emergency admissions in the last 12 months"),
        (14.0, "14 emergency admissions in the last 12 months"),
    ],
)
def test_counts_are_said_in_words(value: float, text: str) -> None:
    worded = reasons(
        complex_care=ranked(),
        risk_reasons=[{"reasons": "emergency_admissions_12m=0.93"}],
        person_features=[{"feature": "emergency_admissions_12m", "value": value}],
    )
    assert worded[1:] == [text]


def test_a_part_that_counts_none_is_not_a_reason() -> None:
    worded = reasons(
        complex_care=ranked(),
        risk_reasons=[{"reasons": "emergency_admissions_12m=0.93"}],
        person_features=[{"feature": "emergency_admissions_12m", "value": 0.0}],
    )
    assert worded[1:] == []


def test_conditions_say_since_when() -> None:
    worded = reasons(
        complex_care=ranked(),
        risk_reasons=[{"reasons": "has_heart_failure=0.71|has_copd=0.50"}],
        conditions=[{"condition": "heart_failure", "first_date": dt.date(2019, 3, 4)}],
    )
    assert worded[1:] == ["heart failure on record since 4 March 2019", "COPD on record"]


def test_measurements_say_value_and_day() -> None:
    worded = reasons(
        complex_care=ranked(),
        risk_reasons=[{"reasons": "egfr=0.71"}],
        measurements=[{"measure": "egfr", "value": 28.5, "measured_date": dt.date(2026, 5, 3)}],
    )
    assert worded[1:] == ["eGFR 28.5 on 3 May 2026"]


def test_parts_that_lower_the_score_or_nobody_can_check_are_left_out() -> None:
    parts = "age_years=2.0|imd_decile=0.9|has_copd=-0.4|has_asthma=0.1"
    assert reasons(complex_care=ranked(), risk_reasons=[{"reasons": parts}])[1:] == ["asthma on record"]


def test_only_the_leading_parts_are_shown() -> None:
    parts = "|".join(f"has_{name}=0.5" for name in ["copd", "asthma", "cancer", "dementia", "epilepsy", "diabetes"])
    worded = reasons(complex_care=ranked(), risk_reasons=[{"reasons": parts}])
    assert len(worded) == 1 + RULES.shown_score_parts


@pytest.mark.parametrize("entry", RULES.sensitive, ids=lambda entry: entry.name)
def test_sensitive_conditions_are_never_a_reason(entry: object) -> None:
    name = entry.name
    loud = RULES.model_copy(update={"conditions": {**RULES.conditions, name: "A SECRET", f"{name}_x": "A SECRET"}})
    shown = tables(
        complex_care=ranked(),
        risk_reasons=[{"reasons": f"has_{name}=3.0|{name}=2.0|{name}_x=1.0"}],
        conditions=[{"condition": name, "first_date": dt.date(2019, 3, 4)}],
    )
    assert "SECRET" not in word_reasons(shown, rules=loud)["reasons"][0]


INVITED = {"last_invited_date": dt.date(2026, 5, 3)}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "overdue: bowel screening (since March 2024, no reply)"),
        (
            {"grade": "inferred"},
            "overdue: bowel screening (since March 2024, no result, reply or refusal on record)",
        ),
        ({"state": "did_not_attend"}, "overdue: bowel screening (since March 2024, missed the appointment)"),
        (
            {"state": "invited_once", "invitations": 1, "last_invited_by": "text", **INVITED},
            "overdue: bowel screening (since March 2024, one text message, no reply yet)",
        ),
        (
            {"state": "invited_twice", "invitations": 2, "last_invited_by": "letter", **INVITED},
            "overdue: bowel screening (since March 2024, two letters, no reply)",
        ),
        (
            {"state": "invited_three_times", "invitations": 3, **INVITED},
            "overdue: bowel screening (since March 2024, three invitations, no reply)",
        ),
        (
            {"state": "overdue_never_invited", "grade": "inferred"},
            "overdue: bowel screening (since March 2024, no invitation on record)",
        ),
    ],
)
def test_a_gap_says_what_is_known(values: dict[str, object], text: str) -> None:
    assert reasons(programme_states=gap(**values)) == [text]


def test_all_gaps_of_a_person_are_one_reason_with_the_last_contact() -> None:
    gaps = [
        *gap(programme="flu", event="flu season", days_overdue=46, due_date=dt.date(2026, 10, 1), grade="inferred"),
        *gap(state="invited_twice", invitations=2, last_invited_by="letter", **INVITED),
        *gap(programme="diabetes_review", state="overdue_never_invited", grade="inferred", days_overdue=100),
    ]
    seen = [{"last_seen_date": dt.date(2026, 3, 9), "last_seen_for": "blood test"}]
    assert reasons(programme_states=gaps, non_responders=seen) == [
        "overdue: bowel screening (since March 2024, two letters, no reply), "
        "diabetes review (since March 2024, no invitation on record), "
        "flu vaccination (since October 2026, no result, reply or refusal on record); "
        "last seen for a blood test in March 2026"
    ]


def test_gaps_past_those_shown_are_counted() -> None:
    gaps = [row for name in PROGRAMMES[: RULES.gaps.shown + 2] for row in gap(programme=name)]
    assert reasons(programme_states=gaps)[0].endswith("and two more")


@pytest.mark.parametrize("state", ["declined", "unsuitable", "up_to_date", "not_eligible", "due", "booked"])
def test_only_gaps_are_a_reason(state: str) -> None:
    assert reasons(programme_states=gap(state=state, is_gap=False)) == []


def test_every_gap_has_words() -> None:
    gaps = {"did_not_respond", "did_not_attend", "overdue_never_invited"}
    gaps |= {"invited_once", "invited_twice", "invited_three_times"}
    assert {state.split()[0] for state in RULES.gaps.states} == gaps
    assert set(RULES.gaps.channels) == {*CHANNELS, "not coded"}


def test_flags_say_value_and_day() -> None:
    flag = {
        "has_raised_blood_pressure": True,
        "is_current_smoker": False,
        "systolic_bp": 164.0,
        "diastolic_bp": 98.0,
        "blood_pressure_date": dt.date(2026, 5, 3),
    }
    assert reasons(lifestyle_flags=[flag]) == ["blood pressure 164/98 on 3 May 2026"]


def test_a_flag_without_a_date_still_says_something() -> None:
    assert reasons(lifestyle_flags=[{"is_current_smoker": True}]) == ["current smoker"]


def test_the_action_names_what_to_offer_once() -> None:
    gaps = [*gap(), *gap(programme="flu"), *gap(programme="breast", state="declined", is_gap=False)]
    found = suggest_actions(
        tables("non_responders", programme_states=gaps, lifestyle_flags=[{"is_obese": True}]), rules=RULES
    )
    text = found["suggested_action"][0]
    assert text.startswith("Make one call about everything that is overdue")
    assert "bowel screening kit" in text
    assert "flu vaccination" in text
    assert "breast" not in text
    assert text.count("weight management") == 1


def test_every_programme_has_words_and_an_action() -> None:
    assert set(RULES.programmes) == set(PROGRAMMES)


def test_every_blank_is_one_that_can_be_filled() -> None:
    phrases = [*RULES.scores.values(), *RULES.features.values(), *RULES.flags.values()]
    texts = [text for phrase in phrases for field, text in phrase if field in ("text", "one", "undated") and text]
    texts += [RULES.condition_text, RULES.condition_text_undated]
    used = {blank for text in texts for blank in blanks_of(text)}
    assert used <= {"count", "value", "second", "date", "title"}


SILENT = {"age_years", "is_female", "imd_decile"}


def test_every_part_that_a_model_may_give_as_a_reason_has_a_text() -> None:
    for spec in (files("models") / "specs").iterdir():
        features = yaml.safe_load(spec.read_text("utf-8")).get("features", [])
        names = {entry["name"].removeprefix("has_") for entry in features if entry.get("is_reason", True)}
        assert names - SILENT <= RULES.features.keys() | RULES.conditions.keys()


def test_no_text_holds_the_mark_that_joins_reasons() -> None:
    assert "|" not in str(RULES.model_dump(exclude={"sensitive"}))


@pytest.mark.parametrize(
    ("value", "text"),
    [(-12.0, "eGFR fell by 12 since the value before"), (3.5, "eGFR rose by 3.5 since the value before")],
)
def test_a_change_says_which_way_it_went(value: float, text: str) -> None:
    worded = reasons(
        complex_care=ranked(),
        risk_reasons=[{"reasons": "egfr_change=0.40"}],
        person_features=[{"feature": "egfr_change", "value": value}],
    )
    assert text in worded


@pytest.mark.parametrize(
    ("known", "place_from", "said"),
    [
        (
            "no_contact_24m|emergency_only_12m",
            "people_not_seen",
            ["not reached: no contact in two years; seen at A&E only in a year"],
        ),
        (
            "missed_appointments_12m",
            "complex_care",
            ["not reached: three or more missed appointments in a year"],
        ),
        ("no_contact_12m|prison_release|homeless", "people_not_seen", ["not reached: no contact in a year"]),
        ("prison_release", "people_not_seen", ["not reached by the practice; see the record"]),
        ("prison_release", "complex_care", []),
    ],
    ids=["how", "in another cohort too", "circumstances left out", "circumstances only", "not told elsewhere"],
)
def test_of_people_not_seen_only_how_is_said(known: str, place_from: str, said: list[str]) -> None:
    rows = {"people_not_seen": [{"reasons": known}]}
    worded = word_reasons(tables(place_from=place_from, **rows), rules=RULES)
    assert worded["reasons"].to_list() == said
