"""Programmes as data: what a row must say, and what is refused with the row named."""

import datetime as dt

import polars as pl
import pytest

from data_contracts.clinical.programmes.definition import (
    ROLES,
    check_codes,
    check_rules,
    load_codes,
    load_groups,
    load_programmes,
    load_rules,
    rules_in_force,
)

NOVEMBER_2026 = dt.date(2026, 11, 16)
MAY_2025 = dt.date(2025, 5, 19)


def changed(row: int, **values: object) -> pl.DataFrame:
    """The rules with some fields of one row of rules.csv changed; rows count from 2, the header being 1."""
    rows = load_rules().rows(named=True)
    rows[row - 2] |= values
    return pl.DataFrame(rows, schema=load_rules().schema)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interval": "730"}, r"rules.csv, row 2 \(bowel_50_74\): interval is '730': expected days or weeks"),
        ({"interval": "2y"}, r"row 2 \(bowel_50_74\): interval is '2y'"),
        ({"age_from": "50"}, r"row 2 \(bowel_50_74\): age_from is '50': expected a number with its unit"),
        ({"source": None}, r"row 2 \(bowel_50_74\): source must be stated"),
        ({"effective_from": None, "event": None}, r"row 2 \(bowel_50_74\): event, effective_from must be stated"),
        ({"effective_to": dt.date(2025, 4, 1)}, r"row 2 \(bowel_50_74\): effective_to is not after effective_from"),
        ({"due_on": dt.date(2026, 1, 1)}, r"row 2 \(bowel_50_74\): due_on says when everybody falls due"),
        ({"needs": "a+b+c"}, r"row 2 \(bowel_50_74\): needs names more than two groups"),
    ],
    ids=[
        "no unit",
        "unit of no fixed length",
        "age without a unit",
        "no source",
        "no date",
        "no time",
        "due twice over",
        "three groups",
    ],
)
def test_a_rule_that_cannot_be_right_is_refused_with_its_row(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rules(changed(2, **values))


def test_two_rows_of_one_rule_may_not_be_in_force_on_one_day() -> None:
    with pytest.raises(ValueError, match=r"row 7 \(cervical_25_49\): in force while row 6 still is"):
        check_rules(changed(6, effective_to=dt.date(2025, 7, 2)))
    with pytest.raises(ValueError, match=r"row 7 \(cervical_25_49\): in force while row 6 still is"):
        check_rules(changed(6, effective_to=None))
    check_rules(changed(6, effective_to=dt.date(2025, 6, 30)))


def test_a_code_may_not_say_two_things_in_one_programme() -> None:
    codes = load_codes()
    torn = codes.filter(programme="bowel", role="done").head(1).with_columns(role=pl.lit("declined"))
    code = torn["concept_id"].item()
    with pytest.raises(ValueError, match=rf"codes.csv \(bowel\): code {code} stands in bowel_screening_done"):
        check_codes(pl.concat([codes, torn]))


def test_a_codelist_that_does_not_exist_is_refused_unless_the_row_says_why() -> None:
    row = load_codes().head(1).with_columns(codelist=pl.lit("unheard_of"), concept_id=pl.lit(None, dtype=pl.Int64))
    with pytest.raises(ValueError, match=r"codes.csv \(bowel, unheard_of\): no codelist has that name"):
        check_codes(row)
    check_codes(row.with_columns(note=pl.lit("no public code found")))


def test_every_programme_has_a_rule_and_a_way_to_be_done() -> None:
    done = set(load_codes().filter(pl.col("role") == "done")["programme"])
    done |= {name for name, programme in load_programmes().items() if programme.done_by}
    assert done == set(load_programmes()) == set(load_rules()["programme"])


def test_every_role_is_used() -> None:
    assert set(load_codes()["role"]) == set(ROLES)


def test_groups_are_named_by_rules_and_only_those() -> None:
    rules = load_rules()
    named = set(rules["needs"].drop_nulls().str.split("+").explode()) | set(rules["excludes"].drop_nulls())
    assert named == set(load_groups()["group"])


def test_rules_of_another_date_are_not_in_force() -> None:
    now, then = (set(rules_in_force(date)["rule"]) for date in (NOVEMBER_2026, MAY_2025))
    assert {"flu_65", "rsv_75", "mmr_2_at_18_months", "six_in_one_4"} <= now - then
    assert {"rsv_75_79", "covid_75", "mmr_2"} <= then - now
    assert set(rules_in_force(dt.date(2026, 7, 6))["programme"]).isdisjoint({"flu", "covid"})


def test_each_rule_of_a_programme_that_counts_doses_has_its_dose() -> None:
    dosed = load_rules().group_by("programme").agg(pl.col("dose").null_count().alias("without"), pl.len())
    assert dosed.filter((pl.col("without") > 0) & (pl.col("without") < pl.col("len"))).is_empty()
