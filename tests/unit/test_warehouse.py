"""The warehouse: what it builds, refuses, checks and publishes, on two small ICBs."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.io.landing.quarantine import is_private
from pipelines.io.queries import load_query
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from tests.lib.tables import AS_OF, table


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Two ICBs of three people each; only the first has events; nothing else has landed."""
    made = Warehouse(Settings(home=tmp_path, places_in_england=1, registered_in_england=3))
    for icb, first in (("QE1", 1), ("QF7", 11)):
        people = "\n".join(f"{person} | P{icb}" for person in range(first, first + 3))
        made.write("registrations", AS_OF, icb, table("registrations", f"person_id | practice_code\n{people}"))
    for icb, first in (("QE1", 1), ("QF7", 11)):
        events = f"person_id | practice_code | codelist | event_date\n{first} | P{icb} | hypertension | 2020-01-01"
        made.write("events", AS_OF, icb, table("events", events))
    return made


def build_people(warehouse: Warehouse, as_of: dt.date = AS_OF) -> BuildReport:
    return build_tables(warehouse, as_of, upto="people")["people"]


def test_build_writes_one_file_an_icb_and_reports_rows(warehouse: Warehouse) -> None:
    report = build_people(warehouse)
    assert (report.rows_by_icb, report.rows) == ({"QE1": 3, "QF7": 3}, 6)
    assert report.bytes == sum(warehouse.path("people", AS_OF, icb).stat().st_size for icb in warehouse.icb_codes())
    assert warehouse.read("people", AS_OF).collect().height == 6
    assert is_private(warehouse.settings.home / "spill")
    assert warehouse.read("people", AS_OF, "QF7").collect()["icb_code"].to_list() == ["QF7"] * 3


def test_history_that_has_not_landed_is_empty(warehouse: Warehouse) -> None:
    build_people(warehouse)
    assert warehouse.build("conditions", AS_OF).rows_by_icb == {"QE1": 1, "QF7": 1}
    assert warehouse.build("avoidable_admissions", AS_OF).rows == 0
    assert [warehouse.read(name, AS_OF).collect().height for name in ("events", "spells")] == [2, 0]
    assert warehouse.read("spells", AS_OF, "QF7").collect().is_empty()
    assert warehouse.check("spells", AS_OF).is_empty()


def test_same_inputs_give_the_same_bytes(warehouse: Warehouse) -> None:
    build_people(warehouse)
    before = [_bytes(warehouse, name) for name in ("people", "conditions", "people_not_seen")]
    assert before == [_bytes(warehouse, name) for name in ("people", "conditions", "people_not_seen")]


def test_table_that_has_not_been_built_is_named(warehouse: Warehouse) -> None:
    with pytest.raises(FileNotFoundError, match="conditions reads people, which has not been built"):
        warehouse.build("conditions", AS_OF)
    with pytest.raises(FileNotFoundError, match="people of 2026-11-16 has not been built for ICB QE1"):
        warehouse.read("people", AS_OF)


def test_workspace_without_registrations_says_to_ingest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ingest extracts first"):
        Warehouse(Settings(home=tmp_path)).build("people", AS_OF)


def test_ranking_over_all_icbs_writes_each_its_own_people(warehouse: Warehouse) -> None:
    people = build_people(warehouse)
    for number, icb in enumerate(people.rows_by_icb):
        ids = warehouse.read("people", AS_OF, icb).select("person_id").collect()
        warehouse.write("cambridge_scores", AS_OF, icb, _cambridge(ids, score=float(number)))
    warehouse.build("complex_care_ranking", AS_OF)
    assert warehouse.build("complex_care", AS_OF).rows_by_icb == {"QE1": 0, "QF7": 2}
    assert warehouse.read("complex_care", AS_OF).collect()["rank"].to_list() == [1, 2]


def test_check_counts_broken_rules_and_shows_no_value(warehouse: Warehouse) -> None:
    build_people(warehouse)
    assert warehouse.check("people", AS_OF).is_empty()
    people = warehouse.read("people", AS_OF, "QE1").with_columns(
        age_years=pl.lit(177, dtype=pl.Int16), sex=pl.lit("zebra")
    )
    warehouse.write("people", AS_OF, "QE1", people.collect())
    failures = warehouse.check("people", AS_OF)
    assert dict(failures.select("column", "rows").rows()) == {"age_years": 3, "sex": 3}
    assert not any(value in str(failures.to_dicts()) for value in ("177", "zebra"))


def test_check_sees_a_wrong_type_and_a_missing_column(warehouse: Warehouse) -> None:
    build_people(warehouse)
    path = warehouse.path("people", AS_OF, "QE1")
    pl.read_parquet(path).drop("sex").with_columns(pl.col("age_years").cast(pl.Int64)).write_parquet(path)
    assert {"age_years"} <= set(warehouse.check("people", AS_OF)["column"])


def test_failed_write_leaves_the_old_file_and_no_draft(warehouse: Warehouse) -> None:
    build_people(warehouse)
    path = warehouse.path("people", AS_OF, "QE1")
    before = path.read_bytes()
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        warehouse.write("people", AS_OF, "QE1", pl.DataFrame({"person_id": [1]}))
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["QE1.parquet", "QF7.parquet"]


def test_connection_reads_nothing_outside_the_workspace(
    warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(outside)
    build_people(warehouse)
    with warehouse._connection(load_query("people"), AS_OF, ["QE1"]) as connection:
        with pytest.raises(duckdb.PermissionException):
            connection.execute("select * from read_parquet(?)", [str(outside)])
        with pytest.raises(duckdb.InvalidInputException):
            connection.execute("set enable_external_access = true")


def test_catalogue_describes_every_view(warehouse: Warehouse) -> None:
    build_people(warehouse)
    with duckdb.connect(str(warehouse.publish_catalogue(AS_OF)), read_only=True) as connection:
        assert connection.execute("select count(*) from people").fetchone() == (6,)
        views = connection.execute("select view_name, comment from duckdb_views() where not internal").fetchall()
    assert {name for name, _ in views} == {
        *("registrations", "events"),
        *("closed_practices", "dissents", "eligibility", "people"),
    }
    assert all(comment for _, comment in views)


def test_weeks_do_not_mix(warehouse: Warehouse) -> None:
    build_people(warehouse)
    with pytest.raises(FileNotFoundError, match="2026-11-23"):
        warehouse.read("people", dt.date(2026, 11, 23))


def _bytes(warehouse: Warehouse, name: str) -> list[bytes]:
    warehouse.build(name, AS_OF)
    return [warehouse.path(name, AS_OF, icb).read_bytes() for icb in warehouse.icb_codes()]


def _cambridge(people: pl.DataFrame, score: float) -> pl.DataFrame:
    return people.with_columns(
        cambridge_score=pl.lit(score),
        cambridge_mortality_score=pl.lit(score),
        condition_count=pl.lit(1, dtype=pl.Int8),
        conditions=pl.lit("copd"),
    )
