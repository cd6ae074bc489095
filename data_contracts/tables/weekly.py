"""Contracts of the tables that one weekly run builds, each as of one date, one Parquet file per ICB."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.clinical.definitions import owed_titles
from data_contracts.clinical.programmes.definition import load_programmes
from data_contracts.tables.capacity import ROLES
from data_contracts.tables.history import SEXES, Contract

VERDICTS = ["ok", "unknown", "warn", "hold", "stop"]
PERSON_ID = "Keyed pseudonym of the NHS number"
PROGRAMMES = list(load_programmes())
STATES = [
    "not_eligible",
    "not_yet_due",
    "due",
    "invited_once",
    "invited_twice",
    "invited_three_times",
    "booked",
    "did_not_attend",
    "did_not_respond",
    "declined",
    "unsuitable",
    "done_elsewhere",
    "up_to_date",
    "overdue_never_invited",
]
CHANNELS = ["letter", "text", "phone", "email", "in_person"]
LEFT_OUT_BY = [
    "practice_closed",
    "sharing_paused",
    "died",
    "registered_elsewhere",
    "type_1_opt_out",
    "opt_out_unknown",
]
RELEASE_RULES = [*LEFT_OUT_BY, "not_registered_now", "practice_stopped_for_data_quality", "national_opt_out"]


class Dissents(Contract):
    """One row per person with a dissent or a withdrawal in the records of the ICB's practices (Type 1 opt-out)."""

    person_id: pl.Int64 = pa.Field(unique=True, ge=0, description=PERSON_ID)
    has_dissent: bool = pa.Field(description="Any dissent, whatever its date")
    has_undated_dissent: bool = pa.Field(description="A dissent without a date: no withdrawal outweighs it")
    dissented_date: dt.date = pa.Field(nullable=True, description="Date of the latest dated dissent")
    withdrawn_date: dt.date = pa.Field(nullable=True, description="Date of the latest withdrawal")


class Eligibility(Contract):
    """One row per person and practice with a current regular registration: whether it counts, or why not."""

    person_id: pl.Int64 = pa.Field(ge=0, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    registered_date: dt.date = pa.Field(description="First day of the current registration")
    left_out_by: str = pa.Field(
        nullable=True, isin=LEFT_OUT_BY, description="The first rule that leaves the person out here; null if none"
    )


class OptOutLedger(Contract):
    """One row per practice, stage and rule: how many people with a current regular registration it left out."""

    icb_code: str = pa.Field(description="ODS code of the ICB")
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    stage: str = pa.Field(
        isin=["week", "release"], description="When the week was made, or when the release asked again"
    )
    rule: str = pa.Field(isin=RELEASE_RULES, description="The rule that left them out")
    people: pl.Int64 = pa.Field(ge=0, description="How many people, exact: this table does not leave")


class ToldCounts(Contract):
    """One row per figure that an ICB was ever told: the count that it was made from when it last moved."""

    figure: str = pa.Field(unique=True, description="Table, what tells its rows apart, and the column")
    counted: pl.Int64 = pa.Field(description="How many, exact: this table does not leave")


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
    resolved_date: dt.date = pa.Field(
        nullable=True, description="Latest code that resolves it; null if there is none"
    )
    is_unresolved: bool = pa.Field(description="The latest entry is later than the latest code that resolves it")


class Measurements(Contract):
    """One row per person and measure: the latest plausible value, in the measure's own unit."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    measure: str = pa.Field(description="Name of the measure, as in measures.yaml")
    value: pl.Float64 = pa.Field(description="Latest value, in the unit that measures.yaml states")
    measured_date: dt.date = pa.Field(description="Clinical date of the value")
    previous_value: pl.Float64 = pa.Field(nullable=True, description="Value of the last earlier day that has one")
    spread: pl.Float64 = pa.Field(
        nullable=True,
        description="Standard deviation of two or more values in the months that measures.yaml states; else null",
    )


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


class ScoreInputs(Contract):
    """One row per person, score and input that the record answers; from_record.csv says how."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    score: str = pa.Field(description="The score, or lifestyle for what is taken now")
    input: str = pa.Field(description="Name of the input, as casefinder score NAME --describe lists it")
    value: pl.Float64 = pa.Field(description="The value in the input's unit or coding; 1 for a flag that is true")
    recorded_date: dt.date = pa.Field(description="Date of the latest entry behind it")


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


class HospitalScores(Contract):
    """One row per person with a coded hospital spell in the last 24 months: Charlson and hospital frailty."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    charlson_quan_2011: pl.Int64 = pa.Field(ge=0, description="Charlson, Quan 2011 weights, all spells")
    charlson_shmi: pl.Int64 = pa.Field(ge=0, description="Charlson, NHS SHMI v1.60 codes and weights, all spells")
    charlson_1987_age_adjusted: pl.Int64 = pa.Field(ge=0, description="Charlson, 1987 weights plus age points")
    hfrs: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="Hospital Frailty Risk Score, emergency spells; null if none is coded"
    )
    hfrs_band: str = pa.Field(
        nullable=True, isin=["low", "intermediate", "high"], description="Under 5, 5 to 15, over 15"
    )
    hfrs_marks: str = pa.Field(nullable=True, description="Cautions about the frailty score, joined by |")


class PreventionScores(Contract):
    """One row per person: QRISK3, QDiabetes and the NHS Health Check from the record, or why there is no score."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    qrisk3: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=100, description="Ten-year risk of heart attack or stroke, %"
    )
    qrisk3_band: str = pa.Field(
        nullable=True, isin=["low", "raised", "high"], description="Under 10, under 20, 20 on"
    )
    qrisk3_marks: str = pa.Field(nullable=True, description="Cautions about the score, joined by |; null if none")
    qrisk3_missing: str = pa.Field(nullable=True, description="Inputs that were not on record, joined by |")
    qrisk3_reason: str = pa.Field(nullable=True, description="Why there is no QRISK3; null when there is one")
    qrisk3_version: str = pa.Field(description="The score, its version and the options used")
    qdiabetes: pl.Float64 = pa.Field(nullable=True, ge=0, le=100, description="Ten-year risk of type 2 diabetes, %")
    qdiabetes_model: str = pa.Field(
        nullable=True, isin=["A", "C"], description="Model C with a known HbA1c, A without; null if not installed"
    )
    qdiabetes_reason: str = pa.Field(nullable=True, description="Why there is no QDiabetes; null when there is one")
    health_check_eligible: bool = pa.Field(nullable=True, description="May have an NHS Health Check on the date")
    health_check_due_date: dt.date = pa.Field(nullable=True, description="When the next falls due; null if never")
    health_check_exclusions: str = pa.Field(nullable=True, description="Why not eligible, joined by |")


class LifestyleFlags(Contract):
    """One row per person of 16 or over without palliative care: lifestyle risks, what is treated, since when."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    is_current_smoker: bool = pa.Field(nullable=True, description="Latest smoking status is current")
    is_obese: bool = pa.Field(nullable=True, description="Latest BMI at or over the threshold for the ethnic group")
    has_raised_blood_pressure: bool = pa.Field(nullable=True, description="Latest reading 140/90 mmHg or more")
    has_non_diabetic_hyperglycaemia: bool = pa.Field(
        nullable=True, description="Latest HbA1c 42 to 47 mmol/mol, no diabetes"
    )
    has_increasing_risk_drinking: bool = pa.Field(nullable=True, description="Latest AUDIT-C 5 or more")
    is_inactive: bool = pa.Field(
        nullable=True, description="Latest activity index is inactive or moderately inactive"
    )
    has_poor_diet: bool = pa.Field(nullable=True, description="Latest entry on diet says poor")
    has_raised_cholesterol: bool = pa.Field(nullable=True, description="Latest total cholesterol 7.5 mmol/L or more")
    has_untreated_cardiovascular_risk: bool = pa.Field(
        nullable=True, description="QRISK3 10% or more, or cardiovascular disease, and no statin in six months"
    )
    has_blood_pressure_above_target: bool = pa.Field(
        nullable=True, description="High blood pressure on record, latest reading 140/90 or more (150/90 from age 80)"
    )
    has_high_diabetes_risk: bool = pa.Field(nullable=True, description="QDiabetes 5.6% or more")
    is_health_check_due: bool = pa.Field(nullable=True, description="Eligible for an NHS Health Check that is due")
    is_on_statin: bool = pa.Field(description="A statin issued in six months")
    is_on_blood_pressure_medicine: bool = pa.Field(description="A blood pressure medicine issued in six months")
    has_hypertension: bool = pa.Field(description="High blood pressure on record and not resolved")
    has_cardiovascular_disease: bool = pa.Field(description="Coronary disease, stroke, TIA or arterial disease ever")
    bmi: pl.Float64 = pa.Field(nullable=True, description="Latest BMI, kg/m2")
    bmi_date: dt.date = pa.Field(nullable=True, description="Date of the BMI")
    systolic_bp: pl.Float64 = pa.Field(nullable=True, description="Latest systolic pressure, mmHg")
    diastolic_bp: pl.Float64 = pa.Field(nullable=True, description="Latest diastolic pressure, mmHg")
    blood_pressure_date: dt.date = pa.Field(nullable=True, description="Date of the blood pressure")
    hba1c: pl.Float64 = pa.Field(nullable=True, description="Latest HbA1c, mmol/mol")
    hba1c_date: dt.date = pa.Field(nullable=True, description="Date of the HbA1c")
    audit_c: pl.Float64 = pa.Field(nullable=True, description="Latest AUDIT-C score")
    audit_c_date: dt.date = pa.Field(nullable=True, description="Date of the AUDIT-C")
    cholesterol_total: pl.Float64 = pa.Field(nullable=True, description="Latest total cholesterol, mmol/L")
    cholesterol_hdl: pl.Float64 = pa.Field(nullable=True, description="Latest HDL cholesterol, mmol/L")
    cholesterol_date: dt.date = pa.Field(nullable=True, description="Date of the total cholesterol")
    smoking_date: dt.date = pa.Field(nullable=True, description="Date of the smoking status")
    activity_date: dt.date = pa.Field(nullable=True, description="Date of the activity index")
    diet_date: dt.date = pa.Field(nullable=True, description="Date of the entry on diet")
    qrisk3: pl.Float64 = pa.Field(nullable=True, description="Ten-year risk of heart attack or stroke, %")
    qrisk3_band: str = pa.Field(nullable=True, description="low under 10, raised under 20, high 20 or more")
    qdiabetes: pl.Float64 = pa.Field(nullable=True, description="Ten-year risk of type 2 diabetes, %")
    health_check_due_date: dt.date = pa.Field(nullable=True, description="When the next NHS Health Check falls due")
    qrisk3_date: dt.date = pa.Field(nullable=True, description="As-of date of the QRISK3; null where there is none")
    treatment_gaps: pl.Int8 = pa.Field(
        ge=0, le=2, description="How many are true: untreated cardiovascular risk, blood pressure above target"
    )
    flag_count: pl.Int8 = pa.Field(
        ge=0, le=9, description="How many of the first nine flags are true, to untreated cardiovascular risk"
    )


class RiskScores(Contract):
    """One row per person: learned 12-month risk of an avoidable emergency admission, or why there is none."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    raw_score: pl.Float64 = pa.Field(nullable=True, description="Sum of the model's parts (log odds); what ranks")
    risk_avoidable_admission_12m: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Calibrated probability within 12 months"
    )
    unscored_reason: str = pa.Field(nullable=True, description="Why there is no score; null when there is one")
    model_version: str = pa.Field(nullable=True, description="Which model made the score")
    cut_error: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="Standard error of how far a raw score near the cut lies above it"
    )


class RiskReasons(Contract):
    """One row per person in complex care who has a learned score: the parts that raise it most."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    reasons: str = pa.Field(
        nullable=True, description="Parts of the raw score, largest first: name=points, joined by |"
    )


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


class ComplexCareRanking(Contract):
    """One row per registered person: what a place in the complex-care cohort goes by."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    area: str = pa.Field(description="Where places are shared out: all, or the code of an ICB, network or practice")
    age_years: pl.Int16 = pa.Field(description="Whole years at the as-of date")
    is_deprived: bool = pa.Field(description="Lives in one of the two most deprived tenths")
    cambridge_score: pl.Float64 = pa.Field(
        nullable=True, description="Cambridge Multimorbidity Score; null where there is none, so not ranked"
    )
    raw_score: pl.Float64 = pa.Field(nullable=True, description="raw_score of risk_scores")
    cut_error: pl.Float64 = pa.Field(nullable=True, ge=0, description="cut_error of risk_scores")


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
    belongs_probability: pl.Float64 = pa.Field(
        nullable=True,
        ge=0,
        le=1,
        description="Chance of ranking above the last place had the model learned elsewhere; null where no learned "
        "model ranked",
    )
    was_member: bool = pa.Field(description="Had a place in the latest week before this one")
    is_held_over: bool = pa.Field(description="Ranks below the last place and keeps one within the stay band")


class CohortMoves(Contract):
    """One row per person who joined or left complex care, or changed practice in it, since the latest week before."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice now; of those who left, the one before")
    move: str = pa.Field(isin=["joined", "left", "moved practice"], description="What changed")
    reason: str = pa.Field(description="Why, as far as the records say")


class ProgrammeRecords(Contract):
    """One row per person and programme for which the person is eligible: what is on record, no judgement yet."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    programme: str = pa.Field(isin=PROGRAMMES, description="Screening, immunisation or recall programme")
    rule_number: pl.Int32 = pa.Field(ge=0, description="The rule that counts now: its place in rules.csv, from 0")
    first_due_date: dt.date = pa.Field(description="When the event falls due by age, season or record alone")
    doses: pl.Int16 = pa.Field(ge=0, description="Doses on record, those too close together counted once")
    is_excluded: bool = pa.Field(description="Something on record takes the person out of the programme")
    last_done_date: dt.date = pa.Field(nullable=True, description="When it was last done; null if never")
    is_done_elsewhere: bool = pa.Field(description="The last one is coded as done by another provider")
    is_clear: bool = pa.Field(description="The last result earns the longer interval")
    booked_date: dt.date = pa.Field(nullable=True, description="Latest booking on record")
    missed_date: dt.date = pa.Field(nullable=True, description="Latest missed appointment on record")
    no_response_date: dt.date = pa.Field(nullable=True, description="Latest missing reply on record")
    declined_date: dt.date = pa.Field(nullable=True, description="Latest decline on record")
    unsuitable_date: dt.date = pa.Field(nullable=True, description="Latest entry that it does not suit the person")
    invited_date: dt.date = pa.Field(nullable=True, description="Latest invitation on record")
    invited_by: str = pa.Field(nullable=True, isin=CHANNELS, description="Its channel; null if not coded")
    second_last_invitation_date: dt.date = pa.Field(
        nullable=True, description="The invitation before it, not too close"
    )
    third_last_invitation_date: dt.date = pa.Field(nullable=True, description="The invitation before that")


class ProgrammeStates(Contract):
    """One row per person and programme for which the person is eligible, at the event that is due now or next."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    programme: str = pa.Field(isin=PROGRAMMES, description="Screening, immunisation or recall programme")
    event: str = pa.Field(description="What is due: the test, dose, season or review, as rules.csv names it")
    state: str = pa.Field(isin=STATES, description="Where the person stands; no row means not eligible")
    grade: str = pa.Field(isin=["coded", "inferred", "unknown"], description="How the state is known")
    due_date: dt.date = pa.Field(description="When the event fell due, or falls due")
    days_overdue: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="Days since it fell due, 0 if called before that; null if it is not open"
    )
    last_done_date: dt.date = pa.Field(nullable=True, description="When it was last done; null if never")
    declined_until: dt.date = pa.Field(nullable=True, description="Last day of a decline in force; null if none")
    invitations: pl.Int16 = pa.Field(ge=0, le=3, description="Coded invitations since it fell due, 3 for more")
    last_invited_date: dt.date = pa.Field(nullable=True, description="Latest coded invitation since it fell due")
    last_invited_by: str = pa.Field(nullable=True, isin=CHANNELS, description="Its channel; null if not coded")
    is_covered: bool = pa.Field(description="Done within the window that counts as up to date")
    is_gap: bool = pa.Field(description="Overdue, missed or unanswered: worth a contact")


class NonResponders(Contract):
    """One row per person with at least one gap in any programme, ranked within the practice."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Rank in the practice, 1 first, by priority and its stated ties")
    priority: pl.Int64 = pa.Field(
        ge=0, description="Harm times days overdue over all gaps, by how often the person came"
    )
    gap_count: pl.Int16 = pa.Field(ge=1, description="How many programmes have a gap")
    gaps: str = pa.Field(description="The programmes with a gap, the weightiest first, joined by |")
    days_overdue: pl.Int32 = pa.Field(ge=0, description="Days since the longest open gap fell due")
    answered_before: pl.Int16 = pa.Field(
        ge=0, description="Programmes that were due and in which the person ever came"
    )
    asked_before: pl.Int16 = pa.Field(ge=1, description="Programmes that were due")
    last_seen_date: dt.date = pa.Field(nullable=True, description="When the practice last saw the person")
    last_seen_for: str = pa.Field(nullable=True, description="What for: a kind of contact or of test")


class PeopleNotSeen(Contract):
    """One row per registered person whom the practice has not seen or whom no count reaches."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Place within the practice, the weightiest reasons first")
    priority: pl.Int16 = pa.Field(ge=0, description="Sum of the weights of the reasons; 0 is no cause to reach out")
    reasons: str = pa.Field(description="Reasons as not_seen.csv names them, joined by |")
    registered_date: dt.date = pa.Field(description="First day of the current registration")
    last_seen_date: dt.date = pa.Field(
        nullable=True, description="Last consultation or appointment kept; null if none"
    )
    not_seen_since: dt.date = pa.Field(
        nullable=True, description="Since when the practice is known not to have seen the person"
    )
    last_trace_date: dt.date = pa.Field(
        nullable=True, description="Latest entry, medicine, hospital stay or attendance"
    )
    last_trace: str = pa.Field(nullable=True, description="What that was")
    is_possible_ghost: bool = pa.Field(
        description="No trace of any kind for long: check the address before anything else"
    )


class LifestyleRisk(Contract):
    """One row per person with at least one lifestyle flag, ranked in the practice by gaps, then flags."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    rank: pl.Int64 = pa.Field(ge=1, description="Rank in the practice, 1 first")
    treatment_gaps: pl.Int8 = pa.Field(ge=0, le=2, description="How many treatment gaps there are; ranks first")
    flag_count: pl.Int8 = pa.Field(ge=1, le=9, description="How many flags are true; ranks second")


OWED_STATES = ["in_place", "due_for_review", "missing", "not_known"]


class CareOwed(Contract):
    """One row per person in complex care and thing owed: whether it is in place, since when, or missing."""

    person_id: pl.Int64 = pa.Field(description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice of registration")
    thing: str = pa.Field(isin=list(owed_titles()), description="What is owed, as care_owed.csv names it")
    state: str = pa.Field(
        isin=OWED_STATES, description="How it stands on record; not_known where no code for it is loaded"
    )
    since_date: dt.date = pa.Field(nullable=True, description="First entry that says it is in place")
    latest_date: dt.date = pa.Field(nullable=True, description="Last such entry")


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
    role: str = pa.Field(
        isin=ROLES, description="Who sees the person, by the rules of actions.yaml and the slots stated"
    )
    offer: str = pa.Field(
        nullable=True, description="Id of the local offer suggested; null if none fits or has places"
    )
    weeks_listed: pl.Int64 = pa.Field(
        ge=1, description="Lists in a row that held the person without an answer, this one counted; 1 is new"
    )
    data_as_of: dt.date = pa.Field(
        nullable=True, description="Day up to which the practice's records are known; null if no entry is dated"
    )


LEFT_BECAUSE = [
    "the practice answered",
    "no longer registered here, or no longer counted",
    "no longer in a cohort",
    "others came first",
]


class ListLeavers(Contract):
    """One row per person on a practice's last list who is not on this one, and why: nobody falls off in silence."""

    person_id: pl.Int64 = pa.Field(unique=True, description=PERSON_ID)
    practice_code: str = pa.Field(description="ODS code of the practice that had listed the person")
    weeks_listed: pl.Int64 = pa.Field(ge=1, description="Lists in a row that had held the person")
    reason: str = pa.Field(isin=LEFT_BECAUSE, description="Why, the first that applies")


class ListCapacity(Contract):
    """One row per practice and role: whom this week's places reach, and whom they do not."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    role: str = pa.Field(isin=ROLES, description="Who sees the people")
    places: pl.Int64 = pa.Field(
        nullable=True, ge=0, description="Slots stated for the role; null where a default holds"
    )
    listed: pl.Int64 = pa.Field(ge=0, description="People on the list for this role")
    waiting: pl.Int64 = pa.Field(
        ge=0, description="People in a cohort for whom this role is the first choice and who have no place this week"
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
