"""Types the rows of each Synthea table for its staging contract. Pure: text frames in, typed frames out."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from data_contracts.codelists import is_valid_sctid
from pipelines.io.landing.conversion import are_days, day_of, number_of, word_of
from pipelines.io.landing.synthea_mappings import Mappings

KEYS = {
    "patients": ["patient"],
    "encounters": ["encounter"],
    "conditions": ["patient", "encounter", "start", "code"],
    "procedures": ["patient", "encounter", "start", "date", "code"],
    "observations": ["patient", "encounter", "date", "code", "value", "units"],
    "immunizations": ["patient", "encounter", "date", "code"],
    "medications": ["patient", "encounter", "start", "code"],
}
"""What makes a row of each table the same row in another delivery."""
FIRST_TEST_NUMBER, TEST_NUMBERS = 999_000_000, 1_000_000
"""NHS numbers without their check digit: the range kept for tests starts with 999."""


@dataclass(frozen=True)
class Setting:
    """What the rows of one delivery are read against.

    ``roster`` has one row per person held: patient_record_id, person_id, person_state, birth_date.
    """

    practice_code: str
    words: dict[str, Any]
    mappings: Mappings
    roster: pl.DataFrame


def record_message(table: str, practice_code: str) -> pl.Expr:
    """What a row's pseudonym is made of; null where the first part of the key is missing."""
    first, *others = [pl.col(f"text_{name}") for name in KEYS[table]]
    parts = [pl.lit(f"{practice_code}|{table}"), first, *(other.fill_null("") for other in others)]
    return pl.concat_str(parts, separator="|")


def made_up_numbers(practice_code: str, *, held: pl.Series, needed: int) -> list[str]:
    """As many NHS numbers of the 999 test range as needed, in order, for people of one practice who have none.

    They start at a place that the practice's code decides, so that two practices seldom meet; numbers in ``held``
    are passed over.
    """
    start = int.from_bytes(hashlib.sha256(practice_code.encode()).digest()[:8], "big")
    places = (start % TEST_NUMBERS + np.arange(2 * (needed + len(held)), dtype=np.int64)) % TEST_NUMBERS
    bodies = FIRST_TEST_NUMBER + places
    digits = bodies[:, None] // 10 ** np.arange(8, -1, -1) % 10
    check = (11 - (digits * np.arange(10, 1, -1)).sum(axis=1) % 11) % 11
    taken = set(held)
    numbers = (bodies * 10 + check)[check < 10]
    return [number for number in map(str, numbers) if number not in taken][:needed]


def add_numbers(rows: pl.DataFrame, *, practice_code: str, people: pl.DataFrame) -> pl.DataFrame:
    """The rows with ``nhs_number``: the one held for the record, else a made-up one in order of Id."""
    known = people.select("record_id", "nhs_number").unique("record_id")
    numbered = rows.join(known, on="record_id", how="left", validate="m:1", maintain_order="left")
    new = numbered.filter(pl.col("nhs_number").is_null())["text_patient"].drop_nulls().unique().sort()
    numbers = made_up_numbers(practice_code, held=known["nhs_number"], needed=len(new))
    made_up = pl.DataFrame(
        {"text_patient": new, "made_up": numbers}, schema=dict.fromkeys(("text_patient", "made_up"), pl.String)
    )
    joined = numbered.join(made_up, on="text_patient", how="left", validate="m:1", maintain_order="left")
    return joined.with_columns(nhs_number=pl.coalesce("nhs_number", "made_up")).drop("made_up")


def type_patients(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per person, for StagedMadeUpPeople and the registrations table: registered from birth."""
    words = [
        pl.col(f"text_{name}").str.strip_chars().str.to_lowercase().alias(name) for name in ("race", "ethnicity")
    ]
    typed = rows.with_columns(
        *words,
        practice_code=pl.lit(setting.practice_code),
        has_readable_dates=are_days("birth_date", "death_date"),
        birth_date=day_of("birth_date"),
        death_date=day_of("death_date"),
        registered_date=day_of("birth_date"),
        deregistered_date=pl.lit(None, dtype=pl.Date),
        registration_type=pl.lit("regular"),
        sex=word_of("gender", setting.words["sex"]),
        lsoa_code=pl.lit(None, dtype=pl.String),
        given_name=pl.col("text_given_name"),
        surname=pl.col("text_surname"),
    )
    groups = setting.mappings.ethnic_groups.select("race", "ethnicity", "concept_id")
    return typed.join(groups, on=["race", "ethnicity"], how="left", validate="m:1", maintain_order="left")


def ethnic_group_events(patients: pl.DataFrame) -> pl.DataFrame:
    """One event per person whose ethnic group fits a category, dated at birth; ``record_id`` is the person's."""
    return patients.filter(pl.col("concept_id").is_not_null()).select(
        "practice_code",
        "person_id",
        "concept_id",
        "record_id",
        event_date="birth_date",
        entered_date="birth_date",
        value=pl.lit(None, dtype=pl.Float64),
        unit=pl.lit(None, dtype=pl.String),
    )


def type_findings(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per condition or procedure, for StagedMadeUpEntries and the events table."""
    code = pl.col("text_code").str.strip_chars()
    distinct = rows["text_code"].str.strip_chars().drop_nulls().unique()
    valid = [text for text in distinct if is_valid_sctid(text)]
    wider = setting.mappings.equivalents.select(stripped="code", wider="concept_id")
    typed = _entries(rows, setting).with_columns(stripped=code)
    joined = typed.join(wider, on="stripped", how="left", validate="m:1", maintain_order="left")
    return joined.with_columns(
        concept_id=pl.coalesce("wider", pl.col("stripped").cast(pl.Int64, strict=False)),
        code_state=pl.when(code.is_not_null()).then(pl.lit("known")),
        has_check_digit=code.is_null() | code.is_in(valid),
    )


def type_observations(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per observation, for StagedMadeUpEntries and the events table, in the codelist's unit."""
    answer = pl.coalesce(pl.col("text_value").str.extract(setting.words["coded_answer"]), pl.col("text_value"))
    numbers = setting.mappings.observations.drop("codelist", "term").rename(
        {"loinc_code": "text_code", "units": "text_units", "concept_id": "measured_id", "unit": "mapped_unit"}
    )
    answers = setting.mappings.observation_values.select(
        text_code="loinc_code", answer="value", answered_id="concept_id"
    )
    typed = (
        _entries(rows, setting)
        .with_columns(answer=answer)
        .join(numbers, on=["text_code", "text_units"], how="left", validate="m:1", maintain_order="left")
        .join(answers, on=["text_code", "answer"], how="left", validate="m:1", maintain_order="left")
    )
    is_measured = pl.col("measured_id").is_not_null()
    scale = pl.lit(10.0).pow(pl.col("decimals"))
    converted = ((number_of("value") * pl.col("multiply_by") + pl.col("add")) * scale).round() / scale
    concept = pl.coalesce("measured_id", "answered_id")
    return typed.with_columns(
        concept_id=concept,
        code_state=pl.when(concept.is_not_null()).then(pl.lit("known")),
        value=pl.when(is_measured).then(converted),
        unit=pl.col("mapped_unit"),
        has_readable_numbers=~is_measured | number_of("value").is_not_null(),
    )


def type_immunisations(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per dose given, for StagedMadeUpEntries and the events table."""
    return _map(rows, setting, setting.mappings.immunisations.select(text_code="cvx_code", concept_id="concept_id"))


def type_medications(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per prescription start, for StagedMadeUpEntries and the medications table.

    Repeats between start and stop are not written by Synthea and are not made up here.
    """
    mapping = setting.mappings.medicines.select(text_code="rxnorm_code", concept_id="product_id")
    return _map(rows, setting, mapping).with_columns(quantity=pl.lit(None, dtype=pl.Float64))


def type_encounters(rows: pl.DataFrame, setting: Setting, conditions: pl.DataFrame) -> pl.DataFrame:
    """One row per encounter, for StagedMadeUpEncounters and the table that ``kind`` names.

    ``conditions`` (encounter, start, code) are the conditions that the delivery's inpatients may have.
    """
    admission = setting.words["admission"]
    kind = word_of("encounter_class", setting.words["encounter_classes"])
    is_spell = kind == "spell"
    stop = pl.when(is_spell).then(day_of("stop"))
    typed = _entries(rows, setting).with_columns(
        kind=kind,
        code_state=pl.when(kind.is_not_null()).then(pl.lit("known")),
        has_readable_dates=are_days("start", "stop"),
        contact_kind=pl.lit(setting.words["contact_kind"]),
        discharged_date=stop,
    )
    stay = (pl.col("discharged_date") - pl.col("clinical_date")).dt.total_days()
    typed = typed.with_columns(
        is_plausible_stay=(stay <= admission["longest_stay_days"]).fill_null(True),
        entered_date=pl.coalesce("discharged_date", "clinical_date"),
        department_type=pl.lit(admission["department_type"]),
    )
    return _add_diagnoses(_add_admission(typed, setting), setting, conditions)


def _add_admission(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The rows with admission method: by an emergency encounter just before, the encounter's code, or its reason."""
    admission = setting.words["admission"]
    ended = rows.filter(pl.col("kind") == "attendance").select("text_patient", day=day_of("stop"))
    days = range(admission["days_after_emergency"] + 1)
    led = [ended.with_columns(clinical_date=pl.col("day").dt.offset_by(f"{day}d")).drop("day") for day in days]
    arrivals = pl.concat(led).unique().with_columns(came_by_emergency=pl.lit(True))
    reasons = setting.mappings.diagnoses
    by_word = reasons.filter(pl.col("coding") == "reason").select(
        text_reason="code", word_icd10="icd10_code", word_urgent="is_emergency"
    )
    by_code = reasons.filter(pl.col("coding") == "SNOMED CT").select(
        text_reason_code="code", code_icd10="icd10_code", code_urgent="is_emergency"
    )
    joined = (
        rows.join(arrivals, on=["text_patient", "clinical_date"], how="left", validate="m:1", maintain_order="left")
        .join(by_word, on="text_reason", how="left", validate="m:1", maintain_order="left")
        .join(by_code, on="text_reason_code", how="left", validate="m:1", maintain_order="left")
    )
    is_urgent_code = pl.col("text_code").is_in(admission["emergency_codes"])
    is_emergency = pl.any_horizontal("came_by_emergency", "word_urgent", "code_urgent", is_urgent_code).fill_null(
        False
    )
    return joined.with_columns(
        admission_method=pl.when(is_emergency)
        .then(pl.lit(admission["emergency_method"]))
        .otherwise(pl.lit(admission["planned_method"])),
        reason_icd10=pl.coalesce("code_icd10", "word_icd10"),
    )


def _add_diagnoses(rows: pl.DataFrame, setting: Setting, conditions: pl.DataFrame) -> pl.DataFrame:
    """The rows with ICD-10 codes: the reason's first, then those of the encounter's conditions in order."""
    spells = rows.filter((pl.col("kind") == "spell") & pl.col("text_encounter").is_not_null())
    codes = setting.mappings.diagnoses.filter(pl.col("coding") == "SNOMED CT").select("code", "icd10_code")
    noted = (
        conditions.join(spells.select(encounter="text_encounter").unique(), on="encounter", how="semi")
        .join(codes, on="code", how="inner", validate="m:1")
        .sort("encounter", "start", "code")
        .select("encounter", "icd10_code")
    )
    reasons = spells.select(encounter="text_encounter", icd10_code="reason_icd10").drop_nulls()
    diagnoses = (
        pl.concat([reasons, noted])
        .unique(maintain_order=True, keep="first")
        .group_by("encounter", maintain_order=True)
        .agg(diagnosis_codes=pl.col("icd10_code").str.join("|"))
    )
    missing = {name: pl.lit(None, dtype=pl.String) for name in ("procedure_codes", "discharge_method")}
    return rows.join(
        diagnoses, left_on="text_encounter", right_on="encounter", how="left", validate="m:1", maintain_order="left"
    ).with_columns(**missing)


def _map(rows: pl.DataFrame, setting: Setting, mapping: pl.DataFrame) -> pl.DataFrame:
    """Entries with the concept that a mapping (text_code, concept_id) gives their code."""
    joined = _entries(rows, setting).join(mapping, on="text_code", how="left", validate="m:1", maintain_order="left")
    return joined.with_columns(code_state=pl.when(pl.col("concept_id").is_not_null()).then(pl.lit("known")))


def _entries(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The columns that every entry about a person has; ``patient_record_id`` must be there."""
    names = [name for name in ("start", "date") if f"text_{name}" in rows.columns]
    day = pl.coalesce(day_of(name) for name in names)
    typed = rows.with_columns(
        practice_code=pl.lit(setting.practice_code),
        has_readable_dates=are_days(*names),
        clinical_date=day,
        entered_date=day,
        value=pl.lit(None, dtype=pl.Float64),
        unit=pl.lit(None, dtype=pl.String),
        has_check_digit=pl.lit(True),
        has_readable_numbers=pl.lit(True),
    )
    return typed.join(setting.roster, on="patient_record_id", how="left", validate="m:1", maintain_order="left")
