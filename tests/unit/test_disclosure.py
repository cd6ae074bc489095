"""What a release may show: pseudonyms, rounding and values that few people have."""

import datetime as dt
import hmac

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.tables.release import QUASI_IDENTIFIERS
from pipelines.io.releases.pseudonyms import pseudonyms, recipient_key
from pipelines.steps.disclosure import (
    Told,
    mask_rare,
    months,
    quasi_identifiers,
    reportable_not_seen,
    round_count,
    smallest_group,
)

KEY = bytes(range(32))


def names(icb_code: str, scheme: str = "1", key: bytes = KEY) -> set[str]:
    made = pseudonyms(pl.Series(range(500)), key=recipient_key(key, icb_code=icb_code, scheme=scheme))
    return set(made["pseudonym"])


def test_one_pseudonym_a_person_and_the_same_every_time() -> None:
    assert len(names("QWO")) == 500
    assert names("QWO") == names("QWO")


def test_no_two_recipients_schemes_or_keys_share_a_pseudonym() -> None:
    others = [names("QRL"), names("QWO", scheme="2"), names("QWO", key=bytes(32))]
    assert all(names("QWO").isdisjoint(other) for other in others)


def test_a_pseudonym_is_the_first_half_of_the_keyed_hash_of_the_person_id() -> None:
    ids = pl.Series([0, 1, 255, 2**40, 2**63 - 1, 1], dtype=pl.Int64)
    letters = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")
    key = recipient_key(bytes(range(32)), icb_code="QE1", scheme="1")
    expected = [
        (person, hmac.new(key, person.to_bytes(8, "big"), "sha256").hexdigest()[:32].translate(letters))
        for person in sorted(set(ids))
    ]
    assert pseudonyms(ids, key=key).rows() == expected


def test_pseudonyms_hold_no_digit() -> None:
    assert all(len(name) == 32 and name.isalpha() for name in names("QWO"))


@pytest.mark.parametrize(
    ("count", "shown"), [(0, None), (1, None), (7, None), (8, 10), (12, 10), (13, 15), (1001, 1000), (1003, 1005)]
)
def test_small_counts_are_hidden_and_the_rest_rounded(count: int, shown: int | None) -> None:
    assert pl.select(round_count(pl.lit(count)).alias("n"))["n"][0] == shown


weeks = st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=2, max_size=8)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(weeks=weeks)
def test_a_figure_moves_only_when_more_people_came_or_went_than_may_be_shown(weeks: list[list[int]]) -> None:
    """Whoever subtracts one release from another learns of no fewer than eight people."""
    told, behind, shown = Told(), {}, {}
    for counts in weeks:
        frame = pl.DataFrame({"group": ["a", "b", "c"], "people": counts})
        safe = told.safe(frame, "tables", ["group"], "people")
        told = Told(told.kept())
        for group, count, figure in zip(frame["group"], counts, safe["people"], strict=True):
            if group in shown and figure != shown[group]:
                assert abs(count - behind[group]) > 7
            if group not in behind or abs(count - behind[group]) > 7:
                behind[group] = count
            assert figure == pl.select(round_count(pl.lit(behind[group]))).item()
            shown[group] = figure


def test_what_was_told_of_a_figure_is_kept_while_it_is_away() -> None:
    told = Told()
    told.safe(pl.DataFrame({"group": ["a"], "people": [12]}), "tables", ["group"], "people")
    told = Told(told.kept())
    other = told.safe(pl.DataFrame({"group": [None], "people": [12]}), "tables", ["group"], "people")
    assert other["people"].to_list() == [10]
    told = Told(told.kept())
    back = pl.DataFrame({"group": ["a", "b"], "people": [14, None]}, schema_overrides={"people": pl.Int64})
    assert told.safe(back, "tables", ["group"], "people")["people"].to_list() == [10, None]
    assert told.safe(back.head(1), "care_owed", ["group"], "people")["people"].to_list() == [15]


def test_months_are_as_fine_as_dates_get() -> None:
    frame = pl.DataFrame({"due_date": [dt.date(2024, 3, 12), None]})
    assert frame.select(months("due_date"))["due_month"].to_list() == ["2024-03", None]


@pytest.mark.parametrize(
    ("age", "band", "wide"),
    [
        (0, "0-4", "0-15"),
        (4, "0-4", "0-15"),
        (5, "5-15", "0-15"),
        (15, "5-15", "0-15"),
        (16, "16-24", "16-64"),
        (64, "55-64", "16-64"),
        (65, "65-74", "65 and over"),
        (85, "85 and over", "65 and over"),
    ],
)
def test_ages_fall_in_their_bands(age: int, band: str, wide: str) -> None:
    known = quasi_identifiers(people_of([("A81001", age, "female", 1)]))
    assert known.select("age_band", "wide_age_band").row(0) == (band, wide)


@pytest.mark.parametrize(("decile", "fifth"), [(1, 1), (2, 1), (3, 2), (9, 5), (10, 5), (None, None)])
def test_deprivation_is_given_in_fifths(decile: int | None, fifth: int | None) -> None:
    assert quasi_identifiers(people_of([("A81001", 50, "male", decile)]))["deprivation_fifth"][0] == fifth


def people_of(rows: list[tuple[str, int, str, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(number, *row) for number, row in enumerate(rows)],
        schema={
            "person_id": pl.Int64,
            "practice_code": pl.String,
            "age_years": pl.Int16,
            "sex": pl.String,
            "imd_decile": pl.Int8,
        },
        orient="row",
    )


person = st.tuples(
    st.sampled_from(["A81001", "A81002"]),
    st.integers(0, 99),
    st.sampled_from(["female", "male"]),
    st.sampled_from([None, 1, 5, 10]),
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(rows=st.lists(person, max_size=60), smallest=st.integers(1, 8), data=st.data())
def test_what_is_shown_of_a_person_is_shared_in_every_cohort(
    rows: list[tuple[str, int, str, int | None]], smallest: int, data: st.DataObject
) -> None:
    known = quasi_identifiers(people_of(rows))
    everyone = known["person_id"]
    some = data.draw(st.sets(st.sampled_from(everyone.to_list()))) if rows else set()
    cohorts = [everyone, pl.Series("person_id", sorted(some), dtype=pl.Int64)]
    masked = mask_rare(known, cohorts, smallest=smallest)
    assert sorted(masked["person_id"]) == everyone.to_list()
    for cohort in cohorts:
        least = smallest_group(masked.filter(pl.col("person_id").is_in(cohort.implode())))
        assert least is None or least >= smallest


def test_nothing_is_masked_when_everyone_is_alike() -> None:
    known = quasi_identifiers(people_of([("A81001", 50, "female", 2)] * 5))
    masked = mask_rare(known, [known["person_id"]], smallest=5)
    assert masked.select(QUASI_IDENTIFIERS).null_count().sum_horizontal()[0] == 0


def test_how_people_are_not_reached_may_leave_and_their_circumstances_may_not() -> None:
    reasons = {
        1: "no_contact_24m|no_contact_12m",
        2: "homeless|no_contact_12m",
        3: "homeless",
        4: "unscored|traveller",
    }
    table = pl.DataFrame({"person_id": list(reasons), "reasons": list(reasons.values())})
    told = reportable_not_seen(table, ["no_contact_24m", "no_contact_12m"])
    assert dict(told.select("person_id", "not_seen").iter_rows()) == {
        1: "no_contact_12m|no_contact_24m",
        2: "no_contact_12m",
    }
