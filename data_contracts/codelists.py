"""Loads codelists and refuses those that lack a source, a licence, dates or a valid check digit.

A list that a user has loaded takes the place of the codes that ship, or joins them, as published_lists.csv says.
"""

import datetime as dt
from functools import cache
from importlib.resources import files
from typing import Literal

import polars as pl

from data_contracts.provenance import Provenance
from data_contracts.yaml_text import parse_yaml

CODELISTS = files("data_contracts.clinical") / "codelists"
FIXED = ("type_1_opt_out", "type_1_opt_out_withdrawn")
"""Nobody can load these: a list that took the place of opt-out codes could put an opted-out person on a list."""
LOADED = {"published_list": pl.String, "released": pl.Date, "code": pl.String, "term": pl.String}
"""What a loaded list holds, beside where it comes from."""

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
    return [CodelistFile(**entry) for entry in parse_yaml((CODELISTS / "codelists.yaml").read_text("utf-8"))]


@cache
def load_codelists(only: tuple[str, ...] = ()) -> pl.DataFrame:
    """One row per codelist and code of the files that ship, or of some of them: codelist, concept_id, term.

    Raises:
        ValueError: a code without a valid check digit, or one twice in a codelist.
    """
    frames = [_read(entry) for entry in load_provenance() if not only or entry.file in only]
    codes = pl.concat(frames).sort("codelist", "concept_id")
    repeated = codes.filter(codes.select("codelist", "concept_id").is_duplicated())
    if repeated.height:
        raise ValueError(
            f"codelists: {repeated.height} codes stand twice in {repeated['codelist'].unique().to_list()}"
        )
    return codes


@cache
def published_lists() -> pl.DataFrame:
    """One row per codelist and published list that stands for it: codelist, published_list, rule, left_out."""
    text = files("data_contracts.clinical").joinpath("published_lists.csv").read_text("utf-8")
    return pl.read_csv(text.encode(), infer_schema=False)


@cache
def known_codelists() -> frozenset[str]:
    """The name of every codelist that a definition may use: those that ship and those that wait to be loaded."""
    return frozenset(load_codelists()["codelist"]) | frozenset(published_lists()["codelist"])


def codelists_in_force(loaded: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """One row per codelist and code that counts on the as-of date: codelist, concept_id, term, origin.

    Of each loaded list the latest release up to the date counts. The codes that ship give way once every list that
    replaces them is loaded, or one of the codelist's own name; otherwise they stay beside the loaded ones.
    """
    latest = loaded.filter(pl.col("released") <= as_of).filter(
        pl.col("released") == pl.col("released").max().over("published_list")
    )
    sources = _sources()
    arrived = set(latest["published_list"])
    matched = sources.join(latest, on="published_list", how="inner").filter(
        pl.col("left_out").is_null() | (pl.col("left_out") != pl.col("code"))
    )
    codes = matched.select(
        "codelist",
        "term",
        concept_id=pl.col("code").cast(pl.Int64),
        origin=pl.format("{} of {}", "published_list", "released"),
    )
    kept = load_codelists().filter(pl.col("codelist").is_in(_replaced(sources, arrived)).not_())
    shipped = kept.with_columns(origin=pl.lit("ships with Casefinder"))
    columns = ["codelist", "concept_id", "term", "origin"]
    together = pl.concat([codes.select(columns), shipped.select(columns)])
    return together.sort("codelist", "concept_id", "origin").unique(
        ["codelist", "concept_id"], keep="first", maintain_order=True
    )


def _sources() -> pl.DataFrame:
    """Which published list feeds which codelist; every codelist can also be loaded under its own name."""
    own = pl.DataFrame({"codelist": sorted(known_codelists() - set(FIXED))}).with_columns(
        published_list="codelist", rule=pl.lit("replaces"), left_out=pl.lit(None, dtype=pl.String)
    )
    return pl.concat([own, published_lists().join(own, on=["codelist", "published_list"], how="anti")])


def _replaced(sources: pl.DataFrame, arrived: set[str]) -> list[str]:
    """The codelists whose shipped codes give way to loaded ones."""
    came = pl.col("published_list").is_in(list(arrived))
    by_name = sources.filter(came, pl.col("codelist") == pl.col("published_list"))["codelist"]
    replacing = sources.filter(pl.col("rule") == "replaces", pl.col("codelist") != pl.col("published_list"))
    in_full = replacing.group_by("codelist").agg(came.all().alias("in_full")).filter("in_full")["codelist"]
    return [*by_name, *in_full]


@cache
def _codes_in_order() -> pl.DataFrame:
    return pl.concat([_read(entry) for entry in load_provenance()])


def codes_of(codelist: str) -> list[int]:
    """The concept ids of one codelist, in the file's order: the first is the one most used."""
    found = _codes_in_order().filter(pl.col("codelist") == codelist)["concept_id"].to_list()
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
