"""Each published score a second time, one person at a time in plain Python, to check the real ones against.

Written from the publications' own layout and sharing nothing with models/published but the coefficient files.
"""

import csv
import datetime as dt
import math
from functools import cache
from pathlib import Path

Row = dict[str, str]
Person = dict[str, float | int | bool | str | None]

REPOSITORY = Path(__file__).parents[2]
SCORE_DATA = REPOSITORY / "data_contracts" / "clinical" / "scores"


@cache
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


def charlson(codes: list[str], age: int | None) -> dict[str, int | str | None]:
    """The Charlson columns for one person's codes."""
    quan, shmi = (read_rows(SCORE_DATA / f"{name}.csv") for name in ("charlson_quan", "charlson_shmi"))
    found = _conditions(quan, codes)
    original = sum(int(row["weight_1987"]) for row in quan if row["condition"] in found)
    points = None if age is None else sum(age >= edge for edge in (50, 60, 70, 80))
    return {
        "charlson_1987": original,
        "charlson_quan_2011": sum(int(row["weight_quan_2011"]) for row in quan if row["condition"] in found),
        "charlson_shmi": max(
            0, sum(int(row["weight_shmi"]) for row in shmi if row["condition"] in _conditions(shmi, codes))
        ),
        "charlson_age_points": points,
        "charlson_1987_age_adjusted": None if points is None else original + points,
        "charlson_conditions": "|".join(row["condition"] for row in quan if row["condition"] in found) or None,
    }


def _conditions(table: list[Row], codes: list[str]) -> set[str]:
    """The conditions of a table that the codes meet, less those replaced by a worse one."""
    plain = [bare(code) for code in codes]
    met = {row["condition"] for row in table if _any_starts(plain, row["icd10_prefixes"])}
    return {row["condition"] for row in table if row["condition"] in met and row["replaced_by"] not in met}


def bare(code: str) -> str:
    """A code in capitals without dot and X padding."""
    plain = code.upper().replace(".", "").replace(" ", "")
    return plain[:3] if plain[3:4] == "X" else plain


def hfrs_tenths(codes: list[str]) -> int:
    """The Hospital Frailty Risk Score in tenths: each listed category once."""
    weights = {row["icd10_code"]: int(row["weight_tenths"]) for row in read_rows(SCORE_DATA / "hfrs_weights.csv")}
    return sum(weights.get(category, 0) for category in {bare(code)[:3] for code in codes})


def acsc(method: str, diagnoses: list[str], procedures: list[str]) -> list[str]:
    """The conditions that one spell meets."""
    if method not in ("21", "22", "23", "24", "25", "2A", "2D", "28"):
        return []
    table = read_rows(SCORE_DATA / "acsc_conditions.csv")
    return [row["condition"] for row in table if _meets(row, [bare(code) for code in diagnoses], procedures)]


def _meets(row: Row, diagnoses: list[str], procedures: list[str]) -> bool:
    where = diagnoses[:1] if row["position"] == "primary" else diagnoses
    if not _any_starts(where, row["icd10_prefixes"]):
        return False
    if row["needs_secondary"] and not _any_starts(diagnoses[1:], row["needs_secondary"]):
        return False
    if row["excluded_by_secondary"] and _any_starts(diagnoses[1:], row["excluded_by_secondary"]):
        return False
    done = procedures[:1] if row["excluded_procedure_position"] == "primary" else procedures
    return not (row["excluded_procedure_prefixes"] and _any_starts(done, row["excluded_procedure_prefixes"]))


def _any_starts(codes: list[str], prefixes: str) -> bool:
    wanted = tuple(prefixes.split("|"))
    return any(code.startswith(wanted) for code in codes)


def frailty_band(deficits: int) -> str:
    """The band of the electronic frailty index, from the published cuts of the index itself."""
    index = deficits / 36
    return "fit" if index < 0.12 else "mild" if index < 0.24 else "moderate" if index < 0.36 else "severe"


def lace(days: int, emergency: bool, comorbidity: int, attendances: int) -> int:
    """The LACE index."""
    if days >= 14:
        stay = 7
    elif days >= 7:
        stay = 5
    else:
        stay = min(days, 4)
    return stay + 3 * emergency + (5 if comorbidity >= 4 else comorbidity) + min(attendances, 4)


def health_check(birth: dt.date, as_of: dt.date, last: dt.date | None, excluded: bool) -> tuple[bool, dt.date | None]:
    """Whether a person is eligible on the day, and when the next check falls due."""
    due = later(birth, 40)
    if last is not None:
        due = max(due, later(last, 5))
    eligible = 40 <= age_on(birth, as_of) <= 74 and not excluded and due <= as_of
    barred = excluded or age_on(birth, as_of) > 74 or age_on(birth, due) > 74
    return eligible, None if barred else due


def age_on(birth: dt.date, day: dt.date) -> int:
    """Whole years, one more from each birthday on."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def later(day: dt.date, years: int) -> dt.date:
    """The same day some years on; 29 February becomes the 28th where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
