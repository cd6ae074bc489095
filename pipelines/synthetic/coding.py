"""The codes that made-up records use, drawn from the project's codelists by name, with how often each is used."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

from data_contracts.codelists import CODELISTS, load_provenance
from pipelines.synthetic.world import Ints, World, read_table

FALL_OFF = 0.35
"""Each next code of a list is used this much as often as the one before: a habit of records, not a clinical fact."""


@dataclass(frozen=True)
class Coding:
    """All codes in use: concept ids, and for each codelist its run of rows and their running shares."""

    concept_ids: Ints
    terms: list[str]
    is_medicine: list[bool]
    units: list[str | None]
    codelists: dict[str, tuple[int, int]]

    def draw(self, codelist: str, count: int, draw: np.random.Generator) -> Ints:
        """Rows of ``concept_ids`` for this many entries of a codelist, common codes most often."""
        first, number = self.codelists[codelist]
        if number == 1:
            return np.full(count, first)
        weights = np.cumsum(FALL_OFF ** np.arange(number))
        return first + np.searchsorted(weights / weights[-1], draw.random(count))

    def first(self, codelist: str) -> int:
        """Row of a codelist's most used code."""
        return self.codelists[codelist][0]

    def has(self, codelist: str) -> bool:
        """True if the codelist exists."""
        return codelist in self.codelists


@cache
def load_coding() -> Coding:
    """The codes of every codelist, and of every ethnic group under ``ethnic group <letter>``."""
    ids: list[int] = []
    terms: list[str] = []
    runs: dict[str, tuple[int, int]] = {}
    for (codelist,), rows in _codelists().group_by("codelist", maintain_order=True):
        runs[str(codelist)] = (len(ids), rows.height)
        ids.extend(rows["code"].to_list())
        terms.extend(rows["term"].to_list())
    for (group,), rows in _ethnic_groups().group_by("ethnic_group", maintain_order=True):
        runs[f"ethnic group {group}"] = (len(ids), rows.height)
        ids.extend(rows["code"].to_list())
        terms.extend(rows["term"].to_list())
    medicines = set(read_table("medicines")["medicine"])
    drug = [
        row for name, (first, number) in runs.items() if name in medicines for row in range(first, first + number)
    ]
    flags = np.isin(np.arange(len(ids)), drug).tolist()
    return Coding(np.array(ids, dtype=np.int64), terms, flags, _units(runs, len(ids)), runs)


def _units(runs: dict[str, tuple[int, int]], count: int) -> list[str | None]:
    """The unit of every code, None where values have none; a pressure is measured under two codelists."""
    units: list[str | None] = [None] * count
    for measure, unit in read_table("measures").select("measure", "unit").iter_rows():
        for name in ["systolic_bp", "diastolic_bp"] if measure == "blood_pressure" else [measure]:
            first, number = runs[name]
            units[first : first + number] = [unit] * number
    return units


def _codelists() -> pl.DataFrame:
    """One row per codelist and code, in the files' order: the first code of a list is the one most used."""
    schema = {"codelist": pl.String, "code": pl.Int64, "term": pl.String}
    files_in_use = [CODELISTS / entry.file for entry in load_provenance()]
    return pl.concat([pl.read_csv(file.read_text("utf-8").encode(), schema=schema) for file in files_in_use])


def ethnic_code_rows(world: World, coding: Coding, group: Ints, draw: np.random.Generator) -> Ints:
    """Rows of ``concept_ids`` for these ethnic groups."""
    letters = world.tables["ethnic_groups"]["ethnic_group"].to_list()
    rows = np.empty(len(group), dtype=np.int64)
    for place, letter in enumerate(letters):
        asked = group == place
        rows[asked] = coding.draw(f"ethnic group {letter}", int(asked.sum()), draw)
    return rows


def _ethnic_groups() -> pl.DataFrame:
    """One row per ethnic category and SNOMED CT concept."""
    path = files("data_contracts.clinical") / "ethnic_groups.csv"
    return pl.read_csv(path.read_text("utf-8").encode()).select("ethnic_group", "code", "term")
