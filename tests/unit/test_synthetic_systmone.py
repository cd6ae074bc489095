"""The made-up SystmOne extract: the supplier's files, code page, parts and quirks; practices shared out as asked."""

import csv
import datetime as dt
import io
import zipfile
from pathlib import Path

import pytest

from pipelines.io.landing.archive_parts import open_archive
from pipelines.synthetic import systmone
from pipelines.synthetic.systmone import BESIDE_THE_ARCHIVE, columns_of
from pipelines.synthetic.world import read_table
from pipelines.synthetic.write import write_extracts

AS_OF = dt.date(2026, 11, 16)


def write(out: Path, *formats: str, practices: int = 2, share: float = 0.25) -> Path:
    """The landing folder of a small population in these formats."""
    write_extracts(
        people=300,
        practices=practices,
        seed=7,
        as_of=AS_OF,
        formats=formats,  # type: ignore[arg-type]
        out=out,
        with_truth=False,
        systmone_share=share,
    )
    return out / "landing"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    landing = write(tmp_path_factory.mktemp("systmone"), "systmone")
    return next((landing / "systmone").glob("*/*_*"))


def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    if table in BESIDE_THE_ARCHIVE:
        content = (folder / f"{table}.csv").read_bytes()
    else:
        with open_archive(folder / "SRExtract.zip") as file, zipfile.ZipFile(file) as archive:
            content = archive.read(f"{table}.csv")
    return list(csv.DictReader(io.StringIO(content.decode("cp1252"), newline="")))


def test_every_table_has_its_columns_quoted_with_windows_ends(folder: Path) -> None:
    with open_archive(folder / "SRExtract.zip") as file, zipfile.ZipFile(file) as archive:
        inside = {Path(name).stem: archive.read(name) for name in archive.namelist()}
    assert set(inside) | set(BESIDE_THE_ARCHIVE) == set(read_table("systmone_tables")["table"])
    for table, content in inside.items():
        first = content.split(b"\r\n")[0].decode("cp1252")
        assert first == ",".join(f'"{column}"' for column in columns_of(table))


def test_the_manifest_names_what_the_archive_holds(folder: Path) -> None:
    manifest = rows_of(folder, "SRManifest")
    with open_archive(folder / "SRExtract.zip") as file, zipfile.ZipFile(file) as archive:
        assert [f"{row['FileName']}.csv" for row in manifest] == archive.namelist()
    assert {row["DateExtractTo"] for row in manifest} == {folder.name}
    assert {row["IsDelta"] for row in manifest} == {"N"}


def test_a_name_shows_the_code_page(folder: Path) -> None:
    assert "Café Rosé" in {row["NameOfBuilding"] for row in rows_of(folder, "SRPatientAddressHistory")}


def test_codes_come_with_and_without_snomed_and_from_other_organisations(folder: Path) -> None:
    codes = rows_of(folder, "SRCode")
    assert {"-1", ""} < {row["SNOMEDCode"] for row in codes}
    assert {row["IDOrganisationVisibleTo"] for row in codes} == {folder.parent.name}
    assert {row["IDOrganisationRegisteredAt"] for row in codes} == {folder.parent.name, systmone.ANOTHER_ORGANISATION}
    mapped = {row["Ctv3Code"] for row in rows_of(folder, "SRCtv3ToSnomed")}
    assert {row["CTV3Code"] for row in codes} - mapped == {"Ymade"}


def test_row_numbers_are_not_repeated_within_a_table(folder: Path) -> None:
    for table in ("SRPatient", "SRCode", "SRPrimaryCareMedication", "SREvent", "SRAppointment"):
        numbers = [row["RowIdentifier"] for row in rows_of(folder, table)]
        assert len(set(numbers)) == len(numbers) > 0, table


def test_a_long_archive_is_cut_and_reads_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = next((write(tmp_path / "whole", "systmone") / "systmone").glob("*/*_*")) / "SRExtract.zip"
    monkeypatch.setattr(systmone, "PART_BYTES", 10_000)
    cut = next((write(tmp_path / "cut", "systmone") / "systmone").glob("*/*_*")) / "SRExtract.zip"
    assert len(list(cut.parent.glob("SRExtract.z[0-9][0-9]"))) > 3
    contents = []
    for archive in (whole, cut):
        with open_archive(archive) as file, zipfile.ZipFile(file) as opened:
            assert opened.testzip() is None
            contents.append({name: opened.read(name) for name in opened.namelist()})
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("share", "number"), [(0.25, 1), (0.5, 2)])
def test_practices_are_shared_out_between_suppliers(tmp_path: Path, share: float, number: int) -> None:
    landing = write(tmp_path, "emis", "systmone", practices=4, share=share)
    found = {supplier: {path.name for path in landing.glob(f"{supplier}/*")} for supplier in ("emis", "systmone")}
    assert len(found["systmone"]) == number
    assert len(found["emis"]) == 4 - number
    assert not found["emis"] & found["systmone"]
