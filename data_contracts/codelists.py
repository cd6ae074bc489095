"""Loads codelists and refuses those that lack a source, a licence, dates or a valid check digit."""

from functools import cache
from importlib.resources import files
from typing import Literal

import polars as pl
import yaml

from data_contracts.provenance import Provenance

CODELISTS = files("data_contracts.clinical") / "codelists"

_DIHEDRAL = [
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
]
_ROTATION = [
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
]


class CodelistFile(Provenance):
    """One codelist file with its provenance."""

    file: str
    system: Literal["SNOMED CT", "dm+d"]


def is_valid_sctid(code: str) -> bool:
    """True if a SNOMED CT id is 6 to 18 digits and ends in its Verhoeff check digit."""
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_DIHEDRAL[check][int(_ROTATION[place % 8][int(digit)])])
    return check == 0


def load_provenance() -> list[CodelistFile]:
    """The provenance of every codelist file that ships, one entry a file."""
    return [CodelistFile(**entry) for entry in yaml.safe_load((CODELISTS / "codelists.yaml").read_text("utf-8"))]


@cache
def load_codelists() -> pl.DataFrame:
    """One row per codelist and code: codelist, concept_id (Int64), term.

    Raises:
        ValueError: a code without a valid check digit, or one twice in a codelist.
    """
    frames = [_read(entry) for entry in load_provenance()]
    codes = pl.concat(frames).sort("codelist", "concept_id")
    repeated = codes.filter(codes.select("codelist", "concept_id").is_duplicated())
    if repeated.height:
        raise ValueError(
            f"codelists: {repeated.height} codes stand twice in {repeated['codelist'].unique().to_list()}"
        )
    return codes


def codes_of(codelist: str) -> list[int]:
    """The concept ids of one codelist, in the file's order: the first is the one most used."""
    ordered = pl.concat([_read(entry) for entry in load_provenance()])
    found = ordered.filter(pl.col("codelist") == codelist)["concept_id"].to_list()
    if not found:
        raise ValueError(f"no codelist named {codelist!r} in {CODELISTS}")
    return found


def _read(entry: CodelistFile) -> pl.DataFrame:
    """One row per codelist and code of one file, check digits verified."""
    text = (CODELISTS / entry.file).read_text("utf-8").encode()
    codes = pl.read_csv(text, schema={"codelist": pl.String, "code": pl.String, "term": pl.String})
    bad = [code for code in codes["code"] if not is_valid_sctid(code)]
    if bad:
        raise ValueError(f"{entry.file}: {len(bad)} codes fail the SNOMED CT check digit, the first is {bad[0]}")
    return codes.with_columns(concept_id=pl.col("code").cast(pl.Int64)).select("codelist", "concept_id", "term")
