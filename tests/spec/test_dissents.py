"""What counts as dissent from, and as withdrawal of, secondary use (Type 1), as known on 16 November 2026."""

import datetime as dt

import polars as pl
import pytest

from tests.lib.tables import add_code, answer, table

WITHDRAWN = 40030001


def test_a_dissent_counts_whatever_its_date_or_practice_once_it_is_known() -> None:
    found = answer(
        "dissents",
        events="""
            person_id | codelist       | practice_code | event_date | entered_date
            1         | type_1_opt_out | A81001        | 2020-01-01 | 2020-01-01
            2         | type_1_opt_out | A81001        |            | 2020-01-01
            3         | type_1_opt_out | A81001        | 2027-01-01 | 2026-11-15
            4         | type_1_opt_out | A81999        | 2020-01-01 | 2026-11-16
            5         | hypertension   | A81001        | 2020-01-01 | 2020-01-01
            6         | type_1_opt_out | A81001        | 2020-01-01 | 2020-01-01
            6         | type_1_opt_out | A81999        | 2021-01-01 | 2021-01-01
        """,
    )
    assert found.rows() == [
        (1, True, False, dt.date(2020, 1, 1), None),
        (2, True, True, None, None),
        (3, True, False, dt.date(2027, 1, 1), None),
        (6, True, False, dt.date(2021, 1, 1), None),
    ]


@pytest.mark.parametrize(
    ("event", "entered", "withdrawn"),
    [
        (dt.date(2026, 11, 15), dt.date(2026, 11, 15), dt.date(2026, 11, 15)),
        (dt.date(2026, 11, 16), dt.date(2026, 11, 15), None),
        (dt.date(2026, 11, 15), dt.date(2026, 11, 16), None),
        (None, dt.date(2026, 11, 15), None),
    ],
    ids=["the day before", "on the day", "not known yet", "undated"],
)
def test_a_withdrawal_counts_if_it_is_dated_and_known_before_the_as_of_date(
    event: dt.date | None, entered: dt.date, withdrawn: dt.date | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_code(monkeypatch, "type_1_opt_out_withdrawn", WITHDRAWN)
    rows = table("events", "person_id | codelist | entered_date\n1 | hypertension | 2020-01-01").with_columns(
        event_date=pl.lit(event, dtype=pl.Date), entered_date=pl.lit(entered), concept_id=pl.lit(WITHDRAWN)
    )
    found = answer("dissents", events=rows.cast(table("events", "person_id").schema))
    assert found.rows() == ([] if withdrawn is None else [(1, False, False, None, withdrawn)])
