"""How far each practice's data can be trusted in the week of Monday 16 November 2026."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from tests.lib.tables import AS_OF, PRACTICE, answer, table

PRACTICES = f"""
    practice_code | practice_name | icb_code | status
    {PRACTICE}    | A             | QE1      | active
    A81002        | B             | QE1      | active
    A81003        | B             | QE1      | closed
    B81001        | C             | QRL      | active
"""


TWO = "practice_code | practice_name | icb_code | status\nP00 | A | QE1 | active\nP01 | A | QE1 | active"


def states(*rows: dict[str, Any]) -> pl.DataFrame:
    """How feeds stand: the EMIS feed of one practice with 1,000 records, unless a row says otherwise."""
    columns = {name: column.dtype.type for name, column in CONTRACTS["feed_states"].to_schema().columns.items()}
    usual = {"feed": "emis", "practice_code": PRACTICE, "records": 1000, "is_accepted": False}
    return pl.DataFrame([usual | row for row in rows], schema=columns)


def delivered(day: str, **values: Any) -> dict[str, Any]:
    return {"delivered_date": dt.date.fromisoformat(day)} | values


def found(measure: str, practice: str = PRACTICE, **given: str | pl.DataFrame) -> tuple[float | None, str] | None:
    """Value and verdict of one measure of one practice; None if it has no such row."""
    rows = answer("data_quality", practices=PRACTICES, **given)
    own = rows.filter(pl.col("measure") == measure, pl.col("practice_code") == practice)
    assert own.height <= 1
    return (own["value"][0], own["verdict"][0]) if own.height else None


def registered(people: int) -> str:
    return "\n".join(["person_id", *map(str, range(people))])


def list_sizes(size: int, practice: str = PRACTICE) -> str:
    return f"practice_code | registered_people | counted_date\n{practice} | {size} | 2026-11-01"


def of_practices(measure: str, verdicts: list[str], **given: str | pl.DataFrame) -> None:
    """Asserts the verdicts of one measure at practices P00, P01, ..., made in one go."""
    codes = [f"P{number:02d}" for number in range(len(verdicts))]
    practices = "\n".join(
        ["practice_code | practice_name | icb_code | status", *(f"{code} | A | QE1 | active" for code in codes)]
    )
    rows = answer("data_quality", practices=practices, **given).filter(pl.col("measure") == measure)
    assert dict(rows.select("practice_code", "verdict").iter_rows()) == dict(zip(codes, verdicts, strict=True))


def people_of(counts: list[int]) -> pl.DataFrame:
    """So many registered people at practices P00, P01, ..."""
    one = table("registrations", "person_id\n0")
    people = [
        pl.DataFrame({"practice_code": f"P{place:02d}", "person_id": range(place * 10_000, place * 10_000 + count)})
        for place, count in enumerate(counts)
    ]
    rows = pl.concat(people).join(one.drop("practice_code", "person_id"), how="cross")
    return rows.select(one.columns)


def test_registered_people_against_the_list_size() -> None:
    cases = [
        (300, 300, "ok"),
        (300, 296, "ok"),  # under five apart
        (200, 196, "ok"),  # 2%, but under five apart
        (250, 245, "warn"),  # five apart and 2%
        (251, 246, "ok"),  # five apart, under 2%
        (250, 255, "warn"),  # more people than the list counts as well
        (200, 101, "warn"),  # past what would hold a delivery, short of what stops a week
        (200, 100, "stop"),
        (0, 100, "unknown"),
    ]
    sizes = [f"P{place:02d} | {size} | 2026-11-01" for place, (size, _, _) in enumerate(cases)]
    of_practices(
        "list_size_difference",
        [verdict for _, _, verdict in cases],
        registrations=people_of([people for _, people, _ in cases]),
        list_sizes="\n".join(["practice_code | registered_people | counted_date", *sizes]),
    )


def test_only_current_regular_registrations_of_the_living_count() -> None:
    registrations = """
        person_id | registration_type | registered_date | deregistered_date | death_date
        1         | regular           | 2026-11-15      |                   |
        2         | regular           | 2026-11-16      |                   |
        3         | regular           | 2020-01-01      | 2026-11-15        |
        4         | regular           | 2020-01-01      | 2026-11-16        |
        5         | temporary         | 2020-01-01      |                   |
        6         | regular           | 2020-01-01      |                   | 2026-11-15
        7         | regular           | 2020-01-01      |                   | 2026-11-16
    """
    rows = answer("data_quality", practices=PRACTICES, registrations=registrations, list_sizes=list_sizes(3))
    assert rows.filter(measure="list_size_difference", practice_code=PRACTICE)["counted"].to_list() == [3]


def test_a_practice_that_should_have_data_and_has_none_is_stopped() -> None:
    assert found("list_size_difference", "A81002", list_sizes=list_sizes(4000, "A81002")) == (1.0, "stop")


def test_a_closed_practice_is_not_waited_for() -> None:
    assert found("list_size_difference", "A81003", list_sizes=list_sizes(4000, "A81003")) is None


def test_practices_of_other_icbs_are_left_to_them() -> None:
    rows = answer("data_quality", practices=PRACTICES, list_sizes=list_sizes(4000, "B81001"))
    assert rows.is_empty()


def test_days_since_the_last_delivery() -> None:
    cases = {"2026-11-16": "ok", "2026-11-09": "ok", "2026-11-08": "warn", "2026-10-13": "warn", "2026-10-12": "stop"}
    rows = states(*(delivered(day, practice_code=f"P{place:02d}") for place, day in enumerate(cases)))
    of_practices("days_since_delivery", list(cases.values()), feed_states=rows)


def test_a_delivery_after_the_week_covers_the_week() -> None:
    rows = answer("data_quality", practices=PRACTICES, feed_states=states(delivered("2026-11-23")))
    assert rows["data_as_of"].unique().to_list() == [AS_OF]
    assert found("days_since_delivery", feed_states=states(delivered("2026-11-23"))) == (0.0, "ok")


def test_a_delivery_that_waits_holds_the_practice() -> None:
    loaded, waits = delivered("2026-11-09"), {"waits_from": dt.date(2026, 11, 15), "waits_because": "few people"}
    assert found("days_waiting", feed_states=states(loaded)) is None
    assert found("days_waiting", feed_states=states(loaded | waits)) == (1.0, "hold")
    assert found("days_waiting", feed_states=states(loaded | waits | {"waits_from": dt.date(2026, 11, 17)})) is None


def test_a_held_practice_keeps_the_date_of_its_last_good_delivery_on_every_row() -> None:
    waits = {"waits_from": dt.date(2026, 11, 15)}
    rows = answer("data_quality", practices=PRACTICES, feed_states=states(delivered("2026-11-09") | waits))
    assert rows["data_as_of"].unique().to_list() == [dt.date(2026, 11, 9)]


def test_days_since_the_latest_entry_that_was_known() -> None:
    events = """
        person_id | event_date | entered_date | concept_id
        1         | 2026-11-01 | 2026-11-07   | 38341003
        1         | 2026-11-01 | 2026-11-16   | 38341003
    """
    assert found("days_since_entry", registrations=registered(2), events=events) == (9.0, "ok")
    earlier = events.replace("2026-11-07", "2026-11-06")
    assert found("days_since_entry", registrations=registered(2), events=earlier) == (10.0, "warn")


def held(*records: int, held_as: str = "fault") -> str:
    head = "feed | practice_code | table | reasons | records | held_as"
    rows = [
        f"emis | P{place:02d} | Admin_Patient | rule | {count} | {held_as}" for place, count in enumerate(records)
    ]
    return "\n".join([head, *rows])


@pytest.mark.parametrize(
    ("measure", "held_as", "limit"),
    [
        ("records_quarantined", "fault", 20),
        ("codes_not_known", "code_not_known", 10),
        ("codes_not_mapped", "code_not_mapped", 100),
    ],
)
def test_share_of_records_that_are_held(measure: str, held_as: str, limit: int) -> None:
    rows = states(*(delivered("2026-11-09", practice_code=f"P{place:02d}") for place in range(3)))
    counts = held(limit - 1, limit, 300, held_as=held_as)
    of_practices(measure, ["ok", "warn", "warn"], feed_states=rows, quarantine_counts=counts)
    withheld = held(500, 500, 500, held_as="withheld")
    of_practices(measure, ["ok"] * 3, feed_states=rows, quarantine_counts=withheld)


def test_too_few_records_are_not_judged() -> None:
    few = states(delivered("2026-11-09", records=99, practice_code="P00"))
    of_practices("records_quarantined", ["ok"], feed_states=few, quarantine_counts=held(99))


def test_share_of_adults_with_a_recent_recording() -> None:
    limits = {"smoking_recorded": 50, "blood_pressure_recorded": 40, "bmi_recorded": 30}
    codelists = dict(zip(limits, ["smoking_never", "systolic_bp", "bmi"], strict=True))
    parts = []
    for place, more in enumerate((0, 1)):
        for measure, limit in limits.items():
            one = table("events", f"practice_code | codelist | value\nP{place:02d} | {codelists[measure]} | 40")
            days = [dt.date(2021, 11, 16)] * (limit + more) + [dt.date(2021, 11, 15)] * (100 - limit - more)
            people = pl.DataFrame({"person_id": range(place * 10_000, place * 10_000 + 100), "event_date": days})
            parts.append(people.join(one.drop("person_id", "event_date", "entered_date"), how="cross"))
    events = pl.concat(parts).with_columns(entered_date="event_date").select(one.columns)
    rows = answer("data_quality", practices=TWO, registrations=people_of([100, 100]), events=events)
    found = {(row["practice_code"], row["measure"]): row["verdict"] for row in rows.to_dicts()}
    assert {found["P00", measure] for measure in limits} == {"warn"}
    assert {found["P01", measure] for measure in limits} == {"ok"}


def test_children_are_left_out_of_recording() -> None:
    registrations = """
        person_id | birth_date
        1         | 2008-11-16
        2         | 2008-11-17
    """
    rows = answer("data_quality", practices=PRACTICES, registrations=registrations)
    assert rows.filter(measure="bmi_recorded")["out_of"].to_list() == [1]


def last_week(measure: str, counted: int, feed: str = "none") -> pl.DataFrame:
    head = "feed | measure | counted | verdict"
    return table("data_quality", f"{head}\n{feed} | {measure} | {counted} | ok")


def test_people_against_last_week() -> None:
    cases = [(1000, 976, "ok"), (1000, 975, "warn"), (1000, 1025, "warn"), (2000, 1970, "ok"), (None, 975, "unknown")]
    rows = [
        f"P{place:02d} | none | people_change | {before} | ok" for place, (before, _, _) in enumerate(cases) if before
    ]
    of_practices(
        "people_change",
        [verdict for _, _, verdict in cases],
        registrations=people_of([people for _, people, _ in cases]),
        previous_data_quality=table(
            "data_quality", "\n".join(["practice_code | feed | measure | counted | verdict", *rows])
        ),
    )


@pytest.mark.parametrize(
    ("measure", "name", "text"),
    [
        ("events_change", "events", "person_id | event_date | concept_id\n1 | 2026-01-01 | 38341003"),
        ("medications_change", "medications", "person_id | issued_date | product_id\n1 | 2026-01-01 | 319283006"),
        ("contacts_change", "contacts", "person_id | contact_date\n1 | 2026-01-01"),
    ],
)
def test_rows_against_last_week(measure: str, name: str, text: str) -> None:
    given = {"registrations": registered(2), name: text}
    assert found(measure, **given, previous_data_quality=last_week(measure, 1001)) == (1000 / 1001, "warn")
    assert found(measure, **given, previous_data_quality=last_week(measure, 1000)) == (999 / 1000, "ok")


HOSPITAL = {"feed": "hospital", "practice_code": None}


@pytest.mark.parametrize(
    ("measure", "name", "text"),
    [
        ("spells_change", "spells", "person_id | admitted_date\n1 | 2026-01-01"),
        ("emergency_attendances_change", "emergency_attendances", "person_id | arrived_date\n1 | 2026-01-01"),
    ],
)
def test_hospital_records_against_last_week(measure: str, name: str, text: str) -> None:
    given = {"registrations": registered(2), name: text, "feed_states": states(delivered("2026-11-09") | HOSPITAL)}
    assert found(measure, **given, previous_data_quality=last_week(measure, 26, "hospital")) == (25 / 26, "warn")
    assert found(measure, **given, previous_data_quality=last_week(measure, 25, "hospital")) == (24 / 25, "ok")


def test_days_since_the_last_hospital_delivery() -> None:
    for day, verdict in (("2026-10-03", "ok"), ("2026-10-02", "warn"), ("2025-10-02", "warn")):
        rows = states(delivered(day) | HOSPITAL)
        value = found("days_since_hospital_delivery", registrations=registered(2), feed_states=rows)
        assert value is not None
        assert value[1] == verdict
    assert found("days_since_hospital_delivery", registrations=registered(2)) is None


def test_an_accepted_delivery_is_not_stopped_for_what_was_accepted() -> None:
    given: dict[str, Any] = {"feed_states": states(delivered("2026-10-05", is_accepted=True))}
    given |= {"registrations": registered(100), "list_sizes": list_sizes(400)}
    assert found("list_size_difference", **given) == (0.75, "warn")
    assert found("days_since_delivery", **given) == (42.0, "stop")
