"""What holds for any hospital records: order, repetition and other people change nothing; one bed at a time."""

import datetime as dt
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.steps.stays import make_spells, told_admissions
from tests.lib.stays import PRECEDENCE, admissions

QUICK = settings(max_examples=15, deadline=None, derandomize=True)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["hes", "sus"]),
            "person_id": st.integers(1, 2),
            "start_date": st.dates(dt.date(2025, 1, 1), dt.date(2025, 1, 3)),
            "days": st.none() | st.integers(0, 3),
            "admission_method": st.sampled_from(["12", "21"]),
            "provider_spell": st.none() | st.sampled_from(["A", "B"]),
            "episode_order": st.none() | st.integers(1, 2),
            "version": st.integers(1, 3),
            "codes": st.sampled_from(["", "J440", "I500|E119"]),
        }
    ),
    max_size=12,
)
Rows = list[dict[str, Any]]


def spells(records: pl.DataFrame) -> pl.DataFrame:
    return make_spells(told_admissions(records, PRECEDENCE))


@QUICK
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_in_which_records_came_does_not_matter(rows: Rows, random: Any) -> None:
    records = admissions(rows)
    places = list(range(records.height))
    random.shuffle(places)
    assert spells(records[places]).equals(spells(records))


@QUICK
@given(ROWS)
def test_a_numbered_record_told_again_under_another_key_adds_nothing(rows: Rows) -> None:
    records = admissions([row | {"provider_spell": row["provider_spell"] or "C"} for row in rows])
    again = records.with_columns(record_id=pl.col("record_id") + 1000)
    assert spells(pl.concat([records, again])).equals(spells(records))


@QUICK
@given(ROWS)
def test_a_person_is_not_changed_by_others(rows: Rows) -> None:
    records = admissions(rows)
    single = spells(records.filter(pl.col("person_id") == 1))
    assert spells(records).filter(pl.col("person_id") == 1).equals(single)


@QUICK
@given(ROWS)
def test_at_most_one_stay_a_method_lasts_beyond_its_first_day(rows: Rows) -> None:
    told = spells(admissions(rows))
    day = ["person_id", "provider_code", "start_date"]
    lasting = told.filter(~pl.col("is_same_day")).group_by(*day, "admission_method").len()
    assert lasting["len"].max() in (None, 1)
    assert not told.select(*day, "is_same_day", "stay_no").is_duplicated().any()
