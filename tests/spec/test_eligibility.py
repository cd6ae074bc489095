"""Which rule leaves a current registration out, on 16 November 2026. Opt-outs fail closed."""

import polars as pl
import pytest

from data_contracts.codelists import codes_of
from tests.lib.tables import add_code, answer, table

ENTRIES = "person_id | practice_code | codelist | event_date\n99 | A81001 | hypertension | 2020-01-01"
ALL_ENTRIES = ENTRIES + "\n98 | A81002 | hypertension | 2020-01-01"
WITHDRAWN = 40030001


def rules(registrations: str, **given: str | pl.DataFrame | dict[str, str]) -> dict[tuple[int, str], str | None]:
    """Person and practice to the rule that leaves them out; what is not a current registration is not there."""
    found = answer("eligibility", registrations=registrations, **({"events": ALL_ENTRIES} | given))
    return {(row["person_id"], row["practice_code"]): row["left_out_by"] for row in found.to_dicts()}


def test_only_a_current_regular_registration_is_asked_about() -> None:
    found = rules("""
        person_id | registered_date | deregistered_date | registration_type | birth_date
        1         | 2026-11-15      |                   | regular           | 1966-06-01
        2         | 2026-11-16      |                   | regular           | 1966-06-01
        3         | 2020-01-01      | 2026-11-15        | regular           | 1966-06-01
        4         | 2020-01-01      | 2026-11-16        | regular           | 1966-06-01
        5         | 2020-01-01      |                   | temporary         | 1966-06-01
        6         | 2020-01-01      |                   | other             | 1966-06-01
        7         | 2020-01-01      |                   | regular           | 2026-11-16
        8         | 2020-01-01      |                   | regular           | 2026-11-15
    """)
    assert found == {(1, "A81001"): None, (4, "A81001"): None, (8, "A81001"): None}


def test_the_latest_start_wins_then_the_first_code_and_the_loser_is_named() -> None:
    found = rules("""
        person_id | practice_code | registered_date
        1         | A81001        | 2010-01-01
        1         | A81002        | 2020-01-01
        2         | A81002        | 2020-01-01
        2         | A81001        | 2020-01-01
        3         | A81001        | 2010-01-01
        3         | A81001        | 2020-01-01
    """)
    assert found == {
        (1, "A81001"): "registered_elsewhere",
        (1, "A81002"): None,
        (2, "A81001"): None,
        (2, "A81002"): "registered_elsewhere",
        (3, "A81001"): None,
    }


@pytest.mark.parametrize(
    ("elsewhere", "rule"),
    [
        ("1 | B82001 | 2021-01-01 | | regular |", "registered_elsewhere"),
        ("1 | B82001 | 2015-01-01 | | regular |", None),
        ("1 | B82001 | 2021-01-01 | 2026-11-15 | regular |", None),
        ("1 | B82001 | 2021-01-01 | 2026-11-16 | regular |", "registered_elsewhere"),
        ("1 | B82001 | 2026-11-16 | | regular |", None),
        ("1 | B82001 | 2021-01-01 | | temporary |", None),
        ("1 | B82001 | 2010-01-01 | 2012-01-01 | other | 2026-11-15", "died"),
        ("1 | B82001 | 2010-01-01 | 2012-01-01 | other | 2026-11-16", None),
        ("2 | B82001 | 2021-01-01 | | regular | 2026-11-01", None),
    ],
)
def test_what_another_icb_knows_of_the_person_counts(elsewhere: str, rule: str | None) -> None:
    header = "person_id | practice_code | registered_date | deregistered_date | registration_type | death_date\n"
    found = rules("person_id | registered_date\n1 | 2015-01-01", elsewhere={"registrations": header + elsewhere})
    assert found == {(1, "A81001"): rule}


def test_a_dissent_in_another_icb_counts() -> None:
    dissent = "person_id | codelist | practice_code | event_date\n1 | type_1_opt_out | B82001 | 2012-01-01"
    assert rules("person_id\n1\n2", elsewhere={"events": dissent}) == {
        (1, "A81001"): "type_1_opt_out",
        (2, "A81001"): None,
    }


@pytest.mark.parametrize(
    ("own", "other", "rule"),
    [
        ("1 | true | false | 2020-01-02 | 2020-01-03", "", None),
        ("1 | true | false | 2020-01-02 | 2020-01-02", "", "type_1_opt_out"),
        ("1 | true | false | 2020-01-02 | 2020-01-01", "", "type_1_opt_out"),
        ("1 | true | true | 2020-01-02 | 2020-01-03", "", "type_1_opt_out"),
        ("1 | true | true | | 2020-01-03", "", "type_1_opt_out"),
        ("1 | true | false | 2020-01-02 |", "", "type_1_opt_out"),
        ("1 | false | false | | 2020-01-03", "", None),
        ("1 | true | false | 2020-01-02 |", "1 | false | false | | 2020-01-03", None),
        ("1 | false | false | | 2020-01-03", "1 | true | false | 2020-01-04 |", "type_1_opt_out"),
        ("1 | false | false | | 2020-01-03", "1 | true | true | |", "type_1_opt_out"),
    ],
)
def test_only_a_withdrawal_later_than_every_dissent_lifts_it(own: str, other: str, rule: str | None) -> None:
    header = "person_id | has_dissent | has_undated_dissent | dissented_date | withdrawn_date\n"
    found = rules("person_id\n1", dissents=header + own, elsewhere={"dissents": header + other} if other else None)
    assert found == {(1, "A81001"): rule}


def test_a_withdrawal_is_read_from_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    add_code(monkeypatch, "type_1_opt_out_withdrawn", WITHDRAWN)
    dissent = "person_id | codelist | practice_code | event_date\n1 | type_1_opt_out | A81001 | 2019-01-01\n"
    given = _with_concept(dissent + "1 | hypertension | A81001 | 2020-01-01", WITHDRAWN)
    assert rules("person_id\n1", events=given) == {(1, "A81001"): None}


def _with_concept(text: str, concept_id: int) -> pl.DataFrame:
    """The events of the text, those of hypertension with another concept."""
    concept = pl.col("concept_id")
    return table("events", text).with_columns(
        pl.when(concept == codes_of("hypertension")[0]).then(concept_id).otherwise(concept).alias("concept_id")
    )


def test_death_from_any_source_leaves_out() -> None:
    spells = """
        person_id | admitted_date | discharged_date | entered_date | discharge_method
        3         | 2026-11-01    | 2026-11-10      | 2026-11-15   | 4
        4         | 2026-11-01    | 2026-11-10      | 2026-11-16   | 4
        5         | 2026-11-01    | 2026-11-10      | 2026-11-15   | 1
        6         | 2026-11-01    | 2026-11-16      | 2026-11-15   | 4
    """
    found = rules("person_id | death_date\n1 | 2026-11-15\n2 | 2026-11-16\n3 |\n4 |\n5 |\n6 |", spells=spells)
    assert {person for (person, _), rule in found.items() if rule == "died"} == {1, 3}


@pytest.mark.parametrize(
    ("paused_from", "rule"), [("2026-11-15", "sharing_paused"), ("2026-11-16", None), ("2026-11-17", None)]
)
def test_a_paused_practice_leaves_out_all_its_people(paused_from: str, rule: str | None) -> None:
    paused = f"practice_code | paused_from\nA81001 | {paused_from}"
    assert rules("person_id\n1\n2", paused_practices=paused) == {(1, "A81001"): rule, (2, "A81001"): rule}


def test_a_closed_practice_is_nobodys_home() -> None:
    practices = """
        practice_code | practice_name | icb_code | status | closed_date
        A81001        | A surgery     | QE1      | closed | 2026-11-01
        A81002        | A surgery     | QE1      | active |
    """
    found = rules(
        """
        person_id | practice_code | registered_date
        1         | A81001        | 2020-01-01
        1         | A81002        | 2010-01-01
        2         | A81001        | 2020-01-01
        """,
        practices=practices,
    )
    assert found == {(1, "A81001"): "practice_closed", (1, "A81002"): None, (2, "A81001"): "practice_closed"}


def test_without_any_entry_of_a_practice_nobody_can_tell_who_opted_out() -> None:
    registrations = "person_id | practice_code\n1 | A81001\n2 | A81002"
    late = ENTRIES + "\n98 | A81002 | hypertension | 2026-11-16"
    assert rules(registrations, events=late) == {(1, "A81001"): None, (2, "A81002"): "opt_out_unknown"}
