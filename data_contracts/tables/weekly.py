"""Contracts of the tables that one weekly run builds, each as of one date, one Parquet file per ICB."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import SEXES, Contract

VERDICTS = ["ok", "unknown", "warn", "hold", "stop"]
PERSON_ID = "Keyed pseudonym of the NHS number"
PROGRAMMES = ["bowel", "breast", "cervical", "flu", "mmr"]
STATES = ["non_responder", "declined", "unsuitable", "up_to_date", "not_eligible"]


class People(Contract):
    """One row per person with a current regular registration on the as-of date, alive and not opted out."""

    person_id: pl.Int64 = pa.Field(unique=True, ge=0, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    icb_code: str = pa.Field(description="ODS code of the ICB")
    registered_date: dt.date = pa.Field(description="First day of the current registration")
    birth_date: dt.date = pa.Field(description="Date of birth; never leaves in an ICB output")
    age_years: pl.Int16 = pa.Field(ge=0, le=130, description="Whole years at the as-of date")
    sex: str = pa.Field(isin=SEXES, description="Registered sex")
    ethnic_group: str = pa.Field(nullable=True, description="NHS ethnic category A to S, latest known; null if none")
    imd_decile: pl.Int8 = pa.Field(nullable=True, ge=1, le=10, description="Deprivation tenth, 1 is most deprived")


class ClosedPractices(Contract):
    """One row per closed practice that still has open regular registrations: nobody there is on any list."""

    practice_code: str = pa.Field(unique=True, description="ODS code of the practice")
    practice_name: str = pa.Field(description="Name of the practice")
    closed_date: dt.date = pa.Field(nullable=True, description="Day the practice closed; null if none is known")
    people: pl.Int64 = pa.Field(ge=1, description="People whose regular registration there has not ended")
    people_nowhere_else: pl.Int64 = pa.Field(ge=0, description="Those without a registration elsewhere in the ICB")


class Conditions(Contract):
    """One row per person and condition or status that a codelist defines, ever recorded."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    condition: str = pa.Field(description="Name of the codelist")
    first_date: dt.date = pa.Field(description="Earliest clinical date")
    latest_date: dt.date = pa.Field(description="Latest clinical date")


class Measurements(Contract):
    """One row per person and measure: the latest plausible value, in the measure's own unit."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    measure: str = pa.Field(description="Name of the measure, as in measures.yaml")
    value: pl.Float64 = pa.Field(description="Latest value, in the unit that measures.yaml states")
    measured_date: dt.date = pa.Field(description="Clinical date of the value")
    previous_value: pl.Float64 = pa.Field(nullable=True, description="Value of the last earlier day that has one")


class Registers(Contract):
    """One row per person and register of registers.yaml that the person is on."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    register: str = pa.Field(description="Name of the register, as in registers.yaml")
    rule: str = pa.Field(description="The rule by which the person is on it, or the status found")
    first_date: dt.date = pa.Field(description="Earliest entry that counts, not resolved since")
    latest_date: dt.date = pa.Field(description="Latest entry that counts")


class RegisterCounts(Contract):
    """One row per practice and register: how many people are lost from the first entry to the register."""

    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    register: str = pa.Field(description="Name of the register, as in registers.yaml")
    registered: pl.Int64 = pa.Field(ge=0, description="People registered")
    recorded: pl.Int64 = pa.Field(ge=0, description="Of them, with a diagnosis, status or measurement ever recorded")
    unresolved: pl.Int64 = pa.Field(ge=0, description="Of those, not resolved since")
    on_register: pl.Int64 = pa.Field(
        ge=0, description="On the register: ages, dates, medicines and tests hold too; lithium alone can add people"
    )


class PersonFeatures(Contract):
    """One row per person and feature that has a value; what is absent is unknown or zero as features.yaml says."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    feature: str = pa.Field(description="Name of the feature, as in features.yaml")
    value: pl.Float64 = pa.Field(description="Value, in the unit that features.yaml states")


class AvoidableAdmissions(Contract):
    """One row per person and emergency spell for an ambulatory-care-sensitive condition."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    admitted_date: dt.date = pa.Field(description="Date of admission")
    condition: str = pa.Field(description="The ambulatory-care-sensitive condition")


class EmergencyAdmissions(Contract):
    """One row per person and emergency spell, whatever its cause."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    admitted_date: dt.date = pa.Field(description="Date of admission")


class Deaths(Contract):
    """One row per person who is known to have died."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    death_date: dt.date = pa.Field(description="Earliest date of death that a source gives")


class CambridgeScores(Contract):
    """One row per person: Cambridge Multimorbidity Score, general outcome and mortality, 20 conditions."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    cambridge_score: pl.Float64 = pa.Field(description="General-outcome weights summed over recorded conditions")
    cambridge_mortality_score: pl.Float64 = pa.Field(description="Mortality weights summed over recorded conditions")
    condition_count: pl.Int8 = pa.Field(ge=0, le=20, description="How many of the 20 conditions are recorded")
    conditions: str = pa.Field(nullable=True, description="Names of the conditions, joined by |; null if none")


class LifestyleFlags(Contract):
    """One row per person aged 16 or over: lifestyle risks; null where nothing was recorded."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    is_current_smoker: bool = pa.Field(nullable=True, description="Latest smoking status is current")
    is_obese: bool = pa.Field(nullable=True, description="Latest BMI at or over the threshold for the ethnic group")
    has_raised_blood_pressure: bool = pa.Field(nullable=True, description="Latest reading 140/90 mmHg or more")
    has_non_diabetic_hyperglycaemia: bool = pa.Field(
        nullable=True, description="Latest HbA1c 42 to 47 mmol/mol, no diabetes"
    )
    has_increasing_risk_drinking: bool = pa.Field(nullable=True, description="Latest AUDIT-C 5 or more")
    bmi: pl.Float64 = pa.Field(nullable=True, description="Latest BMI, kg/m2")
    bmi_date: dt.date = pa.Field(nullable=True, description="Date of the BMI")
    systolic_bp: pl.Float64 = pa.Field(nullable=True, description="Latest systolic pressure, mmHg")
    diastolic_bp: pl.Float64 = pa.Field(nullable=True, description="Latest diastolic pressure, mmHg")
    blood_pressure_date: dt.date = pa.Field(nullable=True, description="Date of the blood pressure")
    hba1c: pl.Float64 = pa.Field(nullable=True, description="Latest HbA1c, mmol/mol")
    hba1c_date: dt.date = pa.Field(nullable=True, description="Date of the HbA1c")
    audit_c: pl.Float64 = pa.Field(nullable=True, description="Latest AUDIT-C score")
    audit_c_date: dt.date = pa.Field(nullable=True, description="Date of the AUDIT-C")
    smoking_date: dt.date = pa.Field(nullable=True, description="Date of the smoking status")
    flag_count: pl.Int8 = pa.Field(ge=0, le=5, description="How many of the five flags are true")


class RiskScores(Contract):
    """One row per person: learned 12-month risk of an avoidable emergency admission, or why there is none."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    raw_score: pl.Float64 = pa.Field(nullable=True, description="Sum of the model's parts (log odds); what ranks")
    risk_avoidable_admission_12m: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Calibrated probability within 12 months"
    )
    reasons: str = pa.Field(
        nullable=True, description="The parts that raise the score most: name=points, joined by |"
    )
    unscored_reason: str = pa.Field(nullable=True, description="Why there is no score; null when there is one")
    model_version: str = pa.Field(nullable=True, description="Which model made the score")


class ModelDrift(Contract):
    """One row per ICB and figure: how far this week's people differ from those that the champion learned from."""

    icb_code: str = pa.Field(description="ODS code of the ICB")
    kind: str = pa.Field(isin=["input", "age", "calibration"], description="What is compared")
    name: str = pa.Field(description="Feature, or name of the figure")
    value: pl.Float64 = pa.Field(
        description="Population stability index of an input; days; outcomes over what earlier risks said"
    )
    limit: pl.Float64 = pa.Field(nullable=True, description="Past it somebody has to look; null if it is no alarm")
    is_over: bool = pa.Field(description="The value lies past the limit")


class ComplexCare(Contract):
    """One row per person offered a place in the complex-care cohort."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Rank in all the ICBs of this run, 1 first")
    ranked_by: str = pa.Field(
        isin=["risk_avoidable_admission_12m", "cambridge_score"], description="Which score ranked the person"
    )
    score: pl.Float64 = pa.Field(description="The value that ranked the person")
    cambridge_score: pl.Float64 = pa.Field(description="Cambridge Multimorbidity Score, the first tie-break")
    age_years: pl.Int16 = pa.Field(description="Whole years at the as-of date, the second tie-break")


class NonResponders(Contract):
    """One row per person and programme for which the person is eligible."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    programme: str = pa.Field(isin=PROGRAMMES, description="Screening or immunisation programme")
    state: str = pa.Field(isin=STATES, description="Non-responders, the declined and the unsuitable are kept apart")
    grade: str = pa.Field(nullable=True, isin=["coded", "inferred", "unknown"], description="How the state is known")
    due_date: dt.date = pa.Field(nullable=True, description="When the event fell due")
    last_done_date: dt.date = pa.Field(nullable=True, description="When it was last done; null if never")
    invitations: pl.Int16 = pa.Field(ge=0, description="Coded invitations since it fell due")
    last_invited_date: dt.date = pa.Field(nullable=True, description="Latest coded invitation")


class LifestyleRisk(Contract):
    """One row per person with at least one lifestyle flag, ranked within the practice."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Rank in the practice, 1 first")
    flag_count: pl.Int8 = pa.Field(ge=1, le=5, description="How many flags are true")


class TargetLists(Contract):
    """One row per person on a practice's weekly list; the NHS number is added only in the practice's own file."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Place on the practice's list, 1 first")
    age_years: pl.Int16 = pa.Field(description="Whole years at the as-of date")
    sex: str = pa.Field(isin=SEXES, description="Registered sex")
    cohorts: str = pa.Field(description="Cohorts the person is in, joined by |")
    reasons: str = pa.Field(description="Why this person, in plain words with dates, joined by |")
    suggested_action: str = pa.Field(description="What to do, in plain words")
    change: str = pa.Field(isin=["new", "still listed"], description="What changed since the last release")
    data_as_of: dt.date = pa.Field(
        nullable=True, description="Day up to which the practice's records are known; null if no entry is dated"
    )


class DataQuality(Contract):
    """One row per practice, feed and measure: how far this week's data can be trusted."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    feed: str = pa.Field(description="Feed that the records come by; none if no delivery is known")
    measure: str = pa.Field(description="Measure of data_quality.yaml")
    value: pl.Float64 = pa.Field(nullable=True, description="What the limits judge; null if it is not known")
    counted: pl.Int64 = pa.Field(nullable=True, ge=0, description="What was counted")
    out_of: pl.Int64 = pa.Field(nullable=True, ge=0, description="What it is compared with: a total, or last week's")
    verdict: str = pa.Field(isin=VERDICTS, description="What the value means for the practice this week")
    data_as_of: dt.date = pa.Field(nullable=True, description="Day up to which the feed's records are known")
