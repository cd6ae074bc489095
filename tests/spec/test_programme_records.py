"""What is on record for each person in each programme, before anything is judged."""

import datetime as dt

from tests.lib.tables import answer

DAY = dt.date


def records(events: str = "", medications: str = "", people: str = "1 | 1966-06-01 | female") -> dict[str, dict]:
    """One person's rows by programme."""
    found = answer(
        "programme_records",
        registrations=f"person_id | birth_date | sex\n{people}",
        events=f"person_id | codelist | event_date\n{events}",
        medications=f"person_id | codelist | issued_date\n{medications}",
    )
    return {row["programme"]: row for row in found.iter_rows(named=True)}


def test_the_latest_day_of_each_kind_is_kept() -> None:
    row = records(
        """1 | cervical_screening_done           | 2019-01-01
           1 | cervical_screening_done           | 2016-01-01
           1 | cervical_screening_done_elsewhere | 2022-01-01
           1 | cervical_screening_declined       | 2018-01-01
           1 | cervical_screening_did_not_attend | 2021-01-01
           1 | cervical_screening_no_response    | 2021-02-01
           1 | cervical_screening_invited        | 2020-01-01
           1 | cervical_screening_invited        | 2020-03-01
           1 | cervical_screening_invited        | 2020-03-05
           1 | cervical_screening_invited        | 2018-03-05"""
    )["cervical"]
    assert (row["last_done_date"], row["is_done_elsewhere"]) == (DAY(2022, 1, 1), True)
    assert (row["declined_date"], row["missed_date"]) == (DAY(2018, 1, 1), DAY(2021, 1, 1))
    assert (row["no_response_date"], row["invited_date"]) == (DAY(2021, 2, 1), DAY(2020, 3, 5))
    assert row["second_last_invitation_date"] == DAY(2020, 1, 1)
    assert row["third_last_invitation_date"] == DAY(2018, 3, 5)


def test_doses_too_close_together_are_one() -> None:
    child = "1 | 2022-01-01 | male"
    doses = "\n".join(f"1 | mmr_vaccination_done | {day}" for day in ("2023-01-10", "2023-01-30", "2025-05-01"))
    assert records(doses, "1 | mmr_vaccine | 2025-05-01", people=child)["mmr"]["doses"] == 2


def test_nobody_without_a_programme_has_a_row() -> None:
    assert records(people="1 | 1999-01-01 | male") == {}


def test_what_excludes_is_told() -> None:
    assert records("1 | diabetes | 2020-01-01")["nhs_health_check"]["is_excluded"]
    assert not records()["nhs_health_check"]["is_excluded"]
