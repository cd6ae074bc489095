"""Contracts of staged rows: what a typed row of a feed must meet to be loaded. Each rule names its reason."""

import datetime as dt
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.polars import PolarsData

from data_contracts.tables import history
from data_contracts.tables.history import (
    HOSPITAL_DATE_FLOOR,
    PRACTICE_STATUSES,
    REGISTRATION_TYPES,
    SEXES,
    Contract,
)

WITHHELD = ("dummy_patient", "spine_sensitive", "confidential", "identity_withheld")
"""Reasons why a row is kept out for good: its raw text is not kept, and what was loaded before goes."""

TAKEN_OUT = {"impossible": "taken out"}
"""Says of a clinical date that may be missing: one before birth or after the extract becomes none, and is counted."""

RETRIED = ("code_not_known", "code_not_mapped", "person_not_held", "stay_not_held", "issued_after_extract")
"""Reasons that may go when a code, a patient, a roster or a day arrives: rows with none but these are tried again."""

ODS_CODE = r"^[A-Z0-9]{3,8}$"


def _must_be(value: bool, reason: str) -> Any:
    """A yes-or-no column that has to hold one value, with the reason when it does not."""
    return pa.Field(
        eq=value, n_failure_cases=1, description=f"Rows with {not value} fail", metadata={"reason": reason}
    )


def _word(allowed: list[str], reason: str, about: str) -> Any:
    return pa.Field(
        isin=allowed, n_failure_cases=1, description=about, metadata={"reason": reason, "missing": reason}
    )


def _rule(reason: str, must_hold: pl.Expr) -> Any:
    """A rule about a whole row; null passes. Pandera takes the reason from the function's own name."""

    def check(cls: type, data: PolarsData) -> pl.LazyFrame:
        found: pl.LazyFrame = data.lazyframe.select(must_hold)
        return found

    check.__name__ = reason
    return pa.dataframe_check(n_failure_cases=1)(check)


def _ods_code(about: str, *, missing: str, reason: str) -> Any:
    """A code of letters and digits: it names files and folders and is shown in spreadsheets."""
    return pa.Field(
        str_matches=ODS_CODE, n_failure_cases=1, description=about, metadata={"missing": missing, "reason": reason}
    )


def _no_later(reason: str, early: str, late: str) -> Any:
    return _rule(reason, pl.col(early) <= pl.col(late))


class StagedRow(Contract):
    """One row per record of a practice's extract that is neither deleted nor superseded."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the record id", metadata={"missing": "key_missing"}
    )
    extract_date: dt.date = pa.Field(description="Day the extract was made")
    is_own_organisation: bool = _must_be(True, "wrong_organisation")
    has_readable_dates: bool = _must_be(True, "date_not_readable")
    has_readable_flags: bool = _must_be(True, "flag_not_readable")
    is_confidential: bool = _must_be(False, "confidential")


class StagedPeople(StagedRow):
    """One row per patient record of a practice, whatever the person's registrations."""

    person_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the NHS number", metadata={"missing": "nhs_number_not_valid"}
    )
    birth_date: dt.date = pa.Field(description="Date of birth")
    death_date: dt.date = pa.Field(nullable=True, description="Date of death")
    sex: str = _word(SEXES, "sex_not_known_word", "Registered sex")
    is_dummy: bool = _must_be(False, "dummy_patient")
    is_spine_sensitive: bool = _must_be(False, "spine_sensitive")

    birth_date_after_extract = _no_later("birth_date_after_extract", "birth_date", "extract_date")
    death_date_after_extract = _no_later("death_date_after_extract", "death_date", "extract_date")
    death_date_before_birth = _no_later("death_date_before_birth", "birth_date", "death_date")


class StagedPatients(StagedPeople):
    """One row per patient record of a practice that carries one registration."""

    registered_date: dt.date = pa.Field(description="First day of the registration")
    registration_type: str = _word(REGISTRATION_TYPES, "registration_type_not_known", "Type of registration")

    registered_date_after_extract = _no_later("registered_date_after_extract", "registered_date", "extract_date")
    registered_date_before_birth = _no_later("registered_date_before_birth", "birth_date", "registered_date")


class StagedAbout(StagedRow):
    """One row per record about a patient of the practice. ``person_state`` is held, a withheld reason, or null."""

    person_state: str = pa.Field(description="What the roster says", metadata={"missing": "person_not_held"})

    dummy_patient = _rule("dummy_patient", pl.col("person_state") != "dummy_patient")
    spine_sensitive = _rule("spine_sensitive", pl.col("person_state") != "spine_sensitive")
    confidential = _rule("confidential", pl.col("person_state") != "confidential")


class StagedRegistrations(StagedAbout):
    """One row per registration of a patient, where a patient may have several."""

    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the patient")
    registered_date: dt.date = pa.Field(description="First day of the registration")
    registration_type: str = _word(REGISTRATION_TYPES, "registration_type_not_known", "Type of registration")
    has_organisation: bool = _must_be(True, "organisation_missing")

    registered_date_after_extract = _no_later("registered_date_after_extract", "registered_date", "extract_date")
    registered_date_before_birth = _no_later("registered_date_before_birth", "birth_date", "registered_date")


class StagedStatuses(Contract):
    """One row per change of a patient's registration, in a file of all practices."""

    record_id: pl.Int64 = pa.Field(description="Keyed pseudonym of all the record says")
    extract_date: dt.date = pa.Field(description="Day the file was made")
    person_state: str = pa.Field(description="What the roster says", metadata={"missing": "person_not_held"})
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the patient")
    changed_date: dt.date = pa.Field(description="Day of the change", metadata={"missing": "date_not_readable"})
    status: str = _word(["applied", "registered", "ended"], "registration_status_not_known", "Status")
    registration_type: str = _word(REGISTRATION_TYPES, "registration_type_not_known", "Type of registration")

    dummy_patient = _rule("dummy_patient", pl.col("person_state") != "dummy_patient")
    spine_sensitive = _rule("spine_sensitive", pl.col("person_state") != "spine_sensitive")
    confidential = _rule("confidential", pl.col("person_state") != "confidential")
    date_after_extract = _no_later("date_after_extract", "changed_date", "extract_date")
    date_before_birth = _no_later("date_before_birth", "birth_date", "changed_date")


class StagedEntry(StagedAbout):
    """One row per dated record about a patient of the practice."""

    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the patient")
    clinical_date: dt.date = pa.Field(nullable=True, description="Clinical date")

    date_after_extract = _no_later("date_after_extract", "clinical_date", "extract_date")
    date_before_birth = _no_later("date_before_birth", "birth_date", "clinical_date")


class StagedEvents(StagedEntry):
    """One row per observation. Its clinical date may be missing, so an impossible one does not hold it back."""

    clinical_date: dt.date = pa.Field(nullable=True, description="Clinical date", metadata=TAKEN_OUT)

    code_state: str = pa.Field(
        isin=["known"],
        n_failure_cases=1,
        description="known, not_mapped, or null when not in the code table",
        metadata={"missing": "code_not_known", "reason": "code_not_mapped"},
    )
    concept_id: pl.Int64 = pa.Field(nullable=True, gt=0, description="SNOMED CT concept id")
    entered_date: dt.date = pa.Field(description="Date the entry was made")
    has_readable_numbers: bool = _must_be(True, "number_not_readable")

    entered_date_after_extract = _no_later("entered_date_after_extract", "entered_date", "extract_date")


class StagedMedications(StagedEvents):
    """One row per issue of a medicine."""

    clinical_date: dt.date = pa.Field(description="Date of issue", metadata={"missing": "date_missing"})


class StagedCodedEntries(StagedEvents):
    """One row per entry that carries its own SNOMED CT code."""

    has_check_digit: bool = _must_be(True, "check_digit_wrong")


class StagedIssues(StagedMedications):
    """One row per issue of a medicine that may be dated ahead: then it waits until its day has come."""

    date_after_extract = _no_later("issued_after_extract", "clinical_date", "extract_date")


class StagedContacts(StagedEntry):
    """One row per consultation or booked slot."""

    clinical_date: dt.date = pa.Field(description="Date of the contact", metadata={"missing": "date_missing"})


class StagedAppointments(StagedContacts):
    """One row per appointment whose status is a number of the supplier's mapping."""

    code_state: str = pa.Field(description="known, or null", metadata={"missing": "code_not_known"})


class StagedHospitalRow(Contract):
    """One row per hospital record with a person on a roster."""

    record_key: str = pa.Field(description="The supplier's record key", metadata={"missing": "key_missing"})
    has_person_key: bool = _must_be(True, "nhs_number_not_valid")
    is_identity_withheld: bool = _must_be(False, "identity_withheld")
    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    start_date: dt.date = pa.Field(
        ge=HOSPITAL_DATE_FLOOR,
        n_failure_cases=1,
        description="Admission or arrival",
        metadata={"missing": "date_missing", "reason": "date_too_early"},
    )
    has_readable_dates: bool = _must_be(True, "date_not_readable")
    version: pl.Int64 = pa.Field(
        description="Import number, or day of the extract", metadata={"missing": "number_not_readable"}
    )
    extract_date: dt.date = pa.Field(description="Day the extract was made")

    date_after_extract = _no_later("date_after_extract", "start_date", "extract_date")


class StagedAdmissions(StagedHospitalRow):
    """One row per episode or whole stay of admitted care."""

    discharged_date: dt.date = pa.Field(nullable=True, description="Discharge; null while in hospital")
    admission_method: str = pa.Field(description="Admission method", metadata={"missing": "admission_method_missing"})
    provider_code: str = pa.Field(description="Provider", metadata={"missing": "provider_missing"})

    discharged_before_admission = _no_later("discharged_before_admission", "start_date", "discharged_date")


class StagedAttendances(StagedHospitalRow):
    """One row per attendance at an emergency department."""


class StagedStayPart(Contract):
    """One row per episode of a stay that comes in several tables."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of stay, episode and position", metadata={"missing": "key_missing"}
    )
    stay_state: str = pa.Field(description="held, or null", metadata={"missing": "stay_not_held"})
    version: pl.Int64 = pa.Field(description="Import number", metadata={"missing": "number_not_readable"})


class StagedStayCodes(StagedStayPart):
    """One row per diagnosis or procedure of a stay that comes in several tables."""

    position: pl.Int64 = pa.Field(description="Place in the episode", metadata={"missing": "number_not_readable"})
    code: str = pa.Field(description="ICD-10 or OPCS-4 code", metadata={"missing": "code_missing"})


class StagedDeletions(Contract):
    """One row per entry of an insert and delete log."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the record key", metadata={"missing": "key_missing"}
    )
    version: pl.Int64 = pa.Field(description="Last import deleted", metadata={"missing": "number_not_readable"})
    has_readable_flags: bool = _must_be(True, "flag_not_readable")


class StagedPseudonyms(Contract):
    """One row per pseudonym of the hospital feed whose NHS number is known."""

    record_id: pl.Int64 = pa.Field(description="Keyed hash of the pseudonym", metadata={"missing": "key_missing"})
    person_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the NHS number", metadata={"missing": "nhs_number_not_valid"}
    )


class StagedCodes(Contract):
    """One row per code of a supplier's code table. A local code without a target is kept, as not mapped."""

    code_id: pl.Int64 = pa.Field(description="The supplier's code id", metadata={"missing": "key_missing"})
    is_readable_target: bool = _must_be(True, "code_not_a_number")
    has_check_digit: bool = _must_be(True, "check_digit_wrong")


class StagedCodeMap(Contract):
    """One row per code of a map to SNOMED CT. A code without a target is kept, as not mapped."""

    ctv3_code: str = pa.Field(description="CTV3 code", metadata={"missing": "key_missing"})
    is_readable_target: bool = _must_be(True, "code_not_a_number")
    has_check_digit: bool = _must_be(True, "check_digit_wrong")


class StagedNotices(Contract):
    """One row per record of a table that is read for what it says about the delivery: nothing is asked of it."""

    is_deleted: bool = pa.Field(description="Always false")


class StagedPractices(Contract):
    """One row per practice in the national list of practices."""

    practice_code: str = _ods_code("ODS code", missing="key_missing", reason="practice_code_not_a_code")
    practice_name: str = pa.Field(description="Name", metadata={"missing": "name_missing"})
    icb_code: str = _ods_code("ODS code of the ICB", missing="icb_missing", reason="icb_code_not_a_code")
    status: str = _word(PRACTICE_STATUSES, "status_not_known_word", "active, closed, dormant or proposed")
    has_readable_dates: bool = _must_be(True, "date_not_readable")


class StagedPartners(Contract):
    """One row per practice: its latest membership of a primary care network."""

    practice_code: str = pa.Field(description="ODS code of the practice", metadata={"missing": "key_missing"})
    pcn_code: str = _ods_code("ODS code of the network", missing="pcn_missing", reason="pcn_code_not_a_code")


class StagedLsoas(Contract):
    """One row per lower-layer super output area."""

    lsoa_code: str = pa.Field(description="LSOA code", metadata={"missing": "key_missing"})
    imd_decile: pl.Int8 = pa.Field(
        ge=1,
        le=10,
        description="Deprivation tenth",
        metadata={"missing": "decile_missing", "reason": "decile_not_1_to_10"},
    )


class StagedSuccessors(Contract):
    """One row per LSOA of 2011 and LSOA of 2021 that took its place."""

    lsoa_code: str = pa.Field(description="LSOA code of 2011", metadata={"missing": "key_missing"})
    new_lsoa_code: str = pa.Field(description="LSOA code of 2021", metadata={"missing": "lsoa_missing"})


class StagedPostcodes(Contract):
    """One row per postcode, spaces taken out."""

    postcode: str = pa.Field(description="Postcode", metadata={"missing": "key_missing"})
    lsoa_code: str = pa.Field(description="LSOA code", metadata={"missing": "lsoa_missing"})


class StagedListSizes(Contract):
    """One row per practice: people of all ages registered, as published."""

    practice_code: str = _ods_code("ODS code", missing="key_missing", reason="practice_code_not_a_code")
    registered_people: pl.Int64 = pa.Field(
        ge=0,
        n_failure_cases=1,
        description="People registered",
        metadata={"missing": "number_not_readable", "reason": "number_below_zero"},
    )
    counted_date: dt.date = pa.Field(description="Day of the count", metadata={"missing": "date_not_readable"})


class StagedMadeUpRow(Contract):
    """One row per Synthea record that is not superseded."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the row's key", metadata={"missing": "key_missing"}
    )
    has_readable_dates: bool = _must_be(True, "date_not_readable")


class StagedMadeUpPeople(StagedMadeUpRow):
    """One row per made-up person."""

    person_id: pl.Int64 = pa.Field(description="Keyed pseudonym of the made-up NHS number")
    birth_date: dt.date = pa.Field(description="Date of birth")
    death_date: dt.date = pa.Field(nullable=True, description="Date of death")
    sex: str = _word(SEXES, "sex_not_known_word", "Registered sex")
    death_date_before_birth = _no_later("death_date_before_birth", "birth_date", "death_date")


class StagedMadeUpEntries(StagedMadeUpRow):
    """One row per condition, procedure, observation, immunisation, medicine or encounter."""

    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the person")
    clinical_date: dt.date = pa.Field(description="Day of the entry", metadata={"missing": "date_missing"})
    code_state: str = pa.Field(description="known, or null", metadata={"missing": "code_not_mapped"})
    has_check_digit: bool = _must_be(True, "check_digit_wrong")
    has_readable_numbers: bool = _must_be(True, "number_not_readable")
    date_before_birth = _no_later("date_before_birth", "birth_date", "clinical_date")


class StagedMadeUpEncounters(StagedMadeUpEntries):
    """One row per encounter; the discharge is that of an inpatient encounter, null for the others."""

    discharged_date: dt.date = pa.Field(nullable=True, description="Day the stay ended")
    is_plausible_stay: bool = _must_be(True, "stay_too_long")
    discharged_before_admission = _no_later("discharged_before_admission", "clinical_date", "discharged_date")


class StagedConcepts(Contract):
    """One row per concept of a vocabulary that codes are looked up in."""

    concept: pl.Int64 = pa.Field(description="OMOP concept id", metadata={"missing": "key_missing"})
    code: str = pa.Field(description="Code in its vocabulary", metadata={"missing": "code_missing"})
    has_check_digit: bool = _must_be(True, "check_digit_wrong")


class StagedConceptLinks(Contract):
    """One row per concept and standard concept that it maps to."""

    concept: pl.Int64 = pa.Field(description="OMOP concept id", metadata={"missing": "key_missing"})
    target: pl.Int64 = pa.Field(description="OMOP concept id it maps to", metadata={"missing": "target_missing"})


class StagedPersonKeys(Contract):
    """One row per person of a drop: who it is and where registered."""

    person_source: str = pa.Field(description="person_source_value", metadata={"missing": "key_missing"})
    nhs_number: str = pa.Field(description="NHS number", metadata={"missing": "nhs_number_not_valid"})
    icb_code: str = pa.Field(description="ICB of the practice", metadata={"missing": "practice_not_listed"})
    has_readable_dates: bool = _must_be(True, "date_not_readable")


class StagedSupersededNumbers(Contract):
    """One row per NHS number that another has taken the place of."""

    person_id: pl.Int64 = pa.Field(
        description="Pseudonym of the superseded number", metadata={"missing": "nhs_number_not_valid"}
    )
    new_person_id: pl.Int64 = pa.Field(
        description="Pseudonym of the number that holds", metadata={"missing": "nhs_number_not_valid"}
    )
    has_one_successor: bool = _must_be(True, "two_successors")
    is_circle: bool = _must_be(False, "leads_in_a_circle")


class StagedMethodRules(Contract):
    """One row per field and value of a visit: how the admission came about."""

    field: str = _word(
        ["visit_source_value", "admitted_from_source_value", "admitted_from_concept_id", "visit_concept_id"],
        "field_not_known_word",
        "Field of visit_occurrence",
    )
    value: str = pa.Field(description="Value of the field", metadata={"missing": "value_missing"})
    admission_method: str = pa.Field(
        str_matches=r"^[1-9][0-9A-D]$",
        n_failure_cases=1,
        description="NHS Data Dictionary admission method",
        metadata={"missing": "admission_method_missing", "reason": "admission_method_not_known"},
    )


class StagedOmopRow(Contract):
    """One row per OMOP record that is not superseded."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the row's key", metadata={"missing": "key_missing"}
    )
    has_readable_dates: bool = _must_be(True, "date_not_readable")
    extract_date: dt.date = pa.Field(description="Day of the drop")


class StagedOmopPeople(StagedOmopRow):
    """One row per person of a drop who has a key and an observation period."""

    person_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the NHS number", metadata={"missing": "person_key_not_held"}
    )
    birth_date: dt.date = pa.Field(description="Date of birth", metadata={"missing": "birth_date_missing"})
    sex: str = _word(SEXES, "sex_not_known_word", "Registered sex")
    has_period: bool = _must_be(True, "observation_period_not_held")
    birth_date_after_extract = _no_later("birth_date_after_extract", "birth_date", "extract_date")


class StagedPeriods(StagedOmopRow):
    """One row per observation period of a person who is held."""

    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the person")
    start_date: dt.date = pa.Field(description="First day", metadata={"missing": "date_missing"})
    end_date: dt.date = pa.Field(nullable=True, description="Last day")

    registered_date_before_birth = _no_later("registered_date_before_birth", "birth_date", "start_date")
    registered_date_after_extract = _no_later("registered_date_after_extract", "start_date", "extract_date")
    period_ends_before_start = _no_later("period_ends_before_start", "start_date", "end_date")


class StagedDeaths(StagedOmopRow):
    """One row per person who has died and is held."""

    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the person")
    death_date: dt.date = pa.Field(description="Date of death", metadata={"missing": "date_missing"})

    death_date_after_extract = _no_later("death_date_after_extract", "death_date", "extract_date")
    death_date_before_birth = _no_later("death_date_before_birth", "birth_date", "death_date")


class StagedOmopEntries(StagedMadeUpEntries):
    """One row per condition, procedure, exposure, measurement or observation of a person who is held."""

    extract_date: dt.date = pa.Field(description="Day of the drop")
    date_after_extract = _no_later("date_after_extract", "clinical_date", "extract_date")


class StagedVisits(StagedOmopEntries):
    """One row per visit; an inpatient one has an admission method, and a discharge unless it goes on."""

    discharged_date: dt.date = pa.Field(nullable=True, description="Day the stay ended")
    has_method: bool = _must_be(True, "admission_method_not_mapped")
    discharged_before_admission = _no_later("discharged_before_admission", "clinical_date", "discharged_date")


class OwnRow(Contract):
    """One row per record of an ICB's own extraction, beside what its history table asks of it."""

    person_id: pl.Int64 = pa.Field(
        ge=0, description="Keyed pseudonym of the NHS number", metadata={"missing": "nhs_number_not_valid"}
    )
    is_own_practice: bool = _must_be(True, "wrong_practice")
    has_readable_values: bool = _must_be(True, "value_not_readable")
    has_check_digit: bool = _must_be(True, "check_digit_wrong")
    extract_date: dt.date = pa.Field(description="Day of the files")


class OwnEntry(OwnRow):
    """One row per record about a person whom the practice has."""

    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    clinical_date: dt.date = pa.Field(nullable=True, description="The table's own date")
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the person")

    date_before_birth = _no_later("date_before_birth", "birth_date", "clinical_date")
    date_after_extract = _no_later("date_after_extract", "clinical_date", "extract_date")


class OwnKnownEntry(OwnEntry):
    """One row per record about a person that says on which day it was entered."""

    entered_date: dt.date = pa.Field(description="Day it was entered")

    entered_date_after_extract = _no_later("entered_date_after_extract", "entered_date", "extract_date")


class OwnRegistrations(OwnRow, history.Registrations):
    """One row per registration."""

    registered_date_before_birth = _no_later("registered_date_before_birth", "birth_date", "registered_date")
    registered_date_after_extract = _no_later("registered_date_after_extract", "registered_date", "extract_date")
    deregistered_before_registered = _no_later(
        "deregistered_before_registered", "registered_date", "deregistered_date"
    )
    death_date_before_birth = _no_later("death_date_before_birth", "birth_date", "death_date")
    death_date_after_extract = _no_later("death_date_after_extract", "death_date", "extract_date")


class OwnEvents(OwnKnownEntry, history.Events):
    """One row per coded entry."""


class OwnMedications(OwnKnownEntry, history.Medications):
    """One row per medicine issued."""


class OwnContacts(OwnEntry, history.Contacts):
    """One row per contact."""


class OwnSpells(OwnKnownEntry, history.Spells):
    """One row per spell."""

    discharged_before_admission = _no_later("discharged_before_admission", "admitted_date", "discharged_date")


class OwnAttendances(OwnKnownEntry, history.EmergencyAttendances):
    """One row per attendance at an emergency department."""
