"""Every input of every score over its whole range, against a second implementation in plain Python."""

import datetime as dt
import random

import polars as pl
import pytest

from data_contracts.clinical.scores.definition import SCORES, ScoreInput
from models.published.registry import load_scores
from tests.lib import reference_scores as reference

TOLERANCE = 1e-9
STEPS = 60


def read_table(name: str) -> pl.DataFrame:
    """The rows of one table of a score, as text."""
    return pl.read_csv((SCORES / f"{name}.csv").read_text("utf-8").encode(), infer_schema=False)


def values_of(column: ScoreInput) -> list[object]:
    """Values that cover the accepted range of one input, its ends among them."""
    if column.kind == "flag":
        return [False, True]
    if column.codes:
        return list(column.codes)
    low, high = column.at_least or 0.0, column.at_most if column.at_most is not None else (column.below or 0) - 1e-6
    if column.kind == "whole":
        return list(range(int(low), min(int(high), int(low) + 200) + 1))
    return [low + (high - low) * step / STEPS for step in range(STEPS + 1)]


def sweep(inputs: list[ScoreInput], *, people: int, seed: int) -> list[dict[str, object]]:
    """People with everything at random, and for each some with one input after another taken over its range."""
    dice = random.Random(seed)
    at_random = [{column.name: dice.choice(values_of(column)) for column in inputs} for _ in range(people)]
    swept = [dice.choice(at_random[:20]) | {column.name: value} for column in inputs for value in values_of(column)]
    return [{"person_id": place, **person} for place, person in enumerate(at_random + swept)]


def test_qrisk3_agrees_with_the_plain_equation() -> None:
    score = load_scores()["qrisk3"]
    inputs = [column for column in score.definition.inputs if column.must_exist or column.name == "ethnic_group"]
    people = sweep(inputs, people=300, seed=3)
    rows = read_table("qrisk3_coefficients").with_columns(pl.all().fill_null("")).to_dicts()
    result = score.score(pl.DataFrame(people, infer_schema_length=None), options={"clip": "none"})
    expected = pl.Series([reference.ten_year_risk(rows, person) for person in people])
    assert result["reason"].null_count() == result.height
    assert float((result["qrisk3"] - expected).abs().max()) < TOLERANCE


def test_clipping_is_the_score_of_the_nearest_allowed_value() -> None:
    score = load_scores()["qrisk3"]
    inputs = [column for column in score.definition.inputs if column.must_exist or column.name == "ethnic_group"]
    people = pl.DataFrame(sweep(inputs, people=50, seed=4), infer_schema_length=None)
    clipped = people.with_columns(pl.col(c.name).cast(pl.Float64).clip(*c.clip) for c in inputs if c.clip)
    assert (score.score(people)["qrisk3"] - score.score(clipped)["qrisk3"]).abs().max() == 0


@pytest.mark.parametrize("name", ["charlson", "hfrs"])
def test_diagnosis_scores_agree_for_every_listed_code(name: str) -> None:
    dice = random.Random(11)
    tables = [read_table("charlson_quan"), read_table("charlson_shmi")]
    prefixes = [prefix for table in tables for codes in table["icd10_prefixes"] for prefix in codes.split("|")]
    prefixes += read_table("hfrs_weights")["icd10_code"].to_list()
    codes = [code for prefix in prefixes for code in spellings(prefix)]
    people = [[code] for code in codes] + [dice.choices(codes, k=dice.randint(0, 12)) for _ in range(400)]
    ages = [dice.randint(0, 110) for _ in people]
    long = [(i, code, age) for i, (mine, age) in enumerate(zip(people, ages, strict=True)) for code in mine or [None]]
    schema = {"person_id": pl.Int64, "icd10_code": pl.String, "age_years": pl.Int64}
    frame = pl.DataFrame(long, schema=schema, orient="row")
    found = load_scores()[name].score(frame.sample(fraction=1, shuffle=True, seed=1)).to_dicts()
    for mine, age, row in zip(people, ages, found, strict=True):
        if name == "hfrs":
            assert row["hfrs_tenths"] == reference.hfrs_tenths(mine)
            assert row["hfrs"] == row["hfrs_tenths"] / 10
        else:
            expected = reference.charlson(mine, age)
            assert {column: row[column] for column in expected} == expected


def spellings(prefix: str) -> list[str]:
    """A listed code as hospitals might write it, and its neighbours one digit on."""
    whole = prefix.ljust(3, "0")
    return [whole, f"{whole}9"[:4], f"{whole[:3]}.{whole[3:] or 'X'}", f"{whole}1".lower(), f"{whole[:3]}X"]


def test_acsc_agrees_for_every_listed_code_position_method_and_procedure() -> None:
    dice = random.Random(19)
    score = load_scores()["acsc"]
    table = read_table("acsc_conditions")
    codes = [code for prefixes in table["icd10_prefixes"] for code in prefixes.split("|")] + ["D571", "R074", "E109"]
    done = [code for codes in table["excluded_procedure_prefixes"].drop_nulls() for code in codes.split("|")]
    methods = list(score.definition.input("admission_method").codes)
    spells = [(method, [code], []) for method in ["21"] for code in codes]
    spells += [("21", ["R074", code], []) for code in codes] + [(method, ["J440"], []) for method in methods]
    spells += [
        ("21", [first], [procedure]) for first in ("L031", "I209", "I500") for procedure in [*done, "U011", "S461"]
    ]
    for _ in range(1_500):
        operations = dice.choices([*done, "U011", "X331"], k=dice.randint(0, 3))
        spells.append((str(dice.choice(methods)), dice.choices(codes, k=dice.randint(1, 4)), operations))
    frame = pl.DataFrame(
        [(i, method, "|".join(found), "|".join(done) or None) for i, (method, found, done) in enumerate(spells)],
        schema=dict.fromkeys(("spell_id", "admission_method", "diagnosis_codes", "procedure_codes"), pl.String)
        | {"spell_id": pl.Int64},
        orient="row",
    )
    for spell, row in zip(spells, score.score(frame).to_dicts(), strict=True):
        expected = reference.acsc(*spell)
        assert (row["acsc_conditions"] or "").split("|") == (expected or [""])
        assert row["is_acsc"] == bool(expected)


def test_frailty_bands_agree_for_every_count() -> None:
    score = load_scores()["efi"]
    deficits = [column.name for column in score.definition.inputs if column.kind == "flag"]
    assert len(deficits) == 36
    dice = random.Random(36)
    people = []
    for count in [*range(37), *range(37)]:
        present = set(dice.sample(deficits, count))
        people.append({"person_id": len(people), "age_years": 70, **{name: name in present for name in deficits}})
    result = score.score(pl.DataFrame(people))
    counts = [sum(value is True for value in person.values()) for person in people]
    assert result["efi_deficit_count"].to_list() == counts
    assert result["efi_band"].to_list() == [reference.frailty_band(count) for count in counts]


def test_lace_agrees_for_every_combination_of_points() -> None:
    combinations = [(d, e, c, a) for d in range(17) for e in (False, True) for c in range(7) for a in range(6)]
    frame = pl.DataFrame(
        [(i, *row) for i, row in enumerate(combinations)],
        schema=["spell_id", "length_of_stay_days", "is_emergency", "comorbidity_score", "emergency_attendances_6m"],
        orient="row",
    )
    assert load_scores()["lace"].score(frame)["lace"].to_list() == [reference.lace(*row) for row in combinations]


def test_health_checks_agree_around_every_birthday_and_anniversary() -> None:
    score = load_scores()["nhs_health_check"]
    flags = [column.name for column in score.definition.inputs if column.kind == "flag"]
    as_of = dt.date(2026, 11, 16)
    births = [
        dt.date(year, month, day) for year in range(1945, 1992) for month, day in ((11, 15), (11, 16), (11, 17))
    ]
    births += [dt.date(1952, 2, 29), dt.date(1984, 2, 29)]
    checks = [None, dt.date(2021, 11, 15), dt.date(2021, 11, 16), dt.date(2021, 11, 17), dt.date(2020, 2, 29)]
    people = [(birth, last, excluded) for birth in births for last in checks for excluded in (False, True)]
    frame = pl.DataFrame(
        {
            "person_id": range(len(people)),
            "as_of_date": [as_of] * len(people),
            "birth_date": [birth for birth, _, _ in people],
            "last_health_check_date": [last for _, last, _ in people],
            **{name: [excluded and name == "statin" for *_, excluded in people] for name in flags},
        }
    )
    found = score.score(frame).select("health_check_eligible", "health_check_due_date").rows()
    assert found == [reference.health_check(birth, as_of, last, excluded) for birth, last, excluded in people]


@pytest.mark.parametrize("name", sorted(load_scores()))
def test_a_score_does_not_depend_on_who_else_is_in_the_table(name: str) -> None:
    score = load_scores()[name]
    frame = some_people(name)
    key = score.definition.key
    whole = score.score(frame).sort(key)
    assert whole.equals(score.score(frame.reverse()).sort(key))
    alone = pl.concat([score.score(part) for part in frame.sort(key).partition_by(key)])
    assert whole.equals(alone)


def some_people(name: str) -> pl.DataFrame:
    """A few rows with every input at random, unknown one time in four."""
    dice = random.Random(name)
    definition = load_scores()[name].definition
    types = {"whole": pl.Int64, "number": pl.Float64, "flag": pl.Boolean, "text": pl.String, "date": pl.Date}
    columns = {definition.key: pl.Series([i // 2 if definition.rows == "many_per_key" else i for i in range(24)])}
    for column in definition.inputs:
        if column.kind == "text":
            pool: list[object] = (
                ["I500", "J440|E105", "copd", "Z999"] if column.name != "icd10_code" else ["I500", "C80"]
            )
        else:
            pool = [dt.date(1975, 3, 1), dt.date(1960, 3, 1)] if column.kind == "date" else values_of(column)
        dtype = types.get(column.kind, pl.Int64 if isinstance(next(iter(column.codes), None), int) else pl.String)
        drawn = [None if dice.random() < 0.25 else dice.choice(pool) for _ in range(24)]
        columns[column.name] = pl.Series(drawn, dtype=dtype, strict=False)
    return pl.DataFrame(columns)
