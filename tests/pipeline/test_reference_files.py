"""Reference files: closed practices, dated networks, postcode directories, areas of two censuses; real ones too."""

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.identity import make_key
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.settings import Settings
from tests.lib.counting import uncounted_files

SHARED = os.environ.get("CASEFINDER_SHARED_DATA")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    make_key(settings.key_file)
    (settings.landing / "reference").mkdir(parents=True)
    return settings


def land(settings: Settings, **files: str) -> IngestReport:
    """What an ingest of these reference files did; each physical record is accounted for."""
    for name, text in files.items():
        (settings.landing / "reference" / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    report = ingest(settings)
    assert uncounted_files(settings.home) == []
    return report


def practice(code: str, *, closed: str = "", status: str = "A") -> str:
    """A line of epraccur with 27 places."""
    given = {1: code, 2: f"{code} SURGERY", 4: "QE1", 12: closed, 13: status, 26: "4"}
    return ",".join(f'"{given.get(place, "")}"' for place in range(1, 28)) + "\n"


def partner(code: str, pcn: str, joined: str, left: str = "") -> str:
    """A line of the networks' partners with 11 places."""
    place = "91X,NHS SOMEWHERE ICB - 91X"
    return f"{code},{code} SURGERY,{place},{pcn},NETWORK,{place},{joined},{left},True\n"


def read(settings: Settings, name: str) -> pl.DataFrame:
    """A reference table, checked against its contract."""
    table = pl.read_parquet(settings.history / f"{name}.parquet")
    CONTRACTS[name].validate(table)
    return table


def held(report: IngestReport) -> dict[tuple[str, str], int]:
    """Quarantined records by table and rule."""
    return {(row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()}


def test_status_is_a_letter_or_a_word_and_closing_dates_are_kept(settings: Settings) -> None:
    lines = [
        practice("A00001"),
        practice("A00002", status="ACTIVE"),
        practice("A00003", closed="20240331", status="C"),
        practice("A00004", closed="20240331", status="INACTIVE"),
        practice("A00005", status="D"),
        practice("A00006", status="P"),
        practice("A00007", status="X"),
        practice("A00008", closed="31/03/2024", status="C"),
        practice("A00009", status=""),
    ]
    report = land(settings, epraccur="".join(lines))
    found = read(settings, "practices").select("practice_code", "status", "closed_date").rows()
    assert found == [
        ("A00001", "active", None),
        ("A00002", "active", None),
        ("A00003", "closed", dt.date(2024, 3, 31)),
        ("A00004", "closed", dt.date(2024, 3, 31)),
        ("A00005", "dormant", None),
        ("A00006", "proposed", None),
    ]
    assert held(report) == {("epraccur", "status_not_known_word"): 2, ("epraccur", "date_not_readable"): 1}


def test_practice_has_the_network_it_is_in_else_the_last_one(settings: Settings) -> None:
    partners = [
        partner("A00001", "U00001", "20190701", "20210331"),
        partner("A00001", "U00002", "20210401"),
        partner("A00002", "U00001", "20190701", "20230331"),
        partner("A00002", "U00003", "20200101", "20200630"),
        partner("A00003", "U00004", "20200101"),
        partner("A00003", "U00005", "20220101"),
    ]
    practices = "".join(practice(f"A0000{n}") for n in range(1, 5))
    report = land(settings, epraccur=practices, epcncorepartnerdetails="".join(partners))
    found = read(settings, "practices").select("practice_code", "pcn_code", "pcn_joined_date", "pcn_left_date").rows()
    assert found == [
        ("A00001", "U00002", dt.date(2021, 4, 1), None),
        ("A00002", "U00001", dt.date(2019, 7, 1), dt.date(2023, 3, 31)),
        ("A00003", "U00005", dt.date(2022, 1, 1), None),
        ("A00004", None, None, None),
    ]
    assert report.totals["superseded"] == 3


ONSPD_2024 = """pcd,pcd2,pcds,dointr,doterm,lsoa11,lsoa21,lat
"ZZ1 1AA","ZZ1  1AA","ZZ1 1AA","198001","","E01000001","E01000001","51.5"
"ZZ1 1AB","ZZ1  1AB","ZZ1 1AB","198001","202001","E01000002","E01099999","51.5"
"""
ONSPD_2025 = """pcd7,pcd8,pcds,dointr,doterm,usrtypind,lsoa21cd,msoa21cd
"ZZ1 1AA","ZZ1  1AA","ZZ1 1AA","198001","","0","E01000001","E02000001"
"ZZ1 1AC","ZZ1  1AC","ZZ1 1AC","198001","","0","","E02000001"
"""


@pytest.mark.parametrize(("text", "loaded", "missing"), [(ONSPD_2024, 2, 0), (ONSPD_2025, 1, 1)])
def test_whole_ons_directory_gives_the_two_columns(settings: Settings, text: str, loaded: int, missing: int) -> None:
    report = land(settings, epraccur=practice("A00001"), postcodes=text)
    assert not report.refused
    (file,) = report.files.filter(pl.col("table") == "postcodes").to_dicts()
    assert (file["loaded"], file["quarantined"]) == (loaded, missing)
    postcodes = pl.read_parquet(settings.identity / "feeds" / "postcodes.parquet")
    assert postcodes.row(0) == ("ZZ11AA", "E01000001")


def test_whole_nhs_directory_is_read_by_position(settings: Settings) -> None:
    places = {1: "ZZ1  1AD", 2: "ZZ1 1AD", 40: "E01000009", 48: "E01000001"}
    line = ",".join(f'"{places.get(place, "")}"' for place in range(1, 50)) + "\r\n"
    report = land(
        settings, epraccur=practice("A00001"), nhs_postcodes=line + line[:-5] + "\r\n", postcodes=ONSPD_2024
    )
    assert held(report) == {("nhs_postcodes", "too_narrow"): 1}
    postcodes = pl.read_parquet(settings.identity / "feeds" / "postcodes.parquet")
    assert dict(postcodes.rows())["ZZ11AD"] == "E01000001"


DECILE = "Index of Multiple Deprivation (IMD) Decile (where 1 is most deprived 10% of LSOAs)"


def test_deprivation_of_2019_reaches_the_areas_of_2021_where_it_is_one_answer(settings: Settings) -> None:
    imd2019 = f"LSOA code (2011),{DECILE}\n" + "".join(f"E0100000{n},{n}\n" for n in range(1, 6))
    imd2025 = f"LSOA code (2021),{DECILE}\nE01000001,9\n"
    successors = (
        "LSOA11CD,LSOA11NM,CHGIND,LSOA21CD\n"
        "E01000001,Same,U,E01000001\n"
        "E01000002,Split,S,E01100021\nE01000002,Split,S,E01100022\n"
        "E01000003,Merged,M,E01100034\nE01000004,Merged,M,E01100034\n"
        "E01000009,Unknown,U,E01100009\n"
    )
    report = land(settings, epraccur=practice("A00001"), imd2019=imd2019, imd2025=imd2025, lsoa11_lsoa21=successors)
    assert report.totals["quarantined"] == 0
    lsoas = {code: (decile, edition) for code, decile, edition in read(settings, "lsoas").rows()}
    assert lsoas["E01000001"] == (9, "2025")
    assert lsoas["E01100021"] == lsoas["E01100022"] == (2, "2019")
    assert "E01100034" not in lsoas
    assert lsoas["E01000004"] == (4, "2019")


def _published_areas(data: Path, folder: Path) -> None:
    """Deprivation of both editions and the lookup between censuses, as CSV with the publishers' headers."""
    for year, census in (("2019", "11"), ("2025", "21")):
        areas = pl.read_parquet(data / "imd" / f"imd{year}_england_lsoa{census}.parquet")
        areas.select(
            pl.col(f"lsoa{census}_code").alias(f"LSOA code (20{census})"),
            pl.col("IMD_decile").cast(pl.Int64).alias(DECILE),
        ).write_csv(folder / f"imd{year}.csv")
    lookup = pl.read_parquet(data / "geo" / "lookup_lsoa11_lsoa21_ltla22.parquet")
    lookup.select(LSOA11CD="lsoa11_code", LSOA21CD="lsoa21_code").write_csv(folder / "lsoa11_lsoa21.csv")


@pytest.mark.shared_data
@pytest.mark.skipif(SHARED is None, reason="CASEFINDER_SHARED_DATA is not set: the published files are not here")
def test_published_practices_and_areas_load(settings: Settings) -> None:
    data, folder = Path(str(SHARED)), settings.landing / "reference"
    _published_areas(data, folder)
    (folder / "epraccur.csv").write_bytes((data / "ods" / "epraccur.csv").read_bytes())
    partners = (data / "ods" / "ePCN_2022_PCN_Core_Partner_Details.csv").read_bytes()
    (folder / "epcncorepartnerdetails.csv").write_bytes(partners)
    report = ingest(settings)
    assert not report.refused
    practices = read(settings, "practices")
    assert dict(practices.group_by("status").len().rows())["closed"] == 3_503
    assert practices.filter(pl.col("status") == "closed")["closed_date"].null_count() == 0
    editions = dict(read(settings, "lsoas").group_by("imd_edition").len().rows())
    assert editions["2025"] == 33_755
    counts = {row["table"]: row for row in report.files.to_dicts()}
    assert counts["epraccur"]["records"] == 15_971
    assert practices.height == counts["epraccur"]["loaded"] > 6_000
    partners = counts["epcncorepartnerdetails"]
    assert (partners["records"], partners["quarantined"]) == (7_455, 0)
    assert practices["pcn_code"].count() > 6_000
