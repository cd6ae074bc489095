"""Loads published codelists into the workspace and says which codes count on a date; what they mean is elsewhere."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_contracts.clinical.programmes.definition import load_codes
from data_contracts.codelists import FIXED, LOADED, codelists_in_force, is_valid_sctid
from pipelines.io.durable import write_aside
from pipelines.settings import Settings

CODE_COLUMNS = (
    "snomed_code",
    "snomedct_id",
    "snomedcode",
    "snomed_id",
    "conceptid",
    "concept_id",
    "code",
    "dmd_id",
    "id",
)
TERM_COLUMNS = ("snomed_code_description", "term", "name", "description", "dmd_name", "ethnicity")
PROVENANCE = ("source", "licence", "reviewer", "file")
COLUMNS = LOADED | dict.fromkeys(PROVENANCE, pl.String)
REFSET_NAME = "nhsd-primary-care-domain-refsets-"
REFSETS = "NHS England, primary care domain reference sets (TRUD)"
UK_LICENCE = "SNOMED CT UK Edition, free to use in the UK under the national licence"
_DATE = re.compile(r"(?<!\d)(20\d{2})-?([01]\d)-?([0-3]\d)(?!\d)")


@dataclass(frozen=True)
class ListOrigin:
    """What the user says of the files: it goes beside every list, and a list without it does not load."""

    released: dt.date | None = None
    source: str | None = None
    licence: str | None = None
    reviewer: str = "not yet reviewed by a clinician"
    name: str | None = None


@dataclass(frozen=True)
class LoadOutcome:
    """What became of one file: the lists and codes taken from it, or why it was refused."""

    file: str
    lists: int = 0
    codes: int = 0
    refused: str | None = None


def codelists_path(settings: Settings) -> Path:
    """Where the loaded lists lie, every release of each."""
    return settings.home / "codelists.parquet"


def read_loaded(settings: Settings) -> pl.DataFrame:
    """One row per loaded list, release and code, with where it comes from."""
    path = codelists_path(settings)
    return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=COLUMNS)


def in_force(settings: Settings, as_of: dt.date) -> pl.DataFrame:
    """One row per codelist and code that counts in this workspace on the as-of date."""
    return codelists_in_force(read_loaded(settings).select(list(LOADED)), as_of)


def load_files(settings: Settings, paths: Iterable[Path], origin: ListOrigin) -> list[LoadOutcome]:
    """What became of each file; a list loaded again with the same release date takes the place of the earlier one."""
    found: dict[tuple[str, dt.date], pl.DataFrame] = {}
    outcomes = []
    for path in _files(paths):
        try:
            lists = _new_lists(_read(path, origin), found)
            _check_meaning(settings, found | lists)
        except ValueError as error:
            outcomes.append(LoadOutcome(path.name, refused=str(error)))
            continue
        found |= lists
        outcomes.append(LoadOutcome(path.name, len(lists), sum(rows.height for rows in lists.values())))
    if found:
        _store(settings, pl.concat(found.values()))
    return outcomes


def _new_lists(
    rows: pl.DataFrame, found: dict[tuple[str, dt.date], pl.DataFrame]
) -> dict[tuple[str, dt.date], pl.DataFrame]:
    """The lists of one file by name and release.

    Raises:
        ValueError: an earlier file has a list of the same name and date with other codes.
    """
    lists = {
        (str(name), day): part
        for (name, day), part in rows.group_by("published_list", "released", maintain_order=True)
    }
    other = [
        name
        for (name, day), part in lists.items()
        if (name, day) in found and set(found[name, day]["code"]) != set(part["code"])
    ]
    if other:
        raise ValueError(
            f"{', '.join(other)} came in an earlier file of the same date with other codes: load one of them"
        )
    return lists


def _check_meaning(settings: Settings, found: dict[tuple[str, dt.date], pl.DataFrame]) -> None:
    """Passes if with these lists no code says two things in one programme.

    Raises:
        ValueError: the programme, the code and the two lists.
    """
    load_codes(
        codelists_in_force(_beside_held(settings, pl.concat(found.values())).select(list(LOADED)), dt.date.max)
    )


def _beside_held(settings: Settings, rows: pl.DataFrame) -> pl.DataFrame:
    """The lists beside those held of other names and releases."""
    key = ["published_list", "released"]
    kept = read_loaded(settings).join(rows.select(key).unique(), on=key, how="anti")
    return pl.concat([kept, rows]).sort(*key, "code")


def _store(settings: Settings, rows: pl.DataFrame) -> None:
    """Writes the lists beside those of other names and releases."""
    together = _beside_held(settings, rows)
    with write_aside(codelists_path(settings)) as draft:
        together.write_parquet(draft)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and the CSV and text files in the folders named, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in (".csv", ".txt"))
        else:
            yield path


def _read(path: Path, origin: ListOrigin) -> pl.DataFrame:
    """The lists of one file.

    Raises:
        ValueError: it is no codelist of SNOMED CT or dm+d, its codes are spoilt, or nothing says where it comes from.
    """
    table = _table(path)
    columns = {name.strip().lower(): name for name in table.columns}
    if any("ctv3" in name or "readcode" in name for name in columns):
        raise ValueError("holds Read codes; history holds SNOMED CT and dm+d, so load the SNOMED CT version of it")
    code = next((columns[name] for name in CODE_COLUMNS if name in columns), None)
    if code is None:
        raise ValueError(f"has no column of codes: expected one of {', '.join(CODE_COLUMNS)}; found {table.columns}")
    term = next((columns[name] for name in TERM_COLUMNS if name in columns), code)
    is_refsets = "cluster_id" in columns
    rows = table.select(
        published_list=pl.col(columns["cluster_id"]).str.strip_chars()
        if is_refsets
        else pl.lit(_list_name(path, origin)),
        released=pl.lit(_released(path, origin)),
        code=pl.col(code).str.strip_chars().str.strip_prefix("^"),
        term=pl.col(term).str.strip_chars(),
    ).drop_nulls(["published_list", "code"])
    return _checked(rows).with_columns(**_provenance(path, origin, is_refset=is_refsets or _is_refset(path)))


def _table(path: Path) -> pl.DataFrame:
    """The file as text; the refset content of TRUD is separated by tabs."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    first = text.split("\n", 1)[0]
    try:
        return pl.read_csv(
            text.encode(), infer_schema=False, separator="\t" if "\t" in first else ",", truncate_ragged_lines=True
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"cannot be read as a table: {str(error).splitlines()[0]}") from None


def _checked(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, each list and code once, if every code passes its check digit."""
    unique = rows.unique(["published_list", "code"], keep="first", maintain_order=True)
    fixed = sorted(set(unique["published_list"]) & set(FIXED))
    if fixed:
        raise ValueError(f"holds {', '.join(fixed)}: opt-out codes change with Casefinder, never by loading")
    bad = [code for code in unique["code"] if not is_valid_sctid(code)]
    if bad or unique.is_empty():
        raise ValueError(
            f"{len(bad)} of {unique.height} codes are no SNOMED CT or dm+d ids with a right check digit"
            + (f", the first is {bad[0]}" if bad else "")
        )
    return unique


def _released(path: Path, origin: ListOrigin) -> dt.date:
    """The release date that the user gave, or the one in the file's name."""
    dated = _DATE.search(path.name)
    if origin.released:
        return origin.released
    if dated is None:
        raise ValueError("has no release date: give it as --released 2026-01-31")
    return dt.date(*map(int, dated.groups()))


def _list_name(path: Path, origin: ListOrigin) -> str:
    """The name that the user gave, the cluster of a refset file, or the file's own."""
    if origin.name:
        return origin.name
    return path.stem.removeprefix(REFSET_NAME).upper() if _is_refset(path) else path.stem


def _is_refset(path: Path) -> bool:
    return path.name.startswith(REFSET_NAME)


def _provenance(path: Path, origin: ListOrigin, *, is_refset: bool) -> dict[str, pl.Expr]:
    """Where the lists of a file come from, as columns."""
    source, licence = origin.source, origin.licence
    if is_refset:
        source, licence = source or REFSETS, licence or UK_LICENCE
    if not source or not licence:
        raise ValueError("nothing says where it comes from: give --source and --licence")
    return {
        "source": pl.lit(source),
        "licence": pl.lit(licence),
        "reviewer": pl.lit(origin.reviewer),
        "file": pl.lit(path.name),
    }
