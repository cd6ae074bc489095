"""The sets of codes that are taken out of GP and hospital records before anything is computed from them, as data."""

from functools import cache

import polars as pl
from pydantic import BaseModel, ConfigDict

from data_contracts.clinical.definitions import read_definition, read_definition_csv
from data_contracts.codelists import is_valid_sctid
from data_contracts.yaml_text import parse_yaml


class SensitiveSet(BaseModel):
    """One set: its name, what it is about, and the SNOMED CT reference set that lists all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    refset_id: str


@cache
def load_sensitive_sets() -> dict[str, SensitiveSet]:
    """Every set by name, in the file's order."""
    entries = parse_yaml(read_definition("sensitive/sets.yaml"))
    return {entry["name"]: SensitiveSet(**entry) for entry in entries}


@cache
def starter_codes() -> pl.DataFrame:
    """One row per set and public code: set, concept_id.

    Raises:
        ValueError: a code fails its check digit, or a set is not known.
    """
    rows = read_definition_csv("sensitive/starter.csv")
    bad = [code for code in rows["code"] if not is_valid_sctid(code)]
    unknown = sorted(set(rows["set"]) - set(load_sensitive_sets()))
    if bad or unknown:
        raise ValueError(f"sensitive/starter.csv: {len(bad)} codes fail the check digit; unknown sets: {unknown}")
    return rows.select("set", concept_id=pl.col("code").cast(pl.Int64))


@cache
def hospital_codes() -> pl.DataFrame:
    """One row per set and group of hospital codes: set, column of a spell, prefix (a pattern), replaced_by.

    Raises:
        ValueError: a set is not known.
    """
    rows = read_definition_csv("sensitive/hospital.csv")
    unknown = sorted(set(rows["set"]) - set(load_sensitive_sets()))
    if unknown:
        raise ValueError(f"sensitive/hospital.csv: unknown sets: {unknown}")
    return rows.select("set", "column", "prefix", "replaced_by")
