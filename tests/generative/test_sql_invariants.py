"""What holds for any history: the future changes nothing, order does not matter, more events never lower a count."""

import datetime as dt

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lib.tables import AS_OF, answer, weekly_tables

QUICK = settings(max_examples=2, deadline=None, derandomize=True)
CODELISTS = ["hypertension", "bmi", "egfr", "bowel_screening_done", "bowel_screening_no_response", "smoking_current"]
DAYS = st.dates(dt.date(2023, 1, 1), dt.date(2026, 11, 15))
EVENT_ROWS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(CODELISTS), DAYS, st.integers(20, 60)), max_size=12
)
SPELL_ROWS = st.lists(st.tuples(st.integers(1, 3), DAYS, st.sampled_from(["J440", "S720"])), max_size=8)
PEOPLE = "person_id | sex\n1 | male\n2 | female\n3 | male"
WEEKLY = ["conditions", "measurements", "person_features", "lifestyle_flags", "programme_states", "people_not_seen"]


def text(header: str, rows: list[tuple[object, ...]]) -> str:
    return "\n".join([header, *(" | ".join(str(cell) for cell in row) for row in rows)])


def events_of(rows: list[tuple[object, ...]]) -> str:
    return text("person_id | codelist | event_date | value", rows)


def spells_of(rows: list[tuple[object, ...]]) -> str:
    return text("person_id | admitted_date | diagnosis_codes", rows)


def made(events: list, spells: list, people: str = PEOPLE) -> dict[str, pl.DataFrame]:
    return weekly_tables(WEEKLY, registrations=people, events=events_of(events), spells=spells_of(spells))


@QUICK
@given(EVENT_ROWS, SPELL_ROWS)
def test_what_is_dated_on_or_after_the_as_of_date_changes_nothing(events: list, spells: list) -> None:
    later_events = events + [(person, codelist, AS_OF, value) for person, codelist, _, value in events]
    later_spells = spells + [(person, AS_OF, codes) for person, _, codes in spells]
    now, later = made(events, spells), made(later_events, later_spells)
    assert all(now[name].equals(later[name]) for name in WEEKLY)


@QUICK
@given(EVENT_ROWS, SPELL_ROWS)
def test_order_of_the_rows_does_not_matter(events: list, spells: list) -> None:
    one, other = made(events, spells), made(events[::-1], spells[::-1])
    assert all(one[name].equals(other[name]) for name in WEEKLY)


@QUICK
@given(EVENT_ROWS)
def test_a_person_is_not_changed_by_others(events: list) -> None:
    among = made(events, [])
    single = made([row for row in events if row[0] == 1], [], people="person_id | sex\n1 | male")
    assert all(among[name].filter(person_id=1).equals(single[name].filter(person_id=1)) for name in WEEKLY)


@QUICK
@given(SPELL_ROWS, SPELL_ROWS)
def test_more_spells_never_lower_a_count(spells: list, more: list) -> None:
    few = answer("person_features", registrations=PEOPLE, spells=spells_of(spells))
    many = answer("person_features", registrations=PEOPLE, spells=spells_of(spells + more))
    both = few.join(many, on=["person_id", "feature"], how="left", suffix="_more", validate="1:1")
    assert both.select((pl.col("value_more") >= pl.col("value")).all()).item()
