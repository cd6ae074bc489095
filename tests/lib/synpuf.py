"""Writes CMS DE-SynPUF as a study in files: people made by others whose next year is known. None is real."""

import datetime as dt
from pathlib import Path

import polars as pl
import yaml

from tests.lib.studies import DESIGN

FLAGS = ["ALZHDMTA", "CHF", "CHRNKIDN", "CNCR", "COPD", "DEPRESSN", "DIABETES", "ISCHMCHT", "OSTEOPRS", "RA_OA"]
FLAGS = [f"SP_{flag}" for flag in [*FLAGS, "STRKETIA"]]
MONEY = ["MEDREIMB_IP", "BENRES_IP", "MEDREIMB_OP", "BENRES_OP", "MEDREIMB_CAR", "BENRES_CAR"]
MONTHS = ["BENE_HI_CVRAGE_TOT_MONS", "BENE_HMO_CVRAGE_TOT_MONS"]
STAYS = ["admissions", "admissions_3m", "hospital_days", "days_since_discharge"]
NAMES = ["age_years", "is_female", "has_esrd", *FLAGS, *MONEY, *MONTHS, *STAYS]
UNKNOWN = {"age_years", "days_since_discharge"}


KNOWN_ON = {2009: dt.date(2010, 3, 8), 2010: dt.date(2011, 3, 7)}
"""The Monday on which the year from the first Monday of January is known, as the design counts."""
INDEX = {2009: dt.date(2009, 1, 5), 2010: dt.date(2010, 1, 4)}


def write_study(folder: Path, source: Path, index_year: int, samples: list[int]) -> Path:
    """The folder, now with the study's files; states stand for practices."""
    folder.mkdir(parents=True)
    stays, people = read_stays(source), read_people(source, index_year, samples)
    people.select("person_id", "practice_code", "age_years", "sex").write_parquet(folder / "people.parquet")
    make_features(people, stays, INDEX[index_year]).collect().write_parquet(folder / "person_features.parquet")
    stays.select("person_id", "admitted_date").write_parquet(folder / "avoidable_admissions.parquet")
    (folder / "features.yaml").write_text(yaml.safe_dump(definitions()), "utf-8")
    return folder


def definitions() -> list[dict[str, str]]:
    """What each feature is."""
    shared = {"kind": "claims", "unit": "as delivered", "source": "CMS DE-SynPUF"}
    return [
        {"name": name, "description": name, "absent": "unknown" if name in UNKNOWN else "zero"} | shared
        for name in NAMES
    ]


def write_design(path: Path) -> Path:
    """The path, now with the study design: admission, whatever for, in a year."""
    stated = yaml.safe_load(DESIGN)
    estimators = [each for each in stated["estimators"] if each["name"] != "cambridge_only"]
    features = [{"name": name} for name in NAMES]
    changes = {"name": "synpuf_admission_12m", "features": features, "estimators": estimators}
    path.write_text(yaml.safe_dump(stated | changes), "utf-8")
    return path


def read_people(folder: Path, index_year: int, samples: list[int]) -> pl.DataFrame:
    """One row per beneficiary of the year before, alive at its end and still enrolled in the index year."""
    before, after = (
        pl.read_parquet(folder / f"bene{year}.parquet").filter(pl.col("sample").is_in(samples))
        for year in (index_year - 1, index_year)
    )
    alive = before.filter(pl.col("BENE_DEATH_DT").is_null()).join(after, on="DESYNPUF_ID", how="semi")
    born = pl.col("BENE_BIRTH_DT").str.to_date("%Y%m%d")
    return alive.with_columns(
        person_id=_ids(),
        practice_code=pl.col("SP_STATE_CODE"),
        age_years=(index_year - born.dt.year()).cast(pl.Int16),
        sex=pl.when(pl.col("BENE_SEX_IDENT_CD") == "2").then(pl.lit("female")).otherwise(pl.lit("male")),
    ).sort("person_id")


def read_stays(folder: Path) -> pl.DataFrame:
    """One row per inpatient claim: person_id, admitted_date, discharged_date."""
    claims = pl.read_parquet(folder / "inpatient.parquet").filter(pl.col("CLM_ADMSN_DT").is_not_null())
    return claims.select(
        person_id=_ids(),
        admitted_date=pl.col("CLM_ADMSN_DT").str.to_date("%Y%m%d"),
        discharged_date=pl.col("NCH_BENE_DSCHRG_DT").str.to_date("%Y%m%d", strict=False),
    )


def make_features(people: pl.DataFrame, stays: pl.DataFrame, index_date: dt.date) -> pl.LazyFrame:
    """One row per person and feature from the year before the index date."""
    year = people.select(
        "person_id",
        pl.col("age_years").cast(pl.Float64),
        *[(pl.col(flag) == "1").cast(pl.Float64).alias(flag) for flag in FLAGS],
        *[pl.col(name).cast(pl.Float64) for name in (*MONEY, *MONTHS)],
        is_female=(pl.col("sex") == "female").cast(pl.Float64),
        has_esrd=(pl.col("BENE_ESRD_IND") == "Y").cast(pl.Float64),
    )
    start = index_date - dt.timedelta(days=365)
    past = stays.filter(pl.col("admitted_date").is_between(start, index_date, closed="left"))
    length = (pl.col("discharged_date") - pl.col("admitted_date")).dt.total_days().clip(0)
    in_hospital = past.group_by("person_id").agg(
        admissions=pl.len().cast(pl.Float64),
        admissions_3m=(pl.col("admitted_date") >= index_date - dt.timedelta(days=91)).sum().cast(pl.Float64),
        hospital_days=length.sum().cast(pl.Float64),
        days_since_discharge=(index_date - pl.col("discharged_date").max()).dt.total_days().cast(pl.Float64),
    )
    wide = year.join(in_hospital, on="person_id", how="left", validate="1:1")
    long = wide.unpivot(index="person_id", variable_name="feature", value_name="value").drop_nulls("value")
    return long.filter((pl.col("value") != 0) | pl.col("feature").is_in(list(UNKNOWN))).sort("person_id").lazy()


def _ids() -> pl.Expr:
    """The first 15 hex digits of the beneficiary id as a number."""
    return pl.col("DESYNPUF_ID").str.head(15).str.to_integer(base=16, dtype=pl.Int64)
