"""Loads the stated code mappings of the Synthea feed and refuses those without provenance or with unknown targets."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from data_contracts.codelists import is_valid_sctid, load_codelists
from data_contracts.yaml_text import parse_yaml

FOLDER = files("data_contracts.clinical") / "feeds" / "synthea"

_SCHEMAS: dict[str, dict[str, Any]] = {
    "observations": {
        "loinc_code": pl.String,
        "units": pl.String,
        "codelist": pl.String,
        "concept_id": pl.Int64,
        "multiply_by": pl.Float64,
        "add": pl.Float64,
        "decimals": pl.Int32,
        "unit": pl.String,
        "term": pl.String,
    },
    "observation_values": {
        "loinc_code": pl.String,
        "value": pl.String,
        "codelist": pl.String,
        "concept_id": pl.Int64,
        "term": pl.String,
    },
    "immunisations": {
        "cvx_code": pl.String,
        "codelist": pl.String,
        "concept_id": pl.Int64,
        "term": pl.String,
    },
    "medicines": {
        "rxnorm_code": pl.String,
        "rxnorm_term": pl.String,
        "product_id": pl.Int64,
        "codelist": pl.String,
        "product": pl.String,
        "fit": pl.Enum(["exact", "substance", "class"]),
    },
    "equivalents": {
        "code": pl.String,
        "codelist": pl.String,
        "concept_id": pl.Int64,
        "term": pl.String,
        "reason": pl.String,
    },
    "ethnic_groups": {
        "race": pl.String,
        "ethnicity": pl.String,
        "ethnic_group": pl.String,
        "concept_id": pl.Int64,
        "reason": pl.String,
    },
    "diagnoses": {
        "coding": pl.Enum(["SNOMED CT", "reason"]),
        "code": pl.String,
        "icd10_code": pl.String,
        "is_emergency": pl.Boolean,
        "term": pl.String,
    },
}

_KEYS = {
    "observations": ["loinc_code", "units"],
    "observation_values": ["loinc_code", "value"],
    "immunisations": ["cvx_code"],
    "medicines": ["rxnorm_code"],
    "equivalents": ["code"],
    "ethnic_groups": ["race", "ethnicity"],
    "diagnoses": ["coding", "code"],
}


class MappingFile(BaseModel):
    """Provenance of one mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    maps: str
    source: str
    version: str
    licence: str
    reviewer: str
    effective_from: dt.date
    effective_to: dt.date | None = None


@dataclass(frozen=True)
class Mappings:
    """Every mapping as a frame, one row per source code; columns as in the file of the same name."""

    observations: pl.DataFrame
    observation_values: pl.DataFrame
    immunisations: pl.DataFrame
    medicines: pl.DataFrame
    equivalents: pl.DataFrame
    ethnic_groups: pl.DataFrame
    diagnoses: pl.DataFrame


def load_mapping_provenance() -> list[MappingFile]:
    """The provenance of every mapping file, one entry a file."""
    return [MappingFile(**entry) for entry in parse_yaml((FOLDER / "mappings.yaml").read_text("utf-8"))]


@cache
def load_mappings() -> Mappings:
    """The mappings of the Synthea feed.

    Raises:
        ValueError: a code mapped twice, or to a concept or product that its codelist does not hold.
    """
    return Mappings(**{entry.file.removesuffix(".csv"): _read(entry) for entry in load_mapping_provenance()})


@cache
def mappings_digest() -> str:
    """SHA-256 over the mapping files: when it changes, held rows may find a meaning."""
    digest = hashlib.sha256()
    for entry in sorted(load_mapping_provenance(), key=lambda entry: entry.file):
        digest.update((FOLDER / entry.file).read_bytes())
    return digest.hexdigest()


def _read(entry: MappingFile) -> pl.DataFrame:
    name = entry.file.removesuffix(".csv")
    text = (FOLDER / entry.file).read_text("utf-8").encode()
    mapping = pl.read_csv(text, schema=_SCHEMAS[name])
    repeated = int(mapping.select(_KEYS[name]).is_duplicated().sum())
    if repeated:
        raise ValueError(f"{entry.file}: {repeated} codes are mapped twice; look at {FOLDER}")
    if "codelist" in mapping.columns:
        check_targets(mapping, entry.file)
    return mapping


def check_targets(mapping: pl.DataFrame, file: str) -> None:
    """Passes if every target of a mapping is in the codelist that the mapping names.

    Raises:
        ValueError: some targets are not, or fail the check digit.
    """
    target = "product_id" if "product_id" in mapping.columns else "concept_id"
    known = load_codelists().select("codelist", pl.col("concept_id").alias(target))
    lost = mapping.join(known, on=["codelist", target], how="anti")
    wrong = [code for code in mapping[target].cast(pl.String) if not is_valid_sctid(code)]
    if lost.height or wrong:
        raise ValueError(f"{file}: {lost.height} targets are in no such codelist, {len(wrong)} fail the check digit")
