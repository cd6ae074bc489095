"""What holds for any history: the future changes nothing, order does not matter, more events never lower a count."""

import datetime as dt

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.tables.weekly import ComplexCare
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


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    scores=st.lists(st.floats(-6, 3), min_size=12, max_size=40),
    before=st.sets(st.integers(1, 40), max_size=12),
    band=st.sampled_from([1.0, 1.25, 2.0]),
    places_by=st.sampled_from(["all", "practice"]),
)
def test_nobody_is_left_out_of_the_order_who_could_have_a_place(
    scores: list[float], before: set[int], band: float, places_by: str
) -> None:
    """With a floor for deprived people everybody is put in order; a floor too low to give a place changes nothing."""
    people = range(1, len(scores) + 1)
    homes = "\n".join(f"{person} | {'A81001' if person % 3 else 'A81002'}" for person in people)
    tables: dict[str, str | pl.DataFrame] = {
        "registrations": f"person_id | practice_code\n{homes}",
        "cambridge_scores": "person_id | cambridge_score | cambridge_mortality_score | condition_count | conditions\n"
        + "\n".join(f"{person} | {person % 4} | 0 | 0 |" for person in people),
        "risk_scores": "person_id | raw_score | cut_error\n"
        + "\n".join(f"{person} | {score} | 0.2" for person, score in zip(people, scores, strict=True)),
    }
    schema = {name: column.dtype.type for name, column in ComplexCare.to_schema().columns.items()}
    members = [{"person_id": person, "practice_code": "A81001", "rank": 1} for person in sorted(before)]
    tables["previous_complex_care"] = pl.DataFrame(members, schema=schema)
    options = {"places_by": places_by, "stay_band": band, "registered_in_england": 3_000_000}
    pruned, whole = (
        answer("complex_care", options=options | {"deprived_floor": floor}, **tables) for floor in (0, 1e-9)
    )
    assert pruned.height
    assert pruned.equals(whole)
