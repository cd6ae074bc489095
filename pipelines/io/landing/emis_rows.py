"""Types the rows of each EMIS table for its staging contract. Pure: text frames in, typed frames out."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.codelists import codes_of, is_valid_sctid
from pipelines.io.identity import valid_nhs_numbers
from pipelines.io.landing.conversion import are_readable, date_of, flag_of, number_of, whole_of, word_of
from pipelines.io.landing.dissent import let_dissents_count
from pipelines.io.landing.emis_checks import plain_guid

PATIENT_DATES = ("birth_date", "death_date", "registered_date", "deregistered_date")


@dataclass(frozen=True)
class Setting:
    """What the rows of one delivery are read against.

    ``roster`` has one row per patient record: patient_record_id, person_id, birth_date and person_state (held, or
    why it is not).
    """

    practice_code: str
    organisation_guid: str | None
    extract_date: dt.date
    words: dict[str, Any]
    postcodes: pl.DataFrame
    roster: pl.DataFrame


def record_message(guid: str) -> pl.Expr:
    """What a record's pseudonym is made of: organisation guid and record guid, braces and case put aside."""
    parts = [plain_guid(pl.col(f"text_{name}")) for name in ("organisation_guid", guid)]
    return pl.concat_str(parts, separator="|")


def type_patients(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per patient record, for StagedPatients and the registrations table; ``person_id`` is added later."""
    words = setting.words
    is_dummy = pl.col("text_registration_type").str.strip_chars().is_in(words["dummy_registration_types"])
    typed = rows.with_columns(
        *_common(
            setting, dates=PATIENT_DATES, flags=("is_dummy", "is_spine_sensitive", "is_confidential", "deleted")
        ),
        *[_unmasked(name, setting).alias(name) for name in PATIENT_DATES],
        nhs_number=valid_nhs_numbers(rows["text_nhs_number"]),
        sex=pl.when(pl.col("text_sex").is_null()).then(pl.lit("unknown")).otherwise(word_of("sex", words["sex"])),
        registration_type=word_of("registration_type", words["registration_type"], default="other"),
        is_dummy=flag_of("is_dummy").fill_null(False) | is_dummy.fill_null(False),
        is_spine_sensitive=flag_of("is_spine_sensitive").fill_null(True),
        postcode=pl.col("text_postcode").str.replace_all(" ", "", literal=True).str.to_uppercase(),
        given_name=pl.col("text_given_name"),
        surname=pl.col("text_surname"),
    )
    return typed.join(setting.postcodes, on="postcode", how="left", validate="m:1", maintain_order="left")


def type_events(rows: pl.DataFrame, setting: Setting, codes: pl.DataFrame) -> pl.DataFrame:
    """One row per observation, for StagedEvents and the events table."""
    numbers = {"value": number_of("value")}
    typed = _entries(rows, setting, dates=("clinical_date", "entered_date")).with_columns(
        value=numbers["value"],
        unit=pl.col("text_unit"),
        entered_date=_unmasked("entered_date", setting),
        clinical_date=pl.when(
            ~pl.col("text_precision").is_in(setting.words["undated_precisions"]).fill_null(False)
        ).then(pl.col("clinical_date")),
        has_readable_numbers=are_readable(numbers),
    )
    coded = _pair_blood_pressures(_add_codes(typed, codes), setting.words)
    return let_dissents_count(coded)


def _pair_blood_pressures(rows: pl.DataFrame, words: dict[str, Any]) -> pl.DataFrame:
    """The rows, with the larger of two readings under one parent as systolic and the other as diastolic."""
    systolic, diastolic = (codes_of(words[f"{kind}_codelist"]) for kind in ("systolic", "diastolic"))
    place = ["file_no", "text_organisation_guid", "text_patient_guid", "text_parent_guid"]
    is_reading = (
        pl.col("concept_id").is_in([*systolic, *diastolic])
        & pl.col("value").is_not_null()
        & pl.col("text_parent_guid").is_not_null()
        & ~pl.col("is_deleted")
    )
    readings = rows.filter(is_reading).select("line", *place, "value", "concept_id")
    pairs = readings.filter(pl.len().over(place) == 2, pl.col("value").n_unique().over(place) == 2)
    is_larger = pl.col("value") == pl.col("value").max().over(place)
    paired = pairs.with_columns(
        paired=pl.when(is_larger).then(systolic[0]).otherwise(diastolic[0]), is_larger=is_larger
    )
    swapped = paired.filter(pl.col("concept_id").is_in(systolic) != pl.col("is_larger")).select(
        "file_no", "line", "paired"
    )
    if swapped.is_empty():
        return rows
    joined = rows.join(swapped, on=["file_no", "line"], how="left", validate="1:1", maintain_order="left")
    return joined.with_columns(concept_id=pl.coalesce("paired", "concept_id")).drop("paired")


def type_medications(rows: pl.DataFrame, setting: Setting, codes: pl.DataFrame) -> pl.DataFrame:
    """One row per issue record, for StagedMedications and the medications table."""
    numbers = {"quantity": number_of("quantity")}
    typed = _entries(rows, setting, dates=("clinical_date", "entered_date")).with_columns(
        quantity=numbers["quantity"],
        entered_date=_unmasked("entered_date", setting),
        has_readable_numbers=are_readable(numbers),
    )
    return _add_codes(typed, codes)


def type_consultations(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per consultation, for StagedContacts and the contacts table."""
    return _entries(rows, setting, dates=("clinical_date",)).with_columns(contact_kind=pl.lit("consultation"))


def type_slots(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per appointment slot; an unbooked, cancelled or not yet used one is blank."""
    words = setting.words
    status = pl.col("text_slot_status").str.strip_chars()
    is_missed = flag_of("did_not_attend").fill_null(False) | status.is_in(words["missed_slot_statuses"]).fill_null(
        False
    )
    is_empty = status.is_in(words["empty_slot_statuses"]).fill_null(False) & ~is_missed
    confidential = rows.with_columns(text_is_confidential=pl.lit(None, dtype=pl.String))
    return _entries(confidential, setting, dates=("clinical_date",), more_flags=("did_not_attend",)).with_columns(
        is_blank=pl.col("text_patient_guid").is_null() | is_empty,
        contact_kind=pl.when(is_missed).then(pl.lit("appointment_missed")).otherwise(pl.lit("appointment_attended")),
    )


def type_codes(rows: pl.DataFrame, *, held: pl.DataFrame, is_snomed: bool) -> pl.DataFrame:
    """One row per code of a code table, for StagedCodes."""
    typed = rows.with_columns(
        record_id=whole_of("code_id"), code_id=whole_of("code_id"), target=whole_of("target_id"), **_processing(rows)
    )
    return typed.with_columns(
        is_readable_target=pl.col("text_target_id").is_null() | (pl.col("target") > 0).fill_null(False),
        has_check_digit=_has_check_digit(typed["target"], held["target_id"]) if is_snomed else pl.lit(True),
    )


def _has_check_digit(targets: pl.Series, known: pl.Series) -> pl.Series:
    """True for SNOMED CT ids with a right check digit; ids already in the code table are not checked twice."""
    new = set(targets.drop_nulls()) - set(known.drop_nulls())
    wrong = sorted(target for target in new if not is_valid_sctid(str(target)))
    return ~targets.is_in(wrong).fill_null(False)


def _entries(
    rows: pl.DataFrame, setting: Setting, *, dates: tuple[str, ...], more_flags: tuple[str, ...] = ()
) -> pl.DataFrame:
    """The columns that every record about a patient has; ``patient_record_id`` must be there."""
    typed = rows.with_columns(
        *_common(setting, dates=dates, flags=("is_confidential", "deleted", *more_flags)),
        clinical_date=_unmasked("clinical_date", setting),
    )
    return typed.join(setting.roster, on="patient_record_id", how="left", validate="m:1", maintain_order="left")


def _common(setting: Setting, *, dates: Iterable[str], flags: Iterable[str]) -> list[pl.Expr]:
    own = plain_guid(pl.col("text_organisation_guid")) == setting.organisation_guid
    return [
        pl.lit(setting.practice_code).alias("practice_code"),
        pl.lit(setting.extract_date).alias("extract_date"),
        own.fill_null(False).alias("is_own_organisation"),
        are_readable({name: date_of(name) for name in dates}).alias("has_readable_dates"),
        are_readable({name: flag_of(name) for name in flags}).alias("has_readable_flags"),
        flag_of("is_confidential").fill_null(True).alias("is_confidential"),
        flag_of("deleted").fill_null(False).alias("is_deleted"),
        whole_of("processing_id").alias("processing_id"),
    ]


def _processing(rows: pl.DataFrame) -> dict[str, pl.Expr]:
    return {"processing_id": whole_of("processing_id")} if "text_processing_id" in rows.columns else {}


def _unmasked(name: str, setting: Setting) -> pl.Expr:
    """A date, null where it is a default that stands for none."""
    date = date_of(name)
    return pl.when(~date.is_in(setting.words["masked_dates"])).then(date)


def _add_codes(rows: pl.DataFrame, codes: pl.DataFrame) -> pl.DataFrame:
    named = codes.select(
        code_id="code_id",
        concept_id="target_id",
        code_state=pl.when(pl.col("target_id").is_null()).then(pl.lit("not_mapped")).otherwise(pl.lit("known")),
    )
    return rows.with_columns(code_id=whole_of("code_id")).join(
        named, on="code_id", how="left", validate="m:1", maintain_order="left"
    )
