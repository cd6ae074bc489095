"""One-line cases of where a person stands with a programme, all run in one query."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import polars as pl

from data_contracts.codelists import codes_of
from tests.lib.tables import AS_OF, answer

BIRTHS = {
    "breast": ("1966-06-01", "female"),
    "cervical": ("1990-06-01", "female"),
    "aaa": ("1958-06-01", "male"),
    "flu": ("1950-06-01", "male"),
    "pneumococcal": ("1950-06-01", "male"),
    "mmr": ("2022-01-01", "male"),
    "hpv": ("2010-01-01", "male"),
    "shingles": ("1960-01-01", "male"),
    "rsv": ("1949-06-01", "male"),
    "pertussis": ("1995-06-01", "female"),
    "nhs_health_check": ("1975-06-01", "female"),
}


@dataclass(frozen=True)
class Case:
    """One person of a spec: what is on record, and what the row says; ``expected`` is None for no row."""

    programme: str
    entries: str
    expected: str | None
    born: str
    sex: str
    registered: str
    as_of: dt.date
    told: tuple[tuple[str, object], ...]

    @property
    def name(self) -> str:
        """The case in words, for the message of a test that fails."""
        told = [self.programme, self.born, self.sex, self.registered, self.entries, "->", str(self.expected)]
        return " ".join(part for part in told if part)


def case(
    programme: str,
    entries: str,
    expected: str | None,
    *,
    born: str = "",
    sex: str = "",
    registered: str = "2015-01-01",
    as_of: dt.date = AS_OF,
    **told: object,
) -> Case:
    """A case: entries as ``codelist date value, ...``; ``told`` names columns of the row and what they must hold."""
    return Case(programme, entries, expected, born, sex, registered, as_of, tuple(told.items()))


SPECS: dict[str, tuple[Case, ...]] = {}
"""Every spec by name: run in one query a date, since a query costs more than its rows."""


def spec(cases: Callable[[], tuple[Case, ...]]) -> Callable[[], tuple[Case, ...]]:
    """Registers the cases of one spec under the name of their function."""
    SPECS[cases.__name__] = cases()
    return cases


def differences(name: str) -> dict[str, object]:
    """The cases of one spec whose row is not as expected, with what was found."""
    rows = _rows(tuple(case for cases in SPECS.values() for case in cases))
    wrong: dict[str, object] = {}
    for each in SPECS[name]:
        row = rows[each]
        got = f"{row['state']} {row['grade']}" if row else None
        strange = {column: row.get(column) for column, value in each.told if row.get(column) != value}
        if got != each.expected or strange:
            wrong[each.name] = (got, strange)
    return wrong


@cache
def _rows(cases: tuple[Case, ...]) -> dict[Case, dict[str, object]]:
    """Each case's row of programme_states; an empty one where there is no row."""
    found: dict[Case, dict[str, object]] = {}
    for as_of in sorted({each.as_of for each in cases}):
        dated = [each for each in cases if each.as_of == as_of]
        states = _states(tuple(dated), as_of)
        rows = {(row["person_id"], row["programme"]): row for row in states.iter_rows(named=True)}
        found |= {each: rows.get((number, each.programme), {}) for number, each in enumerate(dated, start=1)}
    return found


def _states(cases: tuple[Case, ...], as_of: dt.date) -> pl.DataFrame:
    """The states of all cases of one as-of date, one person a case, numbered from 1."""
    people, events, medicines = [], [], []
    for number, each in enumerate(cases, start=1):
        birth, sex = BIRTHS.get(each.programme, ("1966-06-01", "male"))
        people.append(f"{number} | {each.born or birth} | {each.sex or sex} | {each.registered}")
        for entry in filter(None, each.entries.split(", ")):
            codelist, day, *value = entry.split(" ")
            if codelist.endswith("_vaccine") or codelist in MEDICINES:
                medicines.append(f"{number} | {codelist} | {day}")
            else:
                concept = codelist if codelist.isdigit() else codes_of(codelist)[0]
                events.append(f"{number} | {concept} | {day} | {value[0] if value else ''}")
    return answer(
        "programme_states",
        as_of=as_of,
        registrations="\n".join(["person_id | birth_date | sex | registered_date", *people]),
        events="\n".join(["person_id | concept_id | event_date | value", *events]),
        medications="\n".join(["person_id | codelist | issued_date", *medicines]),
    )


MEDICINES = {"statin", "inhaled_respiratory"}
