"""Which records are one stay and which of them is believed: one person, one provider, one day of admission."""

import datetime as dt

import polars as pl
import pytest

from pipelines.steps.stays import (
    SPELL_ROW,
    keep_known_dates,
    make_spells,
    told_admissions,
    told_attendances,
)
from tests.lib.stays import PRECEDENCE, attendances, records_of

CASES = {
    "SUS is believed before HES": (
        "source, admission_method, days, codes\nhes, 28, 4, J440\nsus, 2D, 4, J441",
        [("2D", 4, "J441")],
    ),
    "a record with a diagnosis is believed before one without": (
        "source, days, codes\nhes, 4, J440\nsus, 4,",
        [("21", 4, "J440")],
    ),
    "a record with an end is believed before one without": (
        "source, days, codes\nhes, 4, J440\nsus,, J441",
        [("21", 4, "J440")],
    ),
    "of one source the newest is believed": (
        "source, version, days, codes, provider_spell\nsus, 1, 3, J440, A\nsus, 2, 4, J441, B",
        [("21", 4, "J441")],
    ),
    "a stay beyond the day is one, whatever its number": (
        "source, days, codes, provider_spell\nsus, 2, J440, A\nsus, 9, J441, B",
        [("21", 2, "J440")],
    ),
    "two that one delivery tells of by other methods are both kept, overlap or not": (
        "source, admission_method, days, codes, provider_spell\nsus, 11, 1, H259, A\nsus, 22, 4, R55X, B",
        [("11", 1, "H259"), ("22", 4, "R55X")],
    ),
    "a method that a later delivery corrects is one stay": (
        "source, version, admission_method, days, provider_spell\nsus, 1, 28, 4, A\nsus, 2, 21, 4, B",
        [("21", 4, "J440")],
    ),
    "episodes without numbers stay with those of their method": (
        "episode_order, admission_method, days, codes\n1, 13, 0, Z098\n1, 21, 5, N390\n2, 21, 5, I500",
        [("13", 0, "Z098"), ("21", 5, "N390|I500")],
    ),
    "a stay that ended on the day and one that lasted are two": (
        "source, admission_method, days, codes\nsus, 12, 0, H269\nsus, 21, 5, J440",
        [("12", 0, "H269"), ("21", 5, "J440")],
    ),
    "two that ended on the day are told apart by number": (
        "source, days, codes, provider_spell\nsus, 0, J440, A\nsus, 0, J441, B",
        [("21", 0, "J440"), ("21", 0, "J441")],
    ),
    "two that ended on the day are told apart by method": (
        "source, admission_method, days, codes\nsus, 12, 0, H269\nsus, 21, 0, J440",
        [("12", 0, "H269"), ("21", 0, "J440")],
    ),
    "the number of a stay that ended on the day may change": (
        "source, version, days, codes, provider_spell\nsus, 1, 0, J440, A\nsus, 2, 0, J441, B",
        [("21", 0, "J441")],
    ),
    "both that ended on the day are matched with another source": (
        "source, days, codes, provider_spell\nsus, 0, J440, A\nsus, 0, J441, B\nhes, 0, I500, A\nhes, 0, I501, B",
        [("21", 0, "J440"), ("21", 0, "J441")],
    ),
    "a stay that goes on beside one that ended on the day is kept": (
        "source, admission_method, days, codes\nsus, 12, 0, H269\nsus, 21,, J440",
        [("12", 0, "H269"), ("21", None, "J440")],
    ),
    "an unfinished record gives way to one that ended on the day": (
        "source, version, days, codes, provider_spell\nsus, 1,, J441, A\nsus, 2, 0, J440, B",
        [("21", 0, "J440")],
    ),
    "episodes of one stay go together, the codes in order": (
        "episode_order, days, codes\n2, 4, I500|J440\n1,, J440|E119",
        [("21", 4, "J440|E119|I500")],
    ),
    "without numbers the second first episode is of a second stay": (
        "episode_order, admission_method, days, codes\n1, 12, 0, H269\n1, 21, 4, J440",
        [("12", 0, "H269"), ("21", 4, "J440")],
    ),
    "two open records are one stay": (
        "source, days, codes\nsus,, J440\nhes,, J441",
        [("21", None, "J440")],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_which_stays_there_are(case: str) -> None:
    text, expected = CASES[case]
    spells = make_spells(told_admissions(records_of(text), PRECEDENCE))
    days = (pl.col("discharged_date") - pl.col("admitted_date")).dt.total_days()
    found = spells.select("admission_method", days, "diagnosis_codes").rows()
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_providers_and_days_keep_stays_apart() -> None:
    records = records_of("source, provider_code\nsus, RZZ\nsus, RYY")
    later = records.head(1).with_columns(pl.lit(9, pl.Int64).alias("record_id"), start_date=dt.date(2025, 2, 2))
    assert make_spells(told_admissions(pl.concat([records, later]), PRECEDENCE)).height == 3


VISITS = {
    "the same time is one": ([("sus", "1015", 1), ("sus", "1015", 2)], [2]),
    "another time is another": ([("sus", "1015", 1), ("sus", "1016", 1)], [1, 1]),
    "the nth is the nth of another source": ([("hes", "1000", 7), ("sus", "1015", 1), ("hes", "2000", 8)], [1, 8]),
    "without a time each record is one": ([("hes", None, 1), ("hes", None, 2)], [1, 2]),
}


@pytest.mark.parametrize("case", list(VISITS))
def test_which_attendances_there_are(case: str) -> None:
    rows, expected = VISITS[case]
    names = ("source", "arrived_time", "version")
    told = told_attendances(attendances(*[dict(zip(names, row, strict=True)) for row in rows]), PRECEDENCE)
    assert sorted(told["version"]) == sorted(expected)


@pytest.mark.parametrize(("codes", "days", "day"), [("J440", 4, 1), ("J441", 4, 9), ("J440", 5, 9), ("", 4, 9)])
def test_only_the_same_words_keep_the_day_they_were_known(codes: str, days: int, day: int) -> None:
    def spells(text: str, entered: int) -> pl.DataFrame:
        records = records_of(text).with_columns(entered_date=dt.date(2026, 1, entered))
        return make_spells(told_admissions(records, PRECEDENCE)).with_columns(record_id=1)

    before = spells("days, codes\n4, J440", 1)
    now = keep_known_dates(spells(f"days, codes\n{days}, {codes}", 9), before, SPELL_ROW)
    assert now["entered_date"].to_list() == [dt.date(2026, 1, day)]
