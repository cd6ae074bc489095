"""The Cambridge Multimorbidity Score: when each of the 20 conditions counts, and what it adds."""

import datetime as dt

import polars as pl
import pytest

from data_contracts.tables.weekly import CambridgeScores
from models.published.cambridge import CambridgeInputs, load_rules, prepare, score
from tests.lib.tables import AS_OF, weekly_tables


def scored(*, events: str = "person_id\n", medications: str = "person_id\n", as_of: dt.date = AS_OF) -> pl.DataFrame:
    """The scores of persons 1 and 2, checked against both contracts."""
    given = {"registrations": "person_id\n1\n2", "events": events, "medications": medications}
    weekly = weekly_tables(["people", "conditions", "person_features"], as_of=as_of, **given)
    inputs = prepare(*(frame.lazy() for frame in weekly.values()), as_of=as_of).collect()
    CambridgeInputs.validate(inputs)
    scores: pl.DataFrame = score(inputs.lazy()).collect()
    return CambridgeScores.validate(scores)


def present(
    *, codes: dict[str, str] | None = None, issues: dict[str, int] | None = None, egfr: dict[str, float] | None = None
) -> set[str]:
    """The conditions of one person with these dated codes, issues of medicines in the last weeks, and eGFRs."""
    coded = [f"1 | {codelist} | {day} |" for codelist, day in (codes or {}).items()]
    measured = [f"1 | egfr | {day} | {value}" for day, value in (egfr or {}).items()]
    issued = [f"1 | {name} | 2026-10-{day + 1:02}" for name, count in (issues or {}).items() for day in range(count)]
    row = scored(
        events="\n".join(["person_id | codelist | event_date | value", *coded, *measured]),
        medications="\n".join(["person_id | codelist | issued_date", *issued]),
    ).row(0, named=True)
    return set(row["conditions"].split("|")) if row["conditions"] else set()


def test_weights_are_those_published() -> None:
    general = {rule["condition"]: rule["weight_general"] for rule in load_rules()}
    mortality = {rule["condition"]: rule["weight_mortality"] for rule in load_rules()}
    assert len(general) == 20
    assert (general["dementia"], general["cancer"], general["hypertension"]) == (2.50, 1.53, 0.08)
    assert (mortality["dementia"], mortality["cancer"], mortality["asthma"]) == (124.42, 62.0, -2.73)
    assert sum(general.values()) == pytest.approx(16.33)
    assert sum(mortality.values()) == pytest.approx(432.84)


def test_score_is_the_sum_of_the_weights_present() -> None:
    events = """
        person_id | codelist      | event_date
        1         | dementia      | 2020-01-01
        1         | hypertension  | 2020-01-01
        1         | heart_failure | 2020-01-01
    """
    ill, well = scored(events=events).rows(named=True)
    assert ill["cambridge_score"] == pytest.approx(2.50 + 0.08 + 1.18)
    assert ill["cambridge_mortality_score"] == pytest.approx(124.42 - 2.09 + 43.47)
    assert (ill["condition_count"], ill["conditions"]) == (3, "dementia|heart_failure|hypertension")
    assert (well["cambridge_score"], well["condition_count"], well["conditions"]) == (0.0, 0, None)


@pytest.mark.parametrize(
    ("codelist", "condition"),
    [
        ("hypertension", "hypertension"),
        ("hearing_loss", "hearing_loss"),
        ("irritable_bowel_syndrome", "irritable_bowel_syndrome"),
        ("diabetes", "diabetes"),
        ("coronary_heart_disease", "coronary_heart_disease"),
        ("atrial_fibrillation", "atrial_fibrillation"),
        ("stroke_or_tia", "stroke_or_tia"),
        ("copd", "copd"),
        ("connective_tissue_disorder", "connective_tissue_disorder"),
        ("alcohol_problems", "alcohol_problems"),
        ("severe_mental_illness", "psychosis_or_bipolar"),
        ("heart_failure", "heart_failure"),
        ("dementia", "dementia"),
    ],
)
def test_code_ever_is_enough(codelist: str, condition: str) -> None:
    assert present(codes={codelist: "1990-01-01"}) == {condition}


@pytest.mark.parametrize("codelist", ["anxiety", "depression"])
@pytest.mark.parametrize(
    ("day", "counts"), [("2025-11-15", False), ("2025-11-16", True), ("2026-11-15", True), ("2026-11-16", False)]
)
def test_anxiety_or_depression_needs_a_code_within_12_months(codelist: str, day: str, counts: bool) -> None:
    assert present(codes={codelist: day}) == ({"anxiety_or_depression"} if counts else set())


@pytest.mark.parametrize(("issues", "counts"), [(3, False), (4, True), (5, True)])
def test_four_issues_of_a_medicine_are_enough(issues: int, counts: bool) -> None:
    assert present(issues={"antidepressant": issues}) == ({"anxiety_or_depression"} if counts else set())
    assert present(issues={"laxative": issues}) == ({"constipation"} if counts else set())
    assert present(issues={"opioid": issues}) == ({"painful_condition"} if counts else set())
    assert present(issues={"antiepileptic": issues}) == ({"painful_condition"} if counts else set())


def test_constipation_or_pain_on_record_without_issues_does_not_count() -> None:
    assert present(codes={"constipation": "2026-01-01", "painful_condition": "2026-01-01"}) == set()


def test_antiepileptics_count_as_pain_only_without_epilepsy_ever() -> None:
    assert present(codes={"epilepsy": "1990-01-01"}, issues={"antiepileptic": 4}) == {"epilepsy"}
    assert present(codes={"epilepsy": "1990-01-01"}, issues={"opioid": 4}) == {"painful_condition"}


def test_asthma_and_epilepsy_need_a_code_and_a_medicine() -> None:
    assert present(codes={"asthma": "1990-01-01"}) == set()
    assert present(issues={"inhaled_respiratory": 3}) == set()
    assert present(codes={"asthma": "1990-01-01"}, issues={"inhaled_respiratory": 1}) == {"asthma"}
    assert present(codes={"epilepsy": "1990-01-01"}) == set()
    assert present(codes={"epilepsy": "1990-01-01"}, issues={"antiepileptic": 1}) == {"epilepsy"}


@pytest.mark.parametrize(("first", "counts"), [("2021-11-15", False), ("2021-11-16", True), ("2021-11-17", True)])
def test_cancer_counts_for_five_years_from_its_first_code(first: str, counts: bool) -> None:
    events = f"""
        person_id | codelist | event_date
        1         | cancer   | {first}
        1         | cancer   | 2026-01-01
    """
    assert (scored(events=events)["conditions"][0] == "cancer") == counts


@pytest.mark.parametrize(
    ("egfr", "counts"),
    [
        ({"2026-01-01": 59.9}, True),
        ({"2026-01-01": 60.0}, False),
        ({"2026-01-01": 45.0, "2025-01-01": 59.0}, True),
        ({"2026-01-01": 45.0, "2025-01-01": 60.0}, False),
        ({"2026-01-01": 61.0, "2025-01-01": 45.0}, False),
        ({"2026-01-01": 45.0, "2025-01-01": 50.0, "2024-01-01": 90.0}, True),
        ({}, False),
    ],
)
def test_kidney_disease_is_the_better_of_the_last_two_egfr_under_60(egfr: dict[str, float], counts: bool) -> None:
    assert present(egfr=egfr) == ({"chronic_kidney_disease"} if counts else set())


def test_kidney_disease_by_code_alone_does_not_count() -> None:
    assert present(codes={"chronic_kidney_disease": "2020-01-01"}) == set()
