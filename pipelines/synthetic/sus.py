"""Lays made-up HES rows out as the tables of Unified SUS, some stays sent before they ended and deleted since."""

from pathlib import Path

import polars as pl

APC, ECDS = "SUS_UNIFIED_APC", "SUS_UNIFIED_ECDS"
FIRST_IMPORT, LATER_IMPORT = 1001, 1002
SENT_TWICE = 50
"""One stay of so many was sent before it ended, under another key, and that record was deleted since."""

SPELL = {
    "PRIMARYKEY_ID": "SUSRECID",
    "spell.patient.identity.nhs_number.value Pseudo": "NEWNHSNO",
    "spell.hospital_provider_spell_number": "spell_number",
    "spell.admission.method": "ADMIMETH",
    "spell.admission.date": "ADMIDATE",
    "spell.admission.patient_classification": "CLASSPAT",
    "spell.discharge.method": "DISMETH",
    "spell.discharge.date": "DISDATE",
    "spell.patient.registration_derived.general_practice_from_pds": "GPPRAC",
    "spell.commissioning.service_agreement.provider": "PROCODE",
    "system.interchange.received_date": "SUSLDDATE",
}
VISIT = {
    "PRIMARYKEY_ID": "AEKEY",
    "patient.nhs_number.value Pseudo": "NEWNHSNO",
    "attendance.arrival.date": "ARRIVALDATE",
    "attendance.arrival.attendance_category": "AEATTENDCAT",
    "attendance.location.department_type": "AEDEPTTYPE",
    "patient.gp_registration.pds_general_practice": "GPPRAC",
    "commissioning.service_agreement.provider": "PROCODE",
    "system.interchange.received_date": "SUSLDDATE",
}


def sus_tables(episodes: pl.DataFrame, attendances: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The tables by name, all text, from the HES rows of the same stays and attendances."""
    stays = _stays(episodes)
    early = stays.filter(pl.col("PRIMARYKEY_ID").str.slice(-6).cast(pl.Int64) % SENT_TWICE == 0).with_columns(
        pl.lit("").alias("spell.discharge.date"),
        pl.lit("").alias("spell.discharge.method"),
        PRIMARYKEY_ID="9" + pl.col("PRIMARYKEY_ID"),
        dmicImportLogId=pl.lit(str(FIRST_IMPORT)),
    )
    visits = _renamed(attendances, VISIT)
    keys = ["SUSRECID", "EPIORDER"]
    return {
        f"{APC}.spell": pl.concat([early, stays]),
        f"{APC}.spell.episodes": episodes.select(
            PRIMARYKEY_ID="SUSRECID",
            EPISODES_ID="EPIORDER",
            number="EPIORDER",
            start_date="EPISTART",
            end_date="EPIEND",
        ).with_columns(dmicImportLogId=pl.lit(str(LATER_IMPORT))),
        f"{APC}.spell.episodes.clinical_coding.diagnosis.icd": _codes(episodes, keys, "DIAG_", "ICD_ID"),
        f"{APC}.spell.episodes.clinical_coding.procedure.opcs": _codes(episodes, keys, "OPERTN_", "OPCS_ID"),
        f"{APC}.InsertDeleteLog": pl.concat([_log(early, is_deleted=True), _log(stays, is_deleted=False)]),
        f"{ECDS}.emergency_care": visits,
        f"{ECDS}.InsertDeleteLog": _log(visits, is_deleted=False),
    }


def write_sus(tables: dict[str, pl.DataFrame], folder: Path, stamp: str, *, is_first: bool) -> None:
    """Append the tables to comma-separated files, with their headers when first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        with (folder / f"{name}_{stamp}.csv").open("wb" if is_first else "ab") as target:
            frame.write_csv(target, include_header=is_first)


def _stays(episodes: pl.DataFrame) -> pl.DataFrame:
    first = episodes.unique("SUSRECID", keep="first", maintain_order=True)
    return _renamed(first.with_columns(spell_number="S" + pl.col("SUSRECID").str.slice(-9)), SPELL)


def _renamed(rows: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    columns = [pl.col(theirs).alias(name) for name, theirs in names.items()]
    return rows.select(*columns, dmicImportLogId=pl.lit(str(LATER_IMPORT)))


def _codes(episodes: pl.DataFrame, keys: list[str], start: str, place: str) -> pl.DataFrame:
    """One row per code of an episode, numbered by its place."""
    columns = [name for name in episodes.columns if name.startswith(start)]
    long = episodes.unpivot(on=columns, index=keys, variable_name=place, value_name="code").filter(
        pl.col("code") != ""
    )
    return long.select(
        pl.col("SUSRECID").alias("PRIMARYKEY_ID"),
        pl.col("EPIORDER").alias("EPISODES_ID"),
        pl.col(place).str.slice(-2).cast(pl.Int64).cast(pl.String),
        "code",
        dmicImportLogId=pl.lit(str(LATER_IMPORT)),
    )


def _log(rows: pl.DataFrame, *, is_deleted: bool) -> pl.DataFrame:
    return rows.select(
        "PRIMARYKEY_ID",
        "dmicImportLogId",
        dmicIsDeleted=pl.lit("1" if is_deleted else "0"),
        dmicDeletedImportLogId=pl.lit(str(LATER_IMPORT) if is_deleted else ""),
    )
