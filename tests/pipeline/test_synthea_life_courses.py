"""The same job on records that others made: whole life courses, and the UK fork's zip, from landing to a release."""

import datetime as dt
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import HISTORY
from pipelines.definitions import defs
from pipelines.defs.headless import run_job
from pipelines.io.identity import make_key, read_people
from pipelines.io.landing.ingest import ingest
from pipelines.io.ledger import OUTCOMES, prove, read_ledger
from pipelines.io.releases import verify_release
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from tests.lib.workspaces import list_practices

SHARED = Path(os.environ.get("CASEFINDER_SHARED_DATA", "/nowhere"))
ICB, LIFE_COURSES, UK_FORK = "QZZ", "Y90001", "Y90002"
AS_OF = dt.date(2025, 9, 29)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(
        not (SHARED / "synthea").is_dir(), reason="needs Synthea files: set CASEFINDER_SHARED_DATA to their folder"
    ),
]

OUTCOMES_BY_TABLE = {
    (LIFE_COURSES, "patients"): (3_398, 3_398, 0, 0, 0),
    (LIFE_COURSES, "encounters"): (387_521, 385_402, 2_119, 0, 0),
    (LIFE_COURSES, "conditions"): (391_910, 391_822, 0, 88, 0),
    (LIFE_COURSES, "procedures"): (813_148, 787_244, 0, 25_904, 0),
    (LIFE_COURSES, "observations"): (1_331_274, 168_518, 962_510, 200_246, 0),
    (LIFE_COURSES, "immunizations"): (205_747, 89_648, 116_099, 0, 0),
    (LIFE_COURSES, "medications"): (146_349, 58_528, 87_626, 195, 0),
    (LIFE_COURSES, "careplans"): (31_710, 0, 0, 0, 31_710),
    (UK_FORK, "patients"): (1_000, 1_000, 0, 0, 0),
    (UK_FORK, "encounters"): (48_144, 48_114, 30, 0, 0),
    (UK_FORK, "conditions"): (512, 512, 0, 0, 0),
    (UK_FORK, "procedures"): (0, 0, 0, 0, 0),
    (UK_FORK, "observations"): (182_242, 23_062, 159_180, 0, 0),
    (UK_FORK, "immunizations"): (20_467, 4_040, 16_427, 0, 0),
    (UK_FORK, "medications"): (375, 375, 0, 0, 0),
    (UK_FORK, "careplans"): (512, 0, 0, 0, 512),
    (UK_FORK, "devices"): (715, 0, 0, 0, 715),
    (UK_FORK, "organizations"): (689, 0, 0, 0, 689),
    (UK_FORK, "providers"): (689, 0, 0, 0, 689),
    (UK_FORK, "allergies"): (0, 0, 0, 0, 0),
    (UK_FORK, "imaging_studies"): (0, 0, 0, 0, 0),
    (UK_FORK, "supplies"): (0, 0, 0, 0, 0),
}
"""Records, loaded, quarantined, superseded, blank; counted from the files apart from this code."""
RULES = {
    (LIFE_COURSES, "encounters", "code_not_mapped"): 1_863,
    (LIFE_COURSES, "encounters", "discharged_before_admission"): 1,
    (LIFE_COURSES, "encounters", "stay_too_long"): 255,
    (LIFE_COURSES, "immunizations", "code_not_mapped"): 116_099,
    (LIFE_COURSES, "medications", "code_not_mapped"): 87_626,
    (LIFE_COURSES, "observations", "code_not_mapped"): 962_510,
    (UK_FORK, "encounters", "date_before_birth"): 30,
    (UK_FORK, "immunizations", "code_not_mapped"): 16_427,
    (UK_FORK, "observations", "code_not_mapped"): 159_180,
    (UK_FORK, "observations", "date_before_birth"): 90,
}
HISTORY_ROWS = {
    "registrations": 4_398,
    "events": 1_468_548,
    "medications": 58_903,
    "contacts": 390_705,
    "spells": 4_904,
    "emergency_attendances": 37_907,
}


def _copy_files(settings: Settings) -> None:
    """The parquet files in one practice's folder, the zip in another's, and a list of these two practices."""
    first, second = (settings.landing / "synthea" / practice for practice in (LIFE_COURSES, UK_FORK))
    for folder in (first, second):
        folder.mkdir(parents=True)
    for path in (SHARED / "synthea").glob("*.parquet"):
        shutil.copyfile(path, first / path.name)
    zipped = SHARED / "nhse-swpc-synthea" / "csv_hypertension_1000.zip"
    shutil.copyfile(zipped, second / zipped.name)
    list_practices(settings, {LIFE_COURSES: ICB, UK_FORK: ICB})


def _answer_opt_outs(settings: Settings) -> None:
    """The national opt-out service's answer for these made-up people: nobody has opted out."""
    numbers = read_people(settings, [ICB]).select("nhs_number").collect()["nhs_number"]
    folder = settings.landing / "national_opt_out"
    folder.mkdir()
    (folder / "X26HC065_20250928_0001.dat").write_text(
        "".join(f"{number},\n" for number in numbers), encoding="ascii"
    )
    ingest(settings)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("life_courses"))
    make_key(settings.key_file)
    _copy_files(settings)
    report = ingest(settings)
    assert not report.refused
    found = {
        (row["practice_code"], row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()
    }
    assert found == RULES
    _answer_opt_outs(settings)
    return settings


def test_ledger_balances_for_every_file_and_member(settings: Settings) -> None:
    ledger = read_ledger(settings.home).filter(pl.col("feed") == "synthea")
    prove(ledger)
    names = ["records", *(name for name in OUTCOMES if name != "deleted")]
    found = {(row["practice_code"], row["table"]): tuple(row[name] for name in names) for row in ledger.to_dicts()}
    assert found == OUTCOMES_BY_TABLE


def test_history_has_these_rows_and_meets_its_contracts(settings: Settings) -> None:
    frames = {name: pl.read_parquet(settings.history / name / f"{ICB}.parquet") for name in HISTORY}
    for name, frame in frames.items():
        HISTORY[name].validate(frame)
    assert {name: frame.height for name, frame in frames.items()} == HISTORY_ROWS
    methods = dict(frames["spells"].group_by("admission_method").len().iter_rows())
    assert methods == {"11": 4_510, "21": 394}
    assert frames["spells"]["diagnosis_codes"].null_count() == 0


def test_made_up_numbers_of_two_practices_do_not_meet(settings: Settings) -> None:
    people = read_people(settings, [ICB]).collect()
    assert people["nhs_number"].n_unique() == people["person_id"].n_unique() == people.height == 4_398


@pytest.fixture(scope="module")
def published(settings: Settings) -> Settings:
    outcome = run_job(defs(), "weekly", settings, partition=AS_OF.isoformat())
    assert outcome.succeeded, outcome.failures
    return settings


def test_a_week_is_published_from_them(published: Settings) -> None:
    assert verify_release(published.releases / AS_OF.isoformat()) == []
    warehouse = Warehouse(published)
    people = warehouse.read("people", AS_OF).collect()
    assert dict(people.group_by("practice_code").len().iter_rows()) == {LIFE_COURSES: 2_599, UK_FORK: 1_000}
    conditions = set(warehouse.read("conditions", AS_OF).collect()["condition"])
    assert {"hypertension", "diabetes", "asthma", "copd", "heart_failure", "cancer", "dementia"} <= conditions
    for table in ("cambridge_scores", "lifestyle_flags", "non_responders", "complex_care", "target_lists"):
        assert warehouse.read(table, AS_OF).select(pl.len()).collect().item() > 0
