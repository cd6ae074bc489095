"""How a practice's list is ranked, cut to what it can see and carried over."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_contracts.actions import load_actions
from data_contracts.registry import CONTRACTS
from pipelines.io.target_lists import READS, read_offers, read_slots
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from pipelines.steps.lists import (
    ANYONE,
    WeeklyTables,
    build_target_lists,
    choose_people,
    find_leavers,
    rank_members,
    route,
    share_places,
    sort_answers,
)
from pipelines.steps.roles import SLOTS, count_capacity, weekly_slots
from tests.lib.release_frames import AS_OF, PRACTICES, frame, quality_row, valid, weekly_rows, weekly_tables

RULES = load_actions()
COHORTS = [cohort.name for cohort in RULES.cohorts]


@pytest.fixture(scope="module")
def tables() -> WeeklyTables:
    return weekly_tables(weekly_rows(3000))


@pytest.fixture(scope="module")
def lists(tables: WeeklyTables) -> pl.DataFrame:
    return build_target_lists(tables, rules=RULES, previous=None)


def test_lists_meet_their_contract(lists: pl.DataFrame) -> None:
    CONTRACTS["target_lists"].validate(lists)
    assert lists.height > 0


def test_ranks_run_from_one_without_gaps_at_each_practice(lists: pl.DataFrame) -> None:
    for (_,), practice in lists.group_by("practice_code"):
        assert practice["rank"].to_list() == list(range(1, practice.height + 1))


def test_no_practice_gets_more_people_than_places(lists: pl.DataFrame, tables: WeeklyTables) -> None:
    places = share_places(tables.people, None, rules=RULES).group_by("practice_code").agg(pl.col("places").sum())
    sizes = lists.group_by("practice_code").len().join(places, on="practice_code")
    assert (sizes["len"] <= sizes["places"]).all()


def test_order_of_the_input_rows_does_not_matter(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    frames = {name: getattr(tables, name).collect() for name in READS}
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=3).lazy() for name, frame in frames.items()}
    assert build_target_lists(WeeklyTables(**shuffled), rules=RULES, previous=None).equals(lists)


def test_weeks_are_counted_at_the_same_practice(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    previous = lists.with_columns(
        practice_code=pl.when(pl.col("rank") == 1).then(pl.lit("Z99999")).otherwise("practice_code")
    )
    now = build_target_lists(tables, rules=RULES, previous=previous)
    assert set(now.filter(pl.col("rank") == 1)["weeks_listed"]) == {1}
    assert set(now.filter(pl.col("rank") > 1)["weeks_listed"]) == {2}


def test_people_no_longer_registered_are_not_listed(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    gone = lists["person_id"][0]
    fewer = WeeklyTables(**{**vars(tables), "people": tables.people.filter(pl.col("person_id") != gone)})
    assert gone not in build_target_lists(fewer, rules=RULES, previous=None)["person_id"]


def with_quality(tables: WeeklyTables, *rows: dict[str, object]) -> WeeklyTables:
    """The tables with these rows in the scorecard too."""
    usual = [quality_row(practice) for practice in PRACTICES]
    return replace(tables, data_quality=valid("data_quality", [*usual, *rows]).lazy())


def test_each_row_says_up_to_when_its_practice_is_known(lists: pl.DataFrame, tables: WeeklyTables) -> None:
    assert lists["data_as_of"].unique().to_list() == [AS_OF - dt.timedelta(days=8)]
    held = with_quality(tables, quality_row("A81001", "hold", "days_waiting"))
    assert build_target_lists(held, rules=RULES, previous=None).equals(lists)


def test_a_stopped_practice_has_no_list_and_the_others_keep_theirs(lists: pl.DataFrame, tables: WeeklyTables) -> None:
    stopped = with_quality(tables, quality_row("A81001", "stop"))
    others = lists.filter(pl.col("practice_code") != "A81001")
    assert build_target_lists(stopped, rules=RULES, previous=None).equals(others)


def test_a_practice_without_a_scorecard_is_listed_with_an_unknown_date(tables: WeeklyTables) -> None:
    bare = replace(tables, data_quality=frame("data_quality", []).lazy())
    made = build_target_lists(bare, rules=RULES, previous=None)
    assert made.height
    assert made["data_as_of"].null_count() == made.height


def places_of(**places: int) -> pl.DataFrame:
    rows = [
        {
            "practice_code": "A81001",
            "team": ANYONE,
            "cohort": name,
            "cohort_order": order,
            "places": places.get(name, 0),
        }
        for order, name in enumerate(COHORTS)
    ]
    return pl.DataFrame(rows, schema_overrides={"cohort_order": pl.Int32})


def members_of(**members: list[int]) -> pl.DataFrame:
    rows = [
        {"person_id": person, "practice_code": "A81001", "position": position, "cohort": name, "cohort_order": order}
        for order, name in enumerate(COHORTS)
        for position, person in enumerate(members.get(name, []), start=1)
    ]
    schema = {
        "person_id": pl.Int64,
        "practice_code": pl.String,
        "position": pl.UInt32,
        "cohort": pl.String,
        "cohort_order": pl.Int32,
    }
    return pl.DataFrame(rows, schema=schema).with_columns(
        weeks_listed=pl.lit(1, dtype=pl.Int64), roles=pl.lit(pl.Series([["nurse", "GP"]])).first()
    )


def test_places_left_over_pass_to_the_next_people() -> None:
    members = members_of(complex_care=[1], non_responders=[1, 2, 3], lifestyle_risk=[4, 5])
    chosen = choose_people(
        members, places=places_of(complex_care=2, non_responders=1, lifestyle_risk=1), carried_weeks=4
    )
    assert chosen["person_id"].to_list() == [1, 2, 3, 4]


def test_a_person_in_two_cohorts_takes_one_place() -> None:
    members = members_of(complex_care=[1, 2], non_responders=[2, 1, 3])
    chosen = choose_people(members, places=places_of(complex_care=1, non_responders=1), carried_weeks=4)
    assert chosen.select("person_id", "place_from").rows() == [(1, "complex_care"), (2, "non_responders")]


def test_people_who_are_over_the_places_of_their_cohort_wait() -> None:
    chosen = choose_people(members_of(complex_care=[1, 2, 3]), places=places_of(complex_care=2), carried_weeks=4)
    assert chosen["person_id"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("weeks", "listed"), [(1, [1, 2]), (2, [1, 3]), (4, [1, 3]), (5, [1, 2])], ids=["new", "carried", "last", "over"]
)
def test_people_without_an_answer_are_carried_over_for_so_many_lists(*, weeks: int, listed: list[int]) -> None:
    members = members_of(complex_care=[1, 2, 3])
    carried = members.with_columns(weeks_listed=pl.when(pl.col("person_id") == 3).then(weeks).otherwise(1))
    chosen = choose_people(carried, places=places_of(complex_care=2), carried_weeks=4)
    assert chosen["person_id"].to_list() == listed


def test_everybody_who_left_the_list_has_a_reason(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    answered, gone, cured, *_ = (lists.row(place, named=True) for place in (0, 1, 2))
    pair = ["person_id", "practice_code"]
    others = {name: getattr(tables, name).filter(pl.col("person_id") != cured["person_id"]) for name in COHORTS[1:]}
    here = tables.people.filter(pl.col("person_id") != gone["person_id"])
    resting = pl.DataFrame([{name: answered[name] for name in pair}])
    week = replace(tables, **others, people=here, resting=resting)
    now = build_target_lists(week, rules=RULES, previous=lists)
    left = find_leavers(week, now, rules=RULES, previous=lists)
    CONTRACTS["list_leavers"].validate(left)
    why = dict(left.select("person_id", "reason").rows())
    assert why[answered["person_id"]] == "the practice answered"
    assert why[gone["person_id"]] == "no longer registered here, or no longer counted"
    assert why[cured["person_id"]] == "no longer in a cohort"
    assert set(why) | set(now["person_id"]) >= set(lists["person_id"])


@hypothesis_settings(max_examples=40, derandomize=True, deadline=None)
@given(
    members=st.fixed_dictionaries({name: st.lists(st.integers(0, 30), unique=True, max_size=15) for name in COHORTS}),
    places=st.fixed_dictionaries({name: st.integers(0, 8) for name in COHORTS}),
)
def test_as_many_people_as_places_allow_and_nobody_twice(
    members: dict[str, list[int]], places: dict[str, int]
) -> None:
    chosen = choose_people(members_of(**members), places=places_of(**places), carried_weeks=4)
    everyone = {person for people in members.values() for person in people}
    assert chosen.height == min(len(everyone), sum(places.values()))
    assert chosen["person_id"].n_unique() == chosen.height


@pytest.mark.parametrize(("registered", "places"), [(10, 1), (199, 1), (400, 2), (1000, 5), (8000, 40)])
def test_places_follow_the_registered_people(registered: int, places: int) -> None:
    people = pl.LazyFrame({"practice_code": ["A81001"] * registered})
    assert share_places(people, None, rules=RULES)["places"].sum() == places


def answers(*rows: tuple[int, str, int]) -> pl.DataFrame:
    """Answers of one practice: person, decision, days before the as-of date."""
    schema = ["practice_code", "person_id", "decision", "decided_date"]
    made = [("A81001", person, decision, AS_OF - dt.timedelta(days=days)) for person, decision, days in rows]
    return pl.DataFrame(made, schema=schema, orient="row")


def test_people_rest_as_long_as_the_answer_says() -> None:
    given = answers((1, "contacted", 83), (2, "contacted", 84), (3, "wrong data", 27), (4, "wrong data", 28))
    resting, added = sort_answers(given, rules=RULES, as_of=AS_OF)
    assert resting["person_id"].to_list() == [1, 3]
    assert added.is_empty()


def test_the_latest_answer_decides() -> None:
    given = answers((1, "declined", 9), (1, "add this person", 2), (2, "add this person", 9), (2, "booked", 9))
    resting, added = sort_answers(given, rules=RULES, as_of=AS_OF)
    assert (resting["person_id"].to_list(), added["person_id"].to_list()) == ([2], [1])


def test_answers_change_the_next_list(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    first = lists.row(0, named=True)
    waiting = tables.people.filter(pl.col("practice_code") == first["practice_code"]).collect()
    wanted = waiting.join(lists, on="person_id", how="anti")["person_id"][0]
    pair = {"practice_code": first["practice_code"]}
    answered = replace(
        tables,
        resting=pl.DataFrame([pair | {"person_id": first["person_id"]}]),
        added=pl.DataFrame([pair | {"person_id": wanted}]),
    )
    now = build_target_lists(answered, rules=RULES, previous=lists)
    CONTRACTS["target_lists"].validate(now)
    assert first["person_id"] not in now["person_id"]
    assert now.filter(pl.col("person_id") == wanted)["reasons"][0].startswith("added by the practice")
    assert now.height == lists.height


def capacity(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    schema = ["ods_code", "week_from", "role", "slots"]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("week_from").str.to_date())


LISTED = pl.DataFrame(
    [("A81001", "U00001", 8000), ("A81002", "U00001", 4000), ("B82001", None, 9000)],
    schema=["practice_code", "pcn_code", "registered"],
    orient="row",
)


def test_stated_capacity_replaces_the_default_in_the_same_shares() -> None:
    people = pl.LazyFrame({"practice_code": ["A81001"] * 8000 + ["A81002"] * 8000})
    stated = capacity(("A81001", "2026-11-16", "GP", 6), ("A81001", "2026-11-09", "nurse", 4))
    places = share_places(people, weekly_slots(stated, LISTED, as_of=AS_OF), rules=RULES)
    of_team = {team: rows["places"].to_list() for (team,), rows in places.group_by("team") if team}
    assert of_team == {"GP": [1, 2, 1, 1, 1], "nurse": [1, 1, 1, 0, 1]}
    assert places.filter(pl.col("practice_code") == "A81002")["places"].sum() == 40


def test_the_latest_week_that_has_begun_counts() -> None:
    stated = capacity(
        ("A81001", "2026-11-02", "GP", 9), ("A81001", "2026-11-16", "GP", 0), ("A81001", "2026-11-23", "GP", 5)
    )
    assert weekly_slots(stated, LISTED, as_of=AS_OF)["slots"].to_list() == [0]
    people = pl.LazyFrame({"practice_code": ["A81001"] * 8000})
    assert share_places(people, weekly_slots(stated, LISTED, as_of=AS_OF), rules=RULES)["places"].sum() == 0


HEADING = "ods_code,week_from,role,slots\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADING}A81001,2026-11-16,GP,many\n",
        "ods_code,slots\nA81001,3\n",
        f"{HEADING}A81001,2026-11-16,astronaut,3\n",
        "practice_code,week_from,role,slots\nA81001,2026-11-16,GP,3\n",
    ],
    ids=["no number", "no week", "unknown role", "another heading"],
)
def test_a_capacity_file_that_is_not_as_expected_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "capacity.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"capacity.csv is not as expected: the columns ods_code"):
        read_slots(Warehouse(Settings(home=tmp_path)), as_of=AS_OF, icb="QWO")


def test_without_a_capacity_file_the_default_holds(tmp_path: Path) -> None:
    assert read_slots(Warehouse(Settings(home=tmp_path)), as_of=AS_OF, icb="QWO") is None


def test_a_network_shares_its_slots_among_its_practices_by_registered_people() -> None:
    stated = capacity(("U00001", "2026-11-16", "link worker", 10), ("A81002", "2026-11-16", "link worker", 1))
    assert weekly_slots(stated, LISTED, as_of=AS_OF).rows() == [
        ("A81001", "link worker", 6),
        ("A81002", "link worker", 5),
    ]


def team_places(**places: int) -> pl.DataFrame:
    people = pl.LazyFrame({"practice_code": ["A81001"] * 8000})
    slots = pl.DataFrame([("A81001", role, slots) for role, slots in places.items()], schema=SLOTS, orient="row")
    return share_places(people, slots, rules=RULES)


@pytest.mark.parametrize(
    ("places", "seen_by"),
    [
        ({"nurse": 3}, ["nurse", "nurse", "nurse"]),
        ({"nurse": 1, "GP": 1}, ["nurse", "GP"]),
        ({"nurse": 0, "GP": 2}, ["GP", "GP"]),
        ({"pharmacist": 5}, []),
    ],
    ids=["one role", "what is over goes to the next role", "a role that is away", "a role that sees other people"],
)
def test_people_are_seen_by_the_first_of_their_roles_that_has_a_slot(
    places: dict[str, int], seen_by: list[str]
) -> None:
    members = members_of(complex_care=[1, 2], non_responders=[2, 3, 4])
    chosen = choose_people(members, places=team_places(**places), carried_weeks=4)
    assert chosen["role"].to_list() == seen_by
    assert chosen["person_id"].to_list() == [1, 2, 3][: len(seen_by)]


def test_everybody_in_a_cohort_is_listed_or_counted_as_waiting(tables: WeeklyTables) -> None:
    slots = pl.DataFrame([("A81001", "nurse", 2), ("A81001", "GP", 1)], schema=SLOTS, orient="row")
    week = replace(tables, slots=slots)
    lists = build_target_lists(week, rules=RULES, previous=None)
    members = rank_members(week, rules=RULES)
    counted = count_capacity(members, route(week, members, rules=RULES), lists, slots)
    CONTRACTS["list_capacity"].validate(counted)
    people = members.group_by("practice_code").agg(pl.col("person_id").n_unique().alias("people"))
    sums = counted.group_by("practice_code").agg(found=pl.col("listed").sum() + pl.col("waiting").sum())
    assert sums.join(people, on="practice_code").filter(pl.col("found") != pl.col("people")).is_empty()
    assert lists.filter(practice_code="A81001").height == 3
    assert counted.filter(pl.col("places").is_not_null()).select("role", "places").rows() == [("GP", 1), ("nurse", 2)]


def offers(*rows: dict[str, object]) -> pl.DataFrame:
    blank = dict.fromkeys(("phone", "url", "minimum_age", "maximum_age", "places"))
    made = [
        {"place": number, "id": f"s{number}", "name": f"Walk {number}", **blank, "practice_code": practice, **row}
        for number, row in enumerate(rows)
        for practice in PRACTICES
    ]
    schema = {"minimum_age": pl.Int16, "maximum_age": pl.Int16, "places": pl.Int64, "phone": pl.String}
    return pl.DataFrame(made, schema_overrides=schema | {"url": pl.String})


OFFERS = (
    "id,name,status,phone,url,minimum_age,maximum_age,service_area,needs,places,valid_from,valid_to,assured_date\n"
    "w,Walk,active,01632 960001,,50,,,is_inactive,2,,,2026-10-01\n"
    "q,Quit,active,,https://example.org,,,U00001,is_current_smoker,,2026-01-01,2027-01-01,2026-10-01\n"
    "c,Closed,inactive,,,,,,is_obese,,,,2026-10-01\n"
    "o,Over,active,,,,,,is_obese,,,2026-11-15,2026-10-01\n"
)


def offered(home: Path, text: str) -> list[tuple[str, str]]:
    listed = [
        {
            "practice_code": "A81001",
            "practice_name": "One",
            "pcn_code": "U00001",
            "icb_code": "QWO",
            "status": "active",
        },
        {"practice_code": "B82001", "practice_name": "Two", "icb_code": "QRL", "status": "active"},
    ]
    (home / "history").mkdir()
    valid("practices", listed).write_parquet(home / "history" / "practices.parquet")
    (home / "offers.csv").write_text(text, "utf-8")
    return read_offers(Settings(home=home), as_of=AS_OF, rules=RULES).select("id", "practice_code").rows()


def test_offers_that_run_are_read_for_the_practices_that_they_serve(tmp_path: Path) -> None:
    assert offered(tmp_path, OFFERS) == [("w", "A81001"), ("w", "B82001"), ("q", "A81001")]


@pytest.mark.parametrize("need", ["hiv", "is_unheard_of"])
def test_an_offer_for_a_need_that_may_not_be_told_or_is_not_known_is_refused(tmp_path: Path, need: str) -> None:
    with pytest.raises(ValueError, match=f"found {need}"):
        offered(tmp_path, OFFERS.replace("is_obese", need, 1))


def test_offers_go_to_people_with_the_need_until_their_places_are_used(tables: WeeklyTables) -> None:
    several = offers(
        {"needs": "has_raised_blood_pressure", "places": 2, "phone": "01632 960001"},
        {"needs": "has_raised_blood_pressure|is_obese", "minimum_age": 40},
        {"needs": "is_obese", "practice_code": "Z99999"},
    )
    lists = build_target_lists(replace(tables, offers=several), rules=RULES, previous=None)
    CONTRACTS["target_lists"].validate(lists)
    taken = dict(lists.drop_nulls("offer").group_by("offer").len().rows())
    assert taken["s0"] == 2
    assert "s2" not in taken
    in_need = tables.lifestyle_flags.filter("has_raised_blood_pressure").collect()["person_id"]
    given = lists.filter(offer="s1")
    assert set(given["person_id"]) <= set(in_need)
    assert given["age_years"].min() >= 40
    assert (
        lists.filter(offer="s0")["suggested_action"]
        .str.contains("Local offer: Walk 0 (01632 960001)", literal=True)
        .all()
    )


def test_people_not_seen_are_listed_but_for_those_who_may_have_moved_away() -> None:
    day = dt.date(2020, 1, 1)
    usual = {"practice_code": "A81001", "registered_date": day, "is_possible_ghost": False, "reasons": "x"}
    not_seen = [
        usual | {"person_id": 1, "rank": 2, "priority": 3},
        usual | {"person_id": 2, "rank": 1, "priority": 5},
        usual | {"person_id": 3, "rank": 4, "priority": 3, "is_possible_ghost": True},
        usual | {"person_id": 4, "rank": 3, "priority": 0, "reasons": "unscored"},
    ]
    people = [{"person_id": number, "practice_code": "A81001"} for number in (1, 2, 3, 4)]
    given = {"people": people, "people_not_seen": not_seen}
    tables = WeeklyTables(**{name: frame(name, given.get(name, [])).lazy() for name in READS})
    assert rank_members(tables, rules=RULES)["person_id"].to_list() == [2, 1]


def test_what_complex_care_owes_is_said_to_the_practice(tables: WeeklyTables, lists: pl.DataFrame) -> None:
    person = lists.filter(pl.col("cohorts").str.starts_with("complex_care")).row(0, named=True)
    pair = {name: person[name] for name in ("person_id", "practice_code")}
    day = dt.date(2025, 5, 3)
    owed = [
        {"thing": "care_plan", "state": "due_for_review", "since_date": day, "latest_date": day},
        {"thing": "named_gp", "state": "in_place", "since_date": day, "latest_date": day},
        {"thing": "care_coordinator", "state": "missing"},
        {"thing": "same_day_access", "state": "not_known"},
    ]
    week = replace(tables, care_owed=valid("care_owed", [pair | row for row in owed]).lazy())
    reasons = build_target_lists(week, rules=RULES, previous=None).filter(person_id=pair["person_id"])["reasons"][0]
    assert (
        "owed: no care coordinator on record; personal care and support plan to be reviewed, last entry 3 May 2025; "
        "named accountable GP in place since 3 May 2025"
    ) in reasons.split("|")


def test_non_responders_follow_the_rank_that_their_table_stores() -> None:
    people = [{"person_id": number, "practice_code": "A81001"} for number in (1, 2, 3)]
    ranked = [
        {"person_id": number, "practice_code": "A81001", "rank": rank} for number, rank in [(1, 3), (2, 1), (3, 2)]
    ]
    empty = {name: frame(name, []).lazy() for name in READS}
    tables = WeeklyTables(
        **{
            **empty,
            "people": frame("people", people).lazy(),
            "non_responders": frame("non_responders", ranked).lazy(),
        }
    )
    assert rank_members(tables, rules=RULES)["person_id"].to_list() == [2, 3, 1]
