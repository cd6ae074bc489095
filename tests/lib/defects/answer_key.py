"""Ingests one made-up landing folder twice, clean and with every kind of defect, and gives the answer key."""

import shutil
from collections import Counter
from pathlib import Path

import polars as pl

from pipelines.io.landing.ingest import ingest
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from tests.lib.defects.clinical import ClinicalPlanter
from tests.lib.defects.deliveries import DeliveryPlanter
from tests.lib.defects.emis import EmisPlanter
from tests.lib.defects.grading import Grader, held_records, pseudonyms
from tests.lib.defects.hospital import HospitalPlanter
from tests.lib.defects.planting import Planter, Row
from tests.lib.defects.systmone import CHILDREN, FIRST, SetPlanter, SystmonePlanter, unpack
from tests.lib.workspaces import AS_OF, land

ROW_PRACTICES = 8


def plant(folder: Path, *, each: int = 3, people: int = 1200, practices: int = 23, seed: int = 5) -> Grader:
    """Two ingestions of made-up extracts, one with defects planted ``each`` times or more, and the answer key."""
    clean = land(folder / "clean", people=people, practices=practices, seed=seed)
    marred = Settings(home=folder / "marred")
    shutil.copytree(clean.home, marred.home)
    ingest(clean)
    _make_week(clean)
    planter = Planter(marred.landing, seed)
    emis = _emis_planter(planter, _counted(clean))
    emis.plant(each)
    ClinicalPlanter(emis).plant(each)
    HospitalPlanter(planter, _listed(planter, emis)).plant(each + 1)
    planter.write()
    ingest(marred)
    largest, *others = _by_size(planter)
    DeliveryPlanter(emis, [largest, *others[ROW_PRACTICES:]]).plant()
    ingest(marred)
    _make_week(marred)
    return Grader(clean, marred, planter.key)


def plant_systmone(folder: Path, *, each: int = 2, people: int = 1100, practices: int = 15, seed: int = 7) -> Grader:
    """As ``plant``, of SystmOne's sets: defects of records at six practices, of whole sets at the others."""
    formats = ("systmone", "reference", "hospital")
    clean = land(folder / "clean", people=people, practices=practices, seed=seed, formats=formats)
    unpack(clean.landing)
    marred = Settings(home=folder / "marred")
    shutil.copytree(clean.home, marred.home)
    ingest(clean)
    _make_week(clean)
    planter = Planter(marred.landing, seed)
    found = _systmone_planter(planter, clean)
    found.plant(each)
    planter.write()
    ingest(marred)
    others = sorted({path.parent.name for path in planter.landing.glob("systmone/*/*")} - set(found.rows))
    SetPlanter(planter, others).plant()
    ingest(marred)
    _make_week(marred)
    return Grader(clean, marred, planter.key)


def _systmone_planter(planter: Planter, clean: Settings) -> SystmonePlanter:
    paths = sorted(planter.landing.glob("systmone/*/*/SRPatient.csv"))
    patients = {path.parts[-3]: planter.sheet(path).rows for path in paths}
    rows = sorted(patients, key=lambda practice: (-len(patients[practice]), practice))[:6]
    counts = Counter(row["NHSNumber"] for own in patients.values() for row in own)
    single = {number for number, records in counts.items() if records == 1}
    loaded = {}
    for history in ("registrations", *sorted(set(CHILDREN.values()))):
        tables = [table for table, name in CHILDREN.items() if name == history] or ["SRPatientRegistration"]
        sheets = [
            (practice, table, planter.landing / "systmone" / practice / FIRST / f"{table}.csv")
            for practice in rows
            for table in tables
        ]
        messages = [
            f"{practice}|{table}|{row['RowIdentifier']}"
            for practice, table, path in sheets
            for row in planter.sheet(path).rows
        ]
        held = {
            one for path in (clean.history / history).glob("*.parquet") for one in pl.read_parquet(path)["record_id"]
        }
        ids = pseudonyms(clean, messages)
        loaded[history] = {message for message, one in zip(messages, ids, strict=True) if one in held}
    return SystmonePlanter(planter, rows, single, single - _at_hospital(planter), loaded, set(held_records(clean)))


def _at_hospital(planter: Planter) -> set[str]:
    """NHS numbers in the hospital files."""
    return {
        line.split("|")[0]
        for path in (planter.landing / "hospital").glob("*.txt")
        for line in path.read_text("utf-8").splitlines()
    }


def _counted(settings: Settings) -> set[str]:
    """The made-up NHS numbers of the people of the week."""
    people = Warehouse(settings).read("people", AS_OF).select("person_id").collect()
    known = pl.concat([pl.read_parquet(path) for path in (settings.identity / "people").glob("*.parquet")])
    return set(known.join(people, on="person_id", how="semi")["nhs_number"])


def _make_week(settings: Settings) -> None:
    for table in ("measurements", "conditions"):
        build_tables(Warehouse(settings), AS_OF, upto=table)


def _patients(planter: Planter) -> dict[str, list[Row]]:
    """The patients of each practice."""
    folders = sorted((planter.landing / "emis").iterdir())
    return {folder.name: planter.sheet(next(folder.glob("*_Admin_Patient_*.csv"))).rows for folder in folders}


def _by_size(planter: Planter) -> list[str]:
    patients = _patients(planter)
    return sorted(patients, key=lambda practice: (-len(patients[practice]), practice))


def _emis_planter(planter: Planter, counted: set[str]) -> EmisPlanter:
    counts = Counter(row["NhsNumber"] for rows in _patients(planter).values() for row in rows)
    at_hospital = _at_hospital(planter)
    single = {number for number, records in counts.items() if records == 1}
    return EmisPlanter(planter, _by_size(planter)[1 : ROW_PRACTICES + 1], single, single - at_hospital, counted)


def _listed(planter: Planter, emis: EmisPlanter) -> set[str]:
    return {row["NhsNumber"] for rows in _patients(planter).values() for row in rows if emis.is_plain(row)}
