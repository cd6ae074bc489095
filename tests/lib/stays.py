"""Hospital records of made-up people as frames, from rows of text or of values."""

import datetime as dt
from typing import Any

import polars as pl

from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.hospital_records import ADMISSIONS, ATTENDANCES, Kind
from pipelines.steps.stays import Precedence

PRECEDENCE = Precedence.model_validate(load_feed("hospital").words["precedence"])
FIRST = dt.date(2025, 2, 1)


def _frame(rows: list[dict[str, Any]], kind: Kind) -> pl.DataFrame:
    usual = {"person_id": 1, "practice_code": "A81001", "provider_code": "RZZ", "start_date": FIRST, "version": 1}
    usual |= {"source": "hes", "entered_date": dt.date(2025, 4, 1)}
    whole = [dict.fromkeys(kind.columns) | usual | {"record_id": n} | row for n, row in enumerate(rows)]
    return pl.DataFrame(whole, schema=kind.columns)


def attendances(*rows: dict[str, Any]) -> pl.DataFrame:
    """Records of attendances."""
    return _frame(list(rows), ATTENDANCES)


def admissions(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Records of admissions; ``days`` is how long the stay lasted, None while it goes on; ``codes`` is one text."""
    full = []
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("days", "codes")}
        days, codes = row.get("days", 4), row.get("codes", "J440")
        ended = None if days is None else values.get("start_date", FIRST) + dt.timedelta(days=days)
        values = {"admission_method": "21", "discharged_date": ended, "is_finished": ended is not None} | values
        full.append(values | {"diagnoses": codes.split("|") if codes else [], "procedures": []})
    return _frame(full, ADMISSIONS)


def records_of(text: str) -> pl.DataFrame:
    """Records of admissions of one person, provider and day, from a text table with a header; blanks are null."""
    header, *lines = [[cell.strip() for cell in line.split(",")] for line in text.strip().splitlines()]
    numbers = ("days", "version", "episode_order")
    rows = []
    for line in lines:
        row: dict[str, Any] = {name: cell or None for name, cell in zip(header, line, strict=True)}
        rows.append({name: int(cell) if cell and name in numbers else cell for name, cell in row.items()})
    return admissions(rows)
