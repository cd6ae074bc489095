"""Turns small text tables into frames that keep a contract, and runs SQL files on them in memory."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from data_contracts.clinical.definitions import ethnic_groups
from data_contracts.clinical.reference import reference_tables
from data_contracts.codelists import codes_of
from data_contracts.registry import CONTRACTS
from pipelines.io import in_memory

AS_OF = dt.date(2026, 11, 16)
PRACTICE = "A81001"

DEFAULTS: dict[str, dict[str, Any]] = {
    "registrations": {
        "registered_date": dt.date(2015, 1, 1),
        "registration_type": "regular",
        "birth_date": dt.date(1966, 6, 1),
        "sex": "female",
    },
    "spells": {"admission_method": "21", "diagnosis_codes": "J440"},
    "contacts": {"contact_kind": "consultation"},
}
KNOWN_SAME_DAY = {
    "events": "event_date",
    "medications": "issued_date",
    "spells": "admitted_date",
    "emergency_attendances": "arrived_date",
}


def table(name: str, text: str) -> pl.DataFrame:
    """Rows of a text table in the columns and types of a contract: blanks are null, left-out columns take a default.

    In events and medications a ``codelist`` column stands for the first code of that codelist, and in events an
    ``ethnic_group`` column for the first code of that group. What was known is taken as known on the day itself.
    """
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    header, body = lines[0], [line for line in lines[1:] if not set("".join(line)) <= {"-", "+"}]
    rows = [{column: cell or None for column, cell in zip(header, line, strict=True)} for line in body]
    schema = {column: spec.dtype.type for column, spec in CONTRACTS[name].to_schema().columns.items()}
    filled = [_fill(name, row, schema) for row in rows]
    return pl.DataFrame(filled, schema=schema, orient="row")


def answer(
    name: str,
    *,
    as_of: dt.date = AS_OF,
    elsewhere: dict[str, str] | None = None,
    options: dict[str, str | int | float] | None = None,
    **given: pl.DataFrame | str,
) -> pl.DataFrame:
    """The rows one SQL file makes of the given tables; weekly tables are made by their SQL, others are empty.

    ``elsewhere`` are the tables of another ICB, for what the file reads over every ICB; ``options`` are parameters.
    """
    others = _frames(dict(elsewhere)) if elsewhere else None
    references = reference_tables(as_of)
    return in_memory.answer(
        name, _frames(given), as_of=as_of, references=references, elsewhere=others, options=options
    )


def weekly_tables(
    names: list[str], *, as_of: dt.date = AS_OF, **given: pl.DataFrame | str
) -> dict[str, pl.DataFrame]:
    """Several weekly tables by name, made once each from the given tables."""
    frames, references = _frames(given), reference_tables(as_of)
    return {name: in_memory.table_of(name, frames, as_of, references) for name in names}


def _frames(given: dict[str, pl.DataFrame | str]) -> dict[str, pl.DataFrame]:
    """The given tables as frames."""
    return {key: table(key, value) if isinstance(value, str) else value for key, value in given.items()}


def _fill(name: str, row: dict[str, str | None], schema: dict[str, Any]) -> list[Any]:
    """The cells of one row in the contract's order."""
    values: dict[str, Any] = {"practice_code": PRACTICE, **DEFAULTS.get(name, {})}
    values |= {key: _parse(cell, schema.get(key)) for key, cell in row.items()}
    if "codelist" in row:
        values["product_id" if name == "medications" else "concept_id"] = codes_of(str(row["codelist"]))[0]
    if row.get("ethnic_group") and name == "events":
        values["concept_id"] = ethnic_groups().filter(ethnic_group=row["ethnic_group"])["concept_id"][0]
    if name in KNOWN_SAME_DAY:
        values.setdefault("entered_date", values.get(KNOWN_SAME_DAY[name]))
    return [values.get(column) for column in schema]


def _parse(cell: str | None, kind: Any) -> Any:
    """A cell as the type its column needs."""
    if cell is None or kind in (pl.String, None):
        return cell
    if kind == pl.Date:
        return dt.date.fromisoformat(cell)
    if kind == pl.Boolean:
        return cell == "true"
    return float(cell) if kind == pl.Float64 else int(cell)


def by_person(frame: pl.DataFrame, column: str) -> dict[int, Any]:
    """One column of a frame as person to value; a person who stands twice is an error."""
    people = frame["person_id"].to_list()
    if len(people) != len(set(people)):
        raise ValueError("a person stands twice")
    return dict(zip(people, frame[column].to_list(), strict=True))


def add_code(monkeypatch: pytest.MonkeyPatch, codelist: str, concept_id: int) -> None:
    """Adds one code to the codelists, as a local file would."""
    references = reference_tables(AS_OF)
    extra = pl.DataFrame({"codelist": [codelist], "concept_id": [concept_id]})
    widened = references | {"codelists": pl.concat([references["codelists"], extra])}
    monkeypatch.setitem(globals(), "reference_tables", lambda as_of: widened)
