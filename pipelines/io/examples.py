"""Example people of the clinical definitions: what they are, and what the SQL makes of them.

A file of examples serves twice: its test runs every example, and its page under docs/definitions shows them.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.clinical.definitions import ethnic_groups
from data_contracts.clinical.reference import reference_tables
from data_contracts.codelists import codes_of, known_codelists, load_codelists, load_provenance
from data_contracts.registry import CONTRACTS
from data_contracts.yaml_text import parse_yaml
from pipelines.io.in_memory import Frames, table_of

BORN = dt.date(1966, 6, 1)
_DATE = re.compile(r"(?P<rest>.*?) ?(?P<date>\d{4}-\d{2}-\d{2})$")
_MADE_UP_CODES = 999_000_000_000_000
"""Stands in for the codes of a list that ships empty and waits to be loaded."""


@dataclass(frozen=True)
class Example:
    """One made-up person, what the definition should say of them and why."""

    person_id: int
    practice_code: str
    definition: str
    expected: Any
    because: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class ExampleFile:
    """The examples of one table's definitions."""

    table: str
    as_of: dt.date
    examples: tuple[Example, ...]

    def answers(self, *names: str) -> list[pl.DataFrame]:
        """The tables that the SQL makes of all these people together."""
        frames, references = _frames(self.examples), _references(self.as_of)
        return [table_of(name, frames, self.as_of, references) for name in names]

    @property
    def definitions(self) -> list[str]:
        """The definitions tried, in the file's order."""
        return list(dict.fromkeys(example.definition for example in self.examples))

    def of(self, definition: str) -> list[Example]:
        """The examples of one definition, in the file's order."""
        return [example for example in self.examples if example.definition == definition]


def load_examples(path: Path) -> ExampleFile:
    """The examples of one file; everybody of one definition is registered at a practice of their own."""
    content = parse_yaml(path.read_text("utf-8"))
    examples: list[Example] = []
    for place, (definition, rows) in enumerate(content["definitions"].items()):
        for expected, because, *facts in rows:
            person = 1 + len(examples)
            known = tuple(str(fact) for fact in facts)
            examples.append(Example(person, f"A{81001 + place}", definition, expected, because, known))
    return ExampleFile(content["table"], content["as_of"], tuple(examples))


def _frames(examples: tuple[Example, ...]) -> Frames:
    """The history of the example people."""
    rows: dict[str, list[dict[str, Any]]] = {"registrations": [], "events": [], "medications": []}
    for example in examples:
        person = {"person_id": example.person_id, "practice_code": example.practice_code}
        registration = {"registered_date": dt.date(2015, 1, 1), "birth_date": BORN, "sex": "female"}
        for table, row in _entries(example.facts):
            if table == "registrations":
                registration |= row
            else:
                rows[table].append(person | row)
        rows["registrations"].append(person | {"registration_type": "regular"} | registration)
    return {table: _frame(table, found) for table, found in rows.items()}


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {name: column.dtype.type for name, column in CONTRACTS[table].to_schema().columns.items()}
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def _entries(facts: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The table and the cells that each fact stands for.

    A fact is ``male``, ``born DATE``, ``registered DATE``, ``ethnic LETTER``, or a codelist with an optional value
    and unit and the date of the entry, such as ``bmi 31.5 kg/m2 2026-01-01``.
    """
    for fact in facts:
        words = fact.split()
        dated = _DATE.match(fact)
        if fact in ("male", "female"):
            yield "registrations", {"sex": fact}
        elif words[0] == "ethnic":
            day = dt.date(2015, 1, 1)
            concept = ethnic_groups().filter(ethnic_group=words[1])["concept_id"][0]
            yield "events", {"concept_id": concept, "event_date": day, "entered_date": day}
        elif dated is None:
            raise ValueError(f"an example says {fact!r}: expected a date at its end, as 2026-01-31")
        else:
            yield _dated_entry(dated["rest"].split(), dt.date.fromisoformat(dated["date"]))


def _dated_entry(words: list[str], day: dt.date) -> tuple[str, dict[str, Any]]:
    if words[0] in ("born", "registered"):
        return "registrations", {"birth_date" if words[0] == "born" else "registered_date": day}
    code = example_code(words[0])
    if words[0] in _medicines():
        return "medications", {"product_id": code, "issued_date": day, "entered_date": day}
    value = float(words[1]) if len(words) > 1 else None
    unit = words[2] if len(words) > 2 else None
    return "events", {"concept_id": code, "event_date": day, "entered_date": day, "value": value, "unit": unit}


def example_code(codelist: str) -> int:
    """The first code of a codelist, or a made-up one if the list ships empty."""
    if codelist in _waiting():
        return _MADE_UP_CODES + _waiting().index(codelist)
    return codes_of(codelist)[0]


@cache
def _waiting() -> list[str]:
    return sorted(known_codelists() - set(load_codelists()["codelist"]))


@cache
def _medicines() -> frozenset[str]:
    """The codelists of medicines, whose codes are issues and not entries."""
    files = [entry.file for entry in load_provenance() if entry.system == "dm+d"]
    return frozenset(load_codelists(tuple(files))["codelist"]) | {"lithium"}


def _references(as_of: dt.date) -> Frames:
    """The definitions, with a made-up code for each list that ships empty."""
    extra = pl.DataFrame({"codelist": _waiting(), "concept_id": [example_code(name) for name in _waiting()]})
    shipped = load_codelists().select("codelist", "concept_id")
    return reference_tables(as_of, codelists=pl.concat([shipped, extra]))
