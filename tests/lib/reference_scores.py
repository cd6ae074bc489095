"""Each published score a second time, one person at a time in plain Python, to check the real ones against.

Written from the publications' own layout and sharing nothing with models/published but the coefficient files.
"""

import csv
import math
from pathlib import Path

Row = dict[str, str]
Person = dict[str, float | int | bool | str | None]

REPOSITORY = Path(__file__).parents[2]
SCORE_DATA = REPOSITORY / "data_contracts" / "clinical" / "scores"


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ten_year_risk(rows: list[Row], person: Person) -> float:
    """The risk in percent from one equation's coefficients, in the order of the published program."""
    mine = [row for row in rows if row["sex"] == person["sex"]]
    values = _centred_values(mine, person)
    total = 0.0
    for row in mine:
        if row["kind"] in ("code", "number", "flag"):
            total += _worth(row["term"], person, values) * float(row["value"])
        elif row["kind"] == "interaction":
            total += values[row["by"]] * _worth(row["term"], person, values) * float(row["value"])
    survival = next(float(row["value"]) for row in mine if row["kind"] == "survival")
    return 100.0 * (1.0 - math.pow(survival, math.exp(total)))


def _centred_values(mine: list[Row], person: Person) -> dict[str, float]:
    """Each number as the equation uses it: transformed where it says so, less its centre."""
    values = {row["term"]: _transformed(row, person) for row in mine if row["kind"] == "transform"}
    for row in mine:
        if row["kind"] == "centre":
            name = row["term"]
            values[name] = (values[name] if name in values else float(person[name])) - float(row["value"])
    return values


def _transformed(row: Row, person: Person) -> float:
    scaled = float(person[row["input"]]) / float(row["divided_by"])
    raised = math.pow(scaled, float(row["power"]))
    return raised * math.log(scaled) if row["log"] == "1" else raised


def _worth(term: str, person: Person, values: dict[str, float]) -> float:
    """What a coefficient multiplies: a number, 1 for a true flag, or 1 for the code a person has."""
    if "=" in term:
        name, code = term.split("=")
        return 1.0 if person[name] == int(code) else 0.0
    return values[term] if term in values else float(bool(person[term]))
