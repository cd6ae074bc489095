"""Where people stand with screening and immunisation on 16 November 2026, programme by programme."""

import datetime as dt

import polars as pl
import pytest

from tests.lib.tables import answer

BIRTHS = {
    "bowel": ("1966-06-01", "male"),
    "breast": ("1966-06-01", "female"),
    "cervical": ("1990-06-01", "female"),
    "flu": ("1950-06-01", "male"),
    "mmr": ("2022-01-01", "male"),
}
PREFIX = {
    "bowel": "bowel_screening",
    "breast": "breast_screening",
    "cervical": "cervical_screening",
    "flu": "flu_vaccination",
    "mmr": "mmr_vaccination",
}


def stand(
    programme: str, *entries: tuple[str, str], born: str = "", sex: str = "", registered: str = "2015-01-01"
) -> tuple[str, str] | None:
    """State and grade of one person with these entries: (role, date)."""
    found = row(programme, *entries, born=born, sex=sex, registered=registered)
    return (found["state"], found["grade"]) if found else None


def row(
    programme: str, *entries: tuple[str, str], born: str = "", sex: str = "", registered: str = "2015-01-01"
) -> dict[str, object]:
    birth, usual_sex = BIRTHS[programme]
    lines = "\n".join(f"1 | {_codelist(programme, role)} | {day}" for role, day in entries)
    person = f"1 | {born or birth} | {sex or usual_sex} | {registered}"
    found = answer(
        "non_responders",
        registrations=f"person_id | birth_date | sex | registered_date\n{person}",
        events=f"person_id | codelist | event_date\n{lines}",
    ).filter(programme=programme)
    return found.row(0, named=True) if found.height else {}


def _codelist(programme: str, role: str) -> str:
    return role if role in ("copd", "diabetes") else f"{PREFIX[programme]}_{role}"


@pytest.mark.parametrize(
    ("programme", "born", "sex", "is_eligible"),
    [
        ("bowel", "1976-11-15", "female", True),
        ("bowel", "1976-11-16", "female", True),
        ("bowel", "1976-11-17", "female", False),
        ("bowel", "1951-11-16", "male", False),
        ("bowel", "1951-11-17", "male", True),
        ("breast", "1976-11-16", "female", True),
        ("breast", "1976-11-17", "female", False),
        ("breast", "1955-11-16", "female", False),
        ("breast", "1955-11-17", "female", True),
        ("breast", "1966-06-01", "male", False),
        ("breast", "1966-06-01", "unknown", False),
        ("cervical", "2002-05-16", "female", True),
        ("cervical", "2002-05-17", "female", False),
        ("cervical", "1961-11-16", "female", False),
        ("cervical", "1961-11-17", "female", True),
        ("cervical", "1990-06-01", "male", False),
        ("flu", "1962-03-31", "male", True),
        ("flu", "1962-04-01", "male", False),
        ("flu", "2024-08-31", "male", True),
        ("flu", "2024-09-01", "male", False),
        ("flu", "2022-09-01", "male", True),
        ("flu", "2022-08-31", "male", False),
        ("mmr", "2025-11-16", "female", True),
        ("mmr", "2025-11-17", "female", False),
        ("mmr", "2020-11-16", "female", False),
        ("mmr", "2020-11-17", "female", True),
    ],
)
def test_who_is_eligible(programme: str, born: str, sex: str, is_eligible: bool) -> None:
    assert (stand(programme, born=born, sex=sex) is not None) == is_eligible


@pytest.mark.parametrize(
    ("programme", "born", "first_day_that_covers"),
    [
        ("bowel", "1966-06-01", "2024-05-17"),
        ("breast", "1966-06-01", "2023-11-17"),
        ("cervical", "1990-06-01", "2023-05-19"),
        ("cervical", "1970-06-01", "2021-05-19"),
        ("flu", "1950-06-01", "2026-09-01"),
    ],
)
def test_done_within_the_window_is_up_to_date(programme: str, born: str, first_day_that_covers: str) -> None:
    first = dt.date.fromisoformat(first_day_that_covers)
    before, after = (first + dt.timedelta(days=days) for days in (-1, 1))
    assert stand(programme, ("done", str(before)), born=born) == ("non_responder", "inferred")
    assert stand(programme, ("done", str(first)), born=born) == ("up_to_date", "coded")
    assert stand(programme, ("done", str(after)), born=born) == ("up_to_date", "coded")
    assert stand(programme, ("done", "2026-11-16"), born=born) == ("non_responder", "inferred")


def test_cervical_screening_falls_due_after_three_years_to_49_and_five_from_50() -> None:
    assert row("cervical", ("done", "2020-01-01"))["due_date"] == dt.date(2022, 12, 31)
    assert row("cervical", ("done", "2020-01-01"), born="1970-06-01")["due_date"] == dt.date(2024, 12, 31)
    assert row("cervical")["due_date"] == dt.date(2014, 12, 1)


@pytest.mark.parametrize("programme", ["bowel", "breast", "cervical", "flu", "mmr"])
def test_nothing_on_record_is_inferred_non_response(programme: str) -> None:
    assert stand(programme) == ("non_responder", "inferred")


@pytest.mark.parametrize("programme", ["bowel", "breast", "cervical", "flu", "mmr"])
def test_just_registered_is_unknown_and_not_flagged(programme: str) -> None:
    assert stand(programme, registered="2026-05-17") == ("non_responder", "inferred")
    assert stand(programme, registered="2026-05-18") == ("not_eligible", "unknown")


@pytest.mark.parametrize(
    ("programme", "missed"),
    [("bowel", "2026-06-01"), ("breast", "2026-06-01"), ("cervical", "2026-06-01"), ("mmr", "2026-06-01")],
)
def test_coded_non_response_since_it_fell_due_is_coded(programme: str, missed: str) -> None:
    assert stand(programme, ("no_response", missed)) == ("non_responder", "coded")
    assert stand(programme, ("no_response", missed), registered="2026-11-01") == ("non_responder", "coded")


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("2026-09-29", "up_to_date"), ("2026-09-30", "non_responder"), ("2026-10-01", "non_responder")],
)
def test_unanswered_call_since_it_fell_due_beats_an_old_test(missed: str, expected: str) -> None:
    assert stand("bowel", ("done", "2024-09-30"), ("no_response", missed)) == (expected, "coded")


def test_test_after_an_unanswered_call_is_up_to_date() -> None:
    assert stand("bowel", ("no_response", "2025-01-01"), ("done", "2025-02-01")) == ("up_to_date", "coded")


def test_non_response_code_before_it_fell_due_says_nothing() -> None:
    assert stand("bowel", ("no_response", "2016-05-31")) == ("non_responder", "inferred")
    assert stand("bowel", ("no_response", "2016-06-01")) == ("non_responder", "coded")


@pytest.mark.parametrize(
    ("declined", "expected"),
    [
        ("2025-11-15", ("non_responder", "inferred")),
        ("2025-11-16", ("declined", "coded")),
        ("2026-11-15", ("declined", "coded")),
        ("2026-11-16", ("non_responder", "inferred")),
    ],
)
def test_decline_is_valid_for_twelve_months(declined: str, expected: tuple[str, str]) -> None:
    assert stand("bowel", ("declined", declined)) == expected


def test_decline_of_last_season_does_not_carry_over() -> None:
    assert stand("flu", ("declined", "2026-08-31")) == ("non_responder", "inferred")
    assert stand("flu", ("declined", "2026-09-01")) == ("declined", "coded")


def test_test_after_a_decline_is_up_to_date() -> None:
    assert stand("cervical", ("declined", "2026-01-01"), ("done", "2026-02-01")) == ("up_to_date", "coded")
    assert stand("cervical", ("done", "2026-01-01"), ("declined", "2026-02-01")) == ("declined", "coded")


def test_unsuitable_lasts_until_a_later_screen() -> None:
    assert stand("cervical", ("unsuitable", "2010-01-01")) == ("unsuitable", "coded")
    assert stand("cervical", ("unsuitable", "2010-01-01"), ("declined", "2026-01-01")) == ("unsuitable", "coded")
    assert stand("cervical", ("unsuitable", "2010-01-01"), ("done", "2025-01-01")) == ("up_to_date", "coded")
    assert stand("breast", ("done", "2009-01-01"), ("unsuitable", "2010-01-01")) == ("unsuitable", "coded")


def test_breast_screening_is_not_flagged_below_53_unless_a_call_went_unanswered() -> None:
    assert stand("breast", born="1973-11-17") == ("not_eligible", "unknown")
    assert stand("breast", born="1973-11-16") == ("non_responder", "inferred")
    assert stand("breast", ("no_response", "2026-06-01"), born="1974-06-01") == ("non_responder", "coded")
    assert stand("breast", ("done", "2026-06-01"), born="1974-06-01") == ("up_to_date", "coded")


def test_bowel_kit_that_gave_no_result_is_not_a_test() -> None:
    assert stand("bowel", ("kit_problem", "2026-06-01")) == ("non_responder", "inferred")


def test_invitations_count_since_it_fell_due_one_a_day() -> None:
    found = row(
        "cervical",
        ("done", "2019-01-01"),
        ("invited", "2021-12-30"),
        ("invited", "2021-12-31"),
        ("invited", "2022-06-01"),
        ("invited", "2022-06-01"),
    )
    assert (found["due_date"], found["invitations"]) == (dt.date(2021, 12, 31), 2)
    assert (found["last_invited_date"], found["last_done_date"]) == (dt.date(2022, 6, 1), dt.date(2019, 1, 1))


def test_flu_reaches_clinical_risk_groups() -> None:
    assert stand("flu", born="1980-01-01") is None
    assert stand("flu", ("copd", "2020-01-01"), born="1980-01-01") == ("non_responder", "inferred")
    assert stand("flu", ("copd", "2020-01-01"), ("done", "2026-10-01"), born="1980-01-01") == ("up_to_date", "coded")
    assert stand("flu", ("copd", "2020-01-01"), born="1950-01-01") == ("non_responder", "inferred")


@pytest.mark.parametrize(
    ("born", "doses", "expected"),
    [
        ("2022-01-01", ["2023-01-15"], ("non_responder", "inferred")),
        ("2022-01-01", ["2023-01-15", "2025-05-01"], ("up_to_date", "coded")),
        ("2022-01-01", ["2022-12-31", "2025-05-01"], ("non_responder", "inferred")),
        ("2022-01-01", ["2023-01-01", "2025-05-01"], ("up_to_date", "coded")),
        ("2022-01-01", ["2025-05-01", "2025-05-01"], ("non_responder", "inferred")),
        ("2024-06-30", ["2025-07-15"], ("up_to_date", "coded")),
        ("2024-07-01", ["2025-07-15"], ("non_responder", "inferred")),
        ("2024-07-01", ["2025-07-15", "2026-01-15"], ("up_to_date", "coded")),
        ("2025-11-01", [], ("not_eligible", "unknown")),
    ],
)
def test_mmr_needs_the_doses_due_by_age_and_birth_date(
    born: str, doses: list[str], expected: tuple[str, str]
) -> None:
    assert stand("mmr", *[("done", day) for day in doses], born=born) == expected


def test_child_with_all_doses_stays_up_to_date_after_a_missed_appointment() -> None:
    entries = [("done", "2023-01-15"), ("done", "2025-05-01"), ("no_response", "2026-01-01")]
    assert stand("mmr", *entries) == ("up_to_date", "coded")


def test_entries_elsewhere_or_not_yet_known_do_not_count() -> None:
    events = """
        person_id | codelist             | practice_code | event_date | entered_date
        1         | bowel_screening_done | A81999        | 2026-01-01 | 2026-01-01
        1         | bowel_screening_done | A81001        | 2026-01-01 | 2026-11-16
        1         | bowel_screening_done | A81001        |            | 2026-01-01
    """
    found = answer("non_responders", registrations="person_id | sex\n1 | male", events=events)
    assert found.filter(pl.col("programme") == "bowel")["state"].to_list() == ["non_responder"]
