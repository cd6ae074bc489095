"""Contracts of the history tables: what a landed extract becomes. No identifiers live here.

Each table is one Parquet file per ICB, sorted by practice_code, person_id, date, then record_id.
``person_id`` is a keyed pseudonym of the NHS number; ``record_id`` a keyed pseudonym of the
supplier's record id, by which a later delivery replaces or deletes the row.
"""

import datetime as dt

import pandera.polars as pa
import polars as pl

SEXES = ["female", "male", "indeterminate", "unknown"]
REGISTRATION_TYPES = ["regular", "temporary", "other"]
PRACTICE_STATUSES = ["active", "closed", "dormant", "proposed"]
CONTACT_KINDS = ["consultation", "appointment_attended", "appointment_missed"]
HOSPITAL_DATE_FLOOR = dt.date(1990, 1, 1)


class Contract(pa.DataFrameModel):
    """Strict: no extra columns, exact types, stated nullability, columns in order."""

    class Config:
        strict = True
        ordered = True
        coerce = False


class Practices(Contract):
    """One row per practice."""

    practice_code: str = pa.Field(unique=True, description="ODS code of the practice")
    practice_name: str = pa.Field(description="Name of the practice")
    pcn_code: str = pa.Field(
        nullable=True, description="ODS code of the primary care network: the current one, else the last one"
    )
    pcn_joined_date: dt.date = pa.Field(nullable=True, description="First day in the network")
    pcn_left_date: dt.date = pa.Field(nullable=True, description="Day the practice left it; null while in it")
    icb_code: str = pa.Field(description="ODS code of the integrated care board (ICB)")
    icb_name: str = pa.Field(nullable=True, description="Name of the ICB")
    status: str = pa.Field(isin=PRACTICE_STATUSES, description="What the national list says of the practice")
    closed_date: dt.date = pa.Field(nullable=True, description="Day the practice closed; null if none is known")


class PausedPractices(Contract):
    """One row per practice whose sharing agreement is paused or withdrawn: nobody of it counts."""

    practice_code: str = pa.Field(unique=True, description="ODS code of the practice")
    paused_from: dt.date = pa.Field(description="Day of the extract that first said so")


class Lsoas(Contract):
    """One row per lower-layer super output area (LSOA)."""

    lsoa_code: str = pa.Field(unique=True, description="LSOA code, edition in imd_edition")
    imd_decile: pl.Int8 = pa.Field(ge=1, le=10, description="Deprivation tenth, 1 is most deprived")
    imd_edition: str = pa.Field(description="Edition of the index of multiple deprivation")


class ListSizes(Contract):
    """One row per practice in the public count of registered people."""

    practice_code: str = pa.Field(unique=True, description="ODS code of the practice")
    registered_people: pl.Int64 = pa.Field(ge=0, description="People registered, as published")
    counted_date: dt.date = pa.Field(description="Day of the count")


class Registrations(Contract):
    """One row per person and registration at a practice."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    registered_date: dt.date = pa.Field(description="First day of the registration")
    deregistered_date: dt.date = pa.Field(nullable=True, description="Day the registration ended; null while open")
    registration_type: str = pa.Field(isin=REGISTRATION_TYPES, description="Only regular registrations count people")
    birth_date: dt.date = pa.Field(description="Date of birth; never leaves in an ICB output")
    death_date: dt.date = pa.Field(nullable=True, description="Date of death; null if alive or unknown")
    sex: str = pa.Field(isin=SEXES, description="Registered sex")
    lsoa_code: str = pa.Field(nullable=True, description="LSOA of residence; null if the postcode is unknown")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")


class Events(Contract):
    """One row per coded entry in a GP record: findings, diagnoses, measurements, immunisations, invitations."""

    practice_code: str = pa.Field(description="ODS code of the practice that holds the record")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    event_date: dt.date = pa.Field(nullable=True, description="Clinical date; null if none was recorded")
    entered_date: dt.date = pa.Field(description="Date the entry was made; what was known is decided by this")
    concept_id: pl.Int64 = pa.Field(gt=0, description="SNOMED CT concept id")
    value: pl.Float64 = pa.Field(nullable=True, description="Numeric value, in the unit of the unit column")
    unit: str = pa.Field(nullable=True, description="Unit as recorded")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")


class Medications(Contract):
    """One row per medicine issued by a practice."""

    practice_code: str = pa.Field(description="ODS code of the practice that holds the record")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    issued_date: dt.date = pa.Field(description="Date of issue")
    entered_date: dt.date = pa.Field(description="Date the entry was made")
    product_id: pl.Int64 = pa.Field(gt=0, description="dm+d product id")
    quantity: pl.Float64 = pa.Field(nullable=True, description="Quantity issued, in the product's own unit")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")


class Contacts(Contract):
    """One row per contact with the practice: a consultation, or an appointment kept or missed."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    contact_date: dt.date = pa.Field(description="Date of the contact")
    contact_kind: str = pa.Field(isin=CONTACT_KINDS, description="What happened")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")


class Spells(Contract):
    """One row per hospital spell (admission to discharge at one provider)."""

    practice_code: str = pa.Field(description="Practice where the person was registered when the row was loaded")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    admitted_date: dt.date = pa.Field(description="Date of admission")
    discharged_date: dt.date = pa.Field(nullable=True, description="Date of discharge; null while in hospital")
    entered_date: dt.date = pa.Field(description="Date the record reached us")
    admission_method: str = pa.Field(description="NHS Data Dictionary admission method, such as 21 or 2A")
    diagnosis_codes: str = pa.Field(
        nullable=True,
        description="ICD-10 codes in order, no dots, X padding kept, joined by |; the first is primary",
    )
    procedure_codes: str = pa.Field(nullable=True, description="OPCS-4 codes in order, no dots, joined by |")
    discharge_method: str = pa.Field(nullable=True, description="NHS Data Dictionary discharge method; 4 is died")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")


class EmergencyAttendances(Contract):
    """One row per attendance at an emergency department."""

    practice_code: str = pa.Field(description="Practice where the person was registered when the row was loaded")
    person_id: pl.Int64 = pa.Field(ge=0, description="Keyed pseudonym of the NHS number")
    arrived_date: dt.date = pa.Field(description="Date of arrival")
    entered_date: dt.date = pa.Field(description="Date the record reached us")
    department_type: str = pa.Field(nullable=True, description="Department type; 01 is a major department")
    record_id: pl.Int64 = pa.Field(nullable=True, description="Keyed pseudonym of the supplier's record id")
