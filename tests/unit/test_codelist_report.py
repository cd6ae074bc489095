"""The codelist report, and that a week counts by the lists that were loaded."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.codelist_report import report_codelists
from pipelines.io.codelists import ListOrigin, load_files
from pipelines.io.ledger import LEDGER, ledger_path
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from tests.lib.tables import AS_OF, table

LOCAL_CODE = 75367002


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Forty people at two practices: ten of each have hypertension, by a shipped and by an unknown code."""
    made = Warehouse(Settings(home=tmp_path))
    people = [(person, "P1" if person <= 20 else "P2") for person in range(1, 41)]
    rows = "\n".join(f"{person} | {practice}" for person, practice in people)
    made.write("registrations", AS_OF, "QE1", table("registrations", f"person_id | practice_code\n{rows}"))
    ill = "\n".join(f"{person} | {practice} | hypertension | 2020-01-01" for person, practice in people if person % 2)
    events = table("events", f"person_id | practice_code | codelist | event_date\n{ill}")
    unknown = pl.when(pl.col("practice_code") == "P2").then(LOCAL_CODE).otherwise("concept_id")
    made.write("events", AS_OF, "QE1", events.with_columns(concept_id=unknown))
    files = [("emis", "P1"), ("systmone", "P2"), ("hospital", None)]
    ledger = [
        dict.fromkeys(LEDGER) | {"feed": feed, "practice_code": code, "status": "loaded", "ingest": 1}
        for feed, code in files
    ]
    pl.DataFrame(ledger, schema=LEDGER).write_parquet(ledger_path(tmp_path))
    return made


def hypertension(warehouse: Warehouse) -> dict[str, tuple[int, int, float]]:
    found = report_codelists(warehouse, AS_OF).prevalence.filter(pl.col("register") == "hypertension")
    return {row[0]: row[1:] for row in found.select("supplier", "registered", "on_register", "percent").rows()}


def test_report_names_codes_on_no_list_and_lists_without_a_match(warehouse: Warehouse) -> None:
    report = report_codelists(warehouse, AS_OF)
    assert report.unknown.rows() == [("events", str(LOCAL_CODE), 10)]
    assert report.coverage.filter(table="events")["percent_of_rows_on_a_list"].to_list() == [50.0]
    idle = set(report.unmatched["codelist"])
    assert "diabetes" in idle
    assert "hypertension" not in idle


def test_prevalence_stands_by_supplier_beside_the_published_figure(warehouse: Warehouse) -> None:
    assert hypertension(warehouse) == {"emis": (20, 10, 50.0)}
    published = report_codelists(warehouse, AS_OF).prevalence
    assert published.select("published_percent", "published_year").row(0) == (13.93, "2020-21")


def test_week_counts_by_the_lists_that_were_loaded(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "hypertension.csv"
    path.write_text(f"code\n38341003\n{LOCAL_CODE}\n", encoding="utf-8")
    load_files(warehouse.settings, [path], ListOrigin(dt.date(2026, 1, 1), "ours", "ours"))
    assert hypertension(warehouse) == {"emis": (20, 10, 50.0), "systmone": (20, 10, 50.0)}
