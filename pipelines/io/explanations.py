"""Answers a practice's question about one of its people: why on the list, or why not."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_contracts.actions import load_actions
from pipelines.io.identity import load_key, person_ids, read_superseded, renamed_people, valid_nhs_numbers
from pipelines.io.target_lists import read_weekly_tables
from pipelines.io.warehouse import Warehouse
from pipelines.steps.explain import Finding, Question, count_kept, explain_person


@dataclass(frozen=True)
class Explanation:
    """The rules asked about one person, and how many of the practice's people each rule keeps."""

    findings: list[Finding]
    kept: pl.DataFrame


def explain_nhs_number(warehouse: Warehouse, *, practice_code: str, nhs_number: str, as_of: dt.date) -> Explanation:
    """Why the person is, or is not, on the practice's list of the week.

    Raises:
        ValueError: not an NHS number, or a practice that is not known; the number is never repeated.
        FileNotFoundError: the week has not been built.
    """
    number = valid_nhs_numbers(pl.Series([nhs_number]))[0]
    if number is None:
        raise ValueError("expected an NHS number of ten digits with a right check digit; found something else")
    icb = _icb_of(warehouse, practice_code)
    asked_about = person_ids([number], load_key(warehouse.settings)).to_frame()
    person = renamed_people(asked_about, read_superseded(warehouse.settings)).item()
    tables = read_weekly_tables(warehouse, as_of, icb)
    lists = warehouse.read("target_lists", as_of, icb).collect()
    closed = warehouse.read("closed_practices", as_of, icb).collect()
    left_out_by = _left_out_by(warehouse, person, practice_code=practice_code, as_of=as_of, icb=icb)
    asked = Question(
        person_id=person,
        practice_code=practice_code,
        as_of=as_of,
        registrations=_rows_of(warehouse, "registrations", person, as_of=as_of, icb=icb),
        has_opted_out=left_out_by == "type_1_opt_out",
        left_out_by=left_out_by,
        is_practice_closed=practice_code in closed["practice_code"],
    )
    rules = load_actions()
    return Explanation(
        findings=explain_person(asked, tables=tables, target_lists=lists, rules=rules),
        kept=count_kept(tables, lists, practice_code=practice_code, rules=rules),
    )


def _icb_of(warehouse: Warehouse, practice_code: str) -> str:
    practices = pl.read_parquet(warehouse.settings.history / "practices.parquet")
    found = practices.filter(pl.col("practice_code") == practice_code)["icb_code"].to_list()
    if not found:
        raise ValueError(f"no practice {practice_code!r}; {practices.height} practices are known, by ODS code")
    return str(found[0])


def _rows_of(warehouse: Warehouse, table: str, person: int, *, as_of: dt.date, icb: str) -> pl.DataFrame:
    """The person's rows of a history table; sorted files make this a short read."""
    return warehouse.read(table, as_of, icb).filter(pl.col("person_id") == person).collect()


def _left_out_by(warehouse: Warehouse, person: int, *, practice_code: str, as_of: dt.date, icb: str) -> str | None:
    """The rule by which the week leaves the person out at the practice."""
    rows = warehouse.read("eligibility", as_of, icb).filter(
        pl.col("person_id") == person, pl.col("practice_code") == practice_code
    )
    found = rows.select("left_out_by").collect()["left_out_by"].to_list()
    return found[0] if found else None
