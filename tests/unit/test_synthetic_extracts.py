"""The made-up extracts: right in structure, the same for the same seed, no number outside the test range."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import HISTORY, REFERENCE
from pipelines.io.warehouse import MAY_BE_ABSENT
from pipelines.synthetic.emis import columns_of
from pipelines.synthetic.write import FORMATS, write_extracts

AS_OF = dt.date(2026, 11, 16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    write_extracts(people=600, practices=4, seed=7, as_of=AS_OF, formats=FORMATS, out=out, icbs=2)
    return out


def _emis(made: Path, table: str) -> pl.DataFrame:
    files = sorted((made / "landing" / "emis").glob(f"*/*_{table}_*.csv"))
    return pl.concat([pl.read_csv(file, infer_schema=False) for file in files])


@pytest.mark.parametrize("table", sorted(HISTORY))
def test_history_meets_its_contract_and_order(made: Path, table: str) -> None:
    for file in sorted((made / "history" / table).glob("*.parquet")):
        frame = pl.read_parquet(file)
        HISTORY[table].validate(frame)
        first = ["practice_code", "person_id"]
        assert frame.select(first).equals(frame.select(first).sort(first))
        assert frame["record_id"].is_unique().all()


def test_icbs_made_at_the_same_time_are_those_made_one_by_one(tmp_path: Path) -> None:
    one_by_one, beside = tmp_path / "one_by_one", tmp_path / "beside"
    for out, formats in ((one_by_one, ["history", "reference"]), (beside, ["history"])):
        write_extracts(people=800, practices=8, seed=7, as_of=AS_OF, formats=formats, out=out, icbs=8)
    files = sorted(file.relative_to(one_by_one) for file in (one_by_one / "history").rglob("*.parquet"))
    assert sum("events" in file.parts for file in files) == 8
    for file in files:
        assert (one_by_one / file).read_bytes() == (beside / file).read_bytes(), file


def test_a_slice_of_icbs_is_what_it_is_among_all(made: Path, tmp_path: Path) -> None:
    asked = {"people": 600, "practices": 4, "seed": 7, "as_of": AS_OF, "icbs": 2, "out": tmp_path}
    write_extracts(**asked, formats=["history"], only=["QZB"])
    files = sorted((tmp_path / "history").glob("*/*.parquet"))
    assert {file.name for file in files} == {"QZB.parquet"}
    for file in files:
        assert file.read_bytes() == (made / file.relative_to(tmp_path)).read_bytes(), file
    write_extracts(**asked, formats=["history"], only=["QZA"])
    assert len(list((tmp_path / "history").glob("*/*.parquet"))) == 2 * len(files)
    sizes = Path("history", "list_sizes.parquet")
    assert (tmp_path / sizes).read_bytes() == (made / sizes).read_bytes()


def test_an_icb_that_is_not_planned_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected ICBs among QZA, QZB; found QZC"):
        write_extracts(
            people=600,
            practices=4,
            seed=7,
            as_of=AS_OF,
            formats=["history"],
            out=tmp_path / "new",
            icbs=2,
            only=["QZC"],
        )
    assert not (tmp_path / "new").exists()


def test_reference_tables_meet_their_contracts(made: Path) -> None:
    for table, contract in REFERENCE.items():
        if table not in MAY_BE_ABSENT:
            contract.validate(pl.read_parquet(made / "history" / f"{table}.parquet"))


def test_every_practice_sends_the_whole_fixed_set_quoted_with_windows_ends(made: Path) -> None:
    for folder in (made / "landing" / "emis").iterdir():
        files = sorted(folder.glob("*.csv"))
        assert len(files) == 21
        for file in files:
            _, schema, table, stamp, _ = file.stem.split("_")
            first = file.read_bytes().split(b"\r\n")[0].decode()
            assert first == ",".join(f'"{column}"' for column in columns_of(f"{schema}_{table}"))
            assert len(stamp) == 14


def test_nhs_numbers_are_valid_unique_and_of_the_test_range(made: Path) -> None:
    patients = _emis(made, "Admin_Patient")
    numbers = patients["NhsNumber"]
    assert numbers.str.contains(r"^999\d{7}$").all()
    digits = pl.concat(
        [numbers.str.slice(place, 1).cast(pl.Int64).alias(str(place)).to_frame() for place in range(10)],
        how="horizontal",
    )
    weighed = digits.select(sum((pl.col(str(place)) * (10 - place) for place in range(9)), start=pl.col("9")) % 11)
    assert (weighed.to_series() == 0).all()
    regular = patients.filter((pl.col("PatientTypeDescription") == " Regular") & (pl.col("DateOfDeactivation") == ""))
    assert regular["NhsNumber"].is_unique().all()


def test_patients_are_one_row_a_practice_and_entries_name_them(made: Path) -> None:
    patients = _emis(made, "Admin_Patient")
    assert patients["PatientGuid"].is_unique().all()
    observations = _emis(made, "CareRecord_Observation")
    assert observations["ObservationGuid"].is_unique().all()
    assert observations.join(patients, on="PatientGuid", how="anti").height == 0
    parents = observations.filter(pl.col("ParentObservationGuid") != "")
    assert (
        parents.join(observations, left_on="ParentObservationGuid", right_on="ObservationGuid", how="anti").height
        == 0
    )


def test_pressures_come_in_either_order(made: Path) -> None:
    children = _emis(made, "CareRecord_Observation").filter(pl.col("ParentObservationGuid") != "")
    first = children.group_by("ParentObservationGuid", maintain_order=True).first()["CodeId"]
    assert first.n_unique() == 2


def test_cancelled_slots_have_no_patient(made: Path) -> None:
    slots = _emis(made, "Appointment_Slot")
    assert slots.filter(pl.col("SlotStatus") == "Cancelled")["PatientGuid"].fill_null("").eq("").all()
    assert slots.filter(pl.col("SlotStatus") != "Cancelled")["PatientGuid"].ne("").all()


def test_spells_can_be_made_from_episodes(made: Path) -> None:
    episodes = pl.read_csv(next((made / "landing" / "hospital").glob("HES_APC_*")), separator="|", infer_schema=False)
    assert episodes["EPIKEY"].is_unique().all()
    spells = episodes.group_by("SUSRECID").agg(
        pl.len(), last=(pl.col("SPELEND") == "Y").sum(), first=(pl.col("SPELBGIN") == "2").sum()
    )
    assert (spells["last"] == 1).all()
    assert (spells["first"] == 1).all()
    assert spells["len"].max() == 2


def test_the_reply_leaves_out_those_who_opted_out(made: Path) -> None:
    reply = next((made / "landing" / "national_opt_out").glob("*.dat")).read_text().split(",\n")
    known = set(_emis(made, "Admin_Patient")["NhsNumber"])
    assert 0.85 < len(known & set(reply)) / len(known) < 0.99


def test_truth_stays_out_of_landing(made: Path) -> None:
    truth = pl.concat([pl.read_parquet(file) for file in (made / "truth").glob("*.parquet")])
    assert truth["nhs_number"].is_unique().all()
    assert not list((made / "landing").rglob("*truth*"))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "other")]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        write_extracts(people=200, practices=2, seed=seed, as_of=AS_OF, formats=FORMATS, out=folder)
    one, two, other = (
        {
            file.relative_to(folder).parts[-2:]: file.read_bytes()
            for file in sorted(folder.rglob("*.*"))
            if file.is_file()
        }
        for folder in folders
    )
    assert one == two
    assert one != other


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose among"):
        write_extracts(people=10, practices=1, seed=1, as_of=AS_OF, formats=["fhir"], out=tmp_path)  # type: ignore[list-item]


def test_made_up_people_are_never_written_among_others(tmp_path: Path) -> None:
    landed = tmp_path / "landing" / "emis" / "A00001" / "1.csv"
    landed.parent.mkdir(parents=True)
    landed.write_text("1\n", "utf-8")
    with pytest.raises(ValueError, match="never written among others"):
        write_extracts(people=200, practices=2, seed=1, as_of=AS_OF, formats=["reference"], out=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [landed]
    landed.unlink()
    for _ in range(2):
        write_extracts(people=200, practices=2, seed=1, as_of=AS_OF, formats=["reference"], out=tmp_path)
