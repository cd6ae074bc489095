"""Types the rows of each SystmOne table for its staging contract. Pure: text frames in, typed frames out."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.codelists import is_valid_sctid
from pipelines.io.identity import valid_nhs_numbers
from pipelines.io.landing.conversion import are_readable, flag_of, number_of, whole_of, word_of
from pipelines.io.landing.dissent import is_dissent, let_dissents_count

PARTS = {
    "SRCode": 0,
    "SRImmunisation": 1,
    "SRPrimaryCareMedication": 0,
    "SREvent": 0,
    "SRAppointment": 1,
    "SRVisit": 2,
}
"""The number, kept in the last two bits of a record id, of each table among those that fill one history table."""
ROOM = 4
SHAPE = r"^\d{1,2} [A-Za-z]{3} \d{4}(?: \d{2}:\d{2}(?::\d{2})?)?$"
MAPPED_WORDS = {"mapping_key": pl.String, "words": pl.String}


@dataclass(frozen=True)
class Setting:
    """What the rows of one delivery are read against.

    ``roster`` has one row per patient record: patient_record_id, person_id, birth_date and person_state (held, or
    why it is not). ``codes`` maps CTV3 to SNOMED CT, ``mappings`` the extract's numbers to words.
    """

    practice_code: str
    extract_date: dt.date
    words: dict[str, Any]
    postcodes: pl.DataFrame
    roster: pl.DataFrame
    codes: pl.DataFrame
    mappings: pl.DataFrame


def record_message(practice_code: str, table: str, key: str = "record_key") -> pl.Expr:
    """What a record's pseudonym is made of: practice, table and the row's number; null where it has none."""
    number = pl.col(f"text_{key}").str.strip_chars().str.strip_chars_start("0")
    is_key = number.str.contains(r"^\d{1,19}$")
    return pl.when(is_key).then(pl.concat_str(pl.lit(practice_code), pl.lit(table), number, separator="|"))


def with_part(record_ids: pl.Series, table: str) -> pl.Series:
    """Record ids whose last two bits tell the table, so that a bulk of one table leaves the others' rows alone."""
    kept = record_ids // ROOM * ROOM
    return (kept + PARTS.get(table, 0)).alias(record_ids.name)


def type_patients(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per patient record, for StagedPeople; ``person_id`` is added later."""
    return rows.with_columns(
        *_common(setting, dates=("birth_date", "death_date"), flags=("is_test", "removed")),
        nhs_number=valid_nhs_numbers(rows["text_nhs_number"]),
        birth_date=day_of("birth_date", setting),
        death_date=day_of("death_date", setting),
        sex=pl.when(pl.col("text_sex").is_null())
        .then(pl.lit("unknown"))
        .otherwise(word_of("sex", setting.words["sex"])),
        is_dummy=flag_of("is_test").fill_null(True),
        is_spine_sensitive=pl.lit(False),
        given_name=pl.col("text_given_name"),
        surname=pl.col("text_surname"),
    )


def type_addresses(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per address, for StagedAbout; one for letters only is blank."""
    left_out = setting.words["correspondence_address_types"]
    typed = _entries(rows, setting, dates=("clinical_date", "ended_date")).with_columns(
        clinical_date=day_of("clinical_date", setting),
        ended_date=day_of("ended_date", setting),
        is_blank=pl.col("is_blank") | _words("address_type", setting).is_in(left_out).fill_null(False),
        postcode=pl.col("text_postcode").str.replace_all(" ", "", literal=True).str.to_uppercase(),
    )
    return typed.join(setting.postcodes, on="postcode", how="left", validate="m:1", maintain_order="left")


def type_registrations(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per registration, for StagedRegistrations; one at another organisation is blank."""
    typed = _entries(rows, setting, dates=("registered_date", "deregistered_date"))
    kind = pl.lit("other")
    for word, meaning in reversed(setting.words["registration_type"].items()):
        has_word = pl.col("text_registration_status").str.contains(rf"(?i)\b{word}\b")
        kind = pl.when(has_word).then(pl.lit(meaning)).otherwise(kind)
    owner = pl.coalesce("text_registered_at", "text_recorded_at")
    return typed.with_columns(
        registered_date=day_of("registered_date", setting),
        deregistered_date=day_of("deregistered_date", setting),
        registration_type=kind,
        has_organisation=owner.is_not_null(),
        is_blank=_no_patient(setting) | (owner != setting.practice_code).fill_null(False),
    )


def type_codes(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per coded entry, for StagedCodedEntries and the events table.

    A value counts only where the entry says that it is numeric. A dissent counts whoever recorded it.
    """
    is_unsaid = pl.col("text_is_numeric").is_null()
    has_value = pl.when(is_unsaid).then(~_is_none("value", setting)).otherwise(flag_of("is_numeric").fill_null(False))
    numbers = {"value": number_of("value")}
    typed = _coded(rows, setting).with_columns(
        value=pl.when(has_value).then(numbers["value"]),
        unit=pl.when(has_value).then(pl.col("text_unit")),
        has_readable_numbers=are_readable(numbers) | ~has_value,
    )
    is_told_by_others = is_dissent() & ~_no_patient(setting)
    return let_dissents_count(typed).with_columns(is_blank=pl.col("is_blank") & ~is_told_by_others)


def type_immunisations(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per immunisation, for StagedCodedEntries and the events table; one not given is blank."""
    not_given = _starts_with(_words("status", setting), setting.words["immunisation_not_given"])
    return _coded(rows, setting).with_columns(
        value=pl.lit(None, dtype=pl.Float64),
        unit=pl.lit(None, dtype=pl.String),
        has_readable_numbers=pl.lit(True),
        is_blank=pl.col("is_blank") | not_given,
    )


def type_medications(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per issue, for StagedIssues and the medications table; what others prescribed is blank."""
    flags = ("is_other", "is_dental", "is_hospital")
    others = pl.any_horizontal(flag_of(name).fill_null(False) for name in flags)
    amount = pl.col("text_quantity").str.extract(r"^\s*(\d+(?:\.\d+)?)")
    typed = _entries(rows, setting, dates=("clinical_date", "entered_date"), more_flags=flags)
    product = pl.when(~_is_none("product_id", setting)).then(whole_of("product_id"))
    return typed.with_columns(
        clinical_date=day_of("clinical_date", setting),
        entered_date=day_of("entered_date", setting),
        concept_id=product,
        code_state=pl.when(product > 0).then(pl.lit("known")).otherwise(pl.lit("not_mapped")),
        quantity=amount.cast(pl.Float64, strict=False),
        has_readable_numbers=pl.lit(True),
        is_blank=pl.col("is_blank") | others,
    )


def type_events(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per consultation, for StagedContacts and the contacts table; administrative events are blank."""
    is_clinical = pl.col("text_is_clinical").is_null() | flag_of("is_clinical").fill_null(True)
    typed = _entries(rows, setting, dates=("clinical_date",), more_flags=("is_clinical", "is_incomplete"))
    return typed.with_columns(
        clinical_date=day_of("clinical_date", setting),
        contact_kind=pl.lit("consultation"),
        is_blank=pl.col("is_blank") | ~is_clinical | flag_of("is_incomplete").fill_null(False),
    )


def type_appointments(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per appointment, for StagedAppointments; one not yet kept, or cancelled, is blank."""
    words = setting.words
    status = _words("status", setting)
    is_missed, is_kept, is_empty = (
        _starts_with(status, words[name]) for name in ("missed_statuses", "kept_statuses", "empty_statuses")
    )
    typed = _entries(rows, setting, dates=("clinical_date", "cancelled_date"))
    is_cancelled = pl.col("text_cancelled_date").is_not_null()
    return typed.with_columns(
        clinical_date=day_of("clinical_date", setting),
        contact_kind=pl.when(is_missed).then(pl.lit("appointment_missed")).otherwise(pl.lit("appointment_attended")),
        code_state=pl.when(is_missed | is_kept | is_empty).then(pl.lit("known")),
        is_blank=pl.col("is_blank") | is_empty | (is_cancelled & ~is_missed),
    )


def type_visits(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per home visit, for StagedContacts: kept as appointments are; one not made is blank."""
    status = _words("status", setting)
    is_missed = _starts_with(status, setting.words["visit_missed"])
    return _entries(rows, setting, dates=("clinical_date",)).with_columns(
        clinical_date=day_of("clinical_date", setting),
        contact_kind=pl.when(is_missed).then(pl.lit("appointment_missed")).otherwise(pl.lit("appointment_attended")),
        is_blank=pl.col("is_blank") | _starts_with(status, setting.words["visit_not_made"]),
    )


def type_code_map(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per CTV3 code of the extract's own map, for StagedCodeMap."""
    typed = rows.with_columns(
        ctv3_code=pl.col("text_ctv3_code").str.strip_chars(),
        concept_id=whole_of("snomed_code"),
        is_deleted=flag_of("removed").fill_null(False),
    )
    return typed.with_columns(
        is_readable_target=pl.col("text_snomed_code").is_null() | pl.col("concept_id").is_not_null(),
        has_check_digit=have_check_digits(typed["concept_id"]) | (pl.col("concept_id") <= 0),
    )


def have_check_digits(concepts: pl.Series) -> pl.Series:
    """True for SNOMED CT ids with a right check digit, and for none at all; each distinct id is checked once."""
    wrong = [concept for concept in concepts.drop_nulls().unique() if not is_valid_sctid(str(concept))]
    return ~concepts.is_in(wrong).fill_null(False)


def day_of(name: str, setting: Setting) -> pl.Expr:
    """The day of a date with or without a time; null where it is none, or a default that stands for none."""
    date = _read_day(name)
    return pl.when(~date.is_in(setting.words["masked_dates"])).then(date)


def _read_day(name: str) -> pl.Expr:
    text = pl.col(f"text_{name}").str.strip_chars()
    day = text.str.splitn(" ", 4).struct
    spelled = pl.concat_str(
        [day.field("field_0"), day.field("field_1"), day.field("field_2")], separator=" "
    ).str.to_date("%d %b %Y", strict=False)
    return pl.when(text.str.contains(SHAPE)).then(spelled)


def _entries(
    rows: pl.DataFrame, setting: Setting, *, dates: tuple[str, ...], more_flags: tuple[str, ...] = ()
) -> pl.DataFrame:
    """The columns that every record about a patient has; ``patient_record_id`` must be there.

    A record is blank if it is about nobody, or was recorded for a patient who is registered elsewhere.
    """
    is_elsewhere = pl.lit(False)
    if "text_registered_at" in rows.columns:
        is_elsewhere = _is_own(setting) & (pl.col("text_registered_at") != setting.practice_code).fill_null(False)
    typed = rows.with_columns(
        *_common(setting, dates=dates, flags=("removed", *more_flags)),
        is_blank=_no_patient(setting) | is_elsewhere,
    )
    return typed.join(setting.roster, on="patient_record_id", how="left", validate="m:1", maintain_order="left")


def _common(setting: Setting, *, dates: tuple[str, ...], flags: tuple[str, ...]) -> list[pl.Expr]:
    is_own = _is_own(setting)
    is_removed = flag_of("removed").fill_null(False)
    return [
        pl.lit(setting.practice_code).alias("practice_code"),
        pl.lit(setting.extract_date).alias("extract_date"),
        is_own.alias("is_own_organisation"),
        are_readable({name: _read_day(name) for name in dates}).alias("has_readable_dates"),
        are_readable({name: flag_of(name) for name in flags}).alias("has_readable_flags"),
        pl.lit(False).alias("is_confidential"),
        (is_removed & (is_own | pl.col("text_visible_to").is_null())).alias("is_deleted"),
    ]


def _is_own(setting: Setting) -> pl.Expr:
    return (pl.col("text_visible_to") == setting.practice_code).fill_null(False)


def _coded(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """Entries with their concept: the row's own SNOMED CT code if it has one, else that of its CTV3 code."""
    typed = _entries(rows, setting, dates=("clinical_date", "entered_date")).with_columns(
        clinical_date=day_of("clinical_date", setting),
        entered_date=day_of("entered_date", setting),
        ctv3_code=pl.col("text_ctv3_code").str.strip_chars(),
        own=pl.when(~_is_none("snomed_code", setting)).then(whole_of("snomed_code")),
    )
    mapped = typed.join(
        setting.codes.rename({"concept_id": "mapped"}),
        on="ctv3_code",
        how="left",
        validate="m:1",
        maintain_order="left",
    )
    is_readable = _is_none("snomed_code", setting) | pl.col("own").is_not_null()
    return mapped.with_columns(
        concept_id=pl.coalesce("own", "mapped"),
        code_state=pl.when(pl.coalesce("own", "mapped").is_null())
        .then(pl.lit("not_mapped"))
        .otherwise(pl.lit("known")),
        has_check_digit=have_check_digits(mapped["own"]) & is_readable,
    )


def _words(name: str, setting: Setting) -> pl.Expr:
    """A word as it stands, or the one that the extract's mapping has for its number."""
    text = pl.col(f"text_{name}").str.strip_chars()
    mappings = setting.mappings
    return text.replace(mappings["mapping_key"], mappings["words"]) if mappings.height else text


def _starts_with(words: pl.Expr, starts: list[str]) -> pl.Expr:
    lower = words.str.to_lowercase()
    return pl.any_horizontal(lower.str.starts_with(start.lower()) for start in starts).fill_null(False)


def _no_patient(setting: Setting) -> pl.Expr:
    return pl.col("text_patient_key").str.strip_chars().is_in(setting.words["no_key"]).fill_null(False)


def _is_none(name: str, setting: Setting) -> pl.Expr:
    text = pl.col(f"text_{name}").str.strip_chars()
    return text.is_null() | text.is_in([*setting.words["no_key"], ""]).fill_null(False)
