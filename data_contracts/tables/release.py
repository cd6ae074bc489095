"""Contracts of the files that leave to an ICB: pseudonyms, bands and months, never a date or an identifier.

A null in practice_code, age_band, sex or deprivation_fifth was masked: too few people share the combination.
"""

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import SEXES, Contract
from data_contracts.tables.weekly import PROGRAMMES

PSEUDONYM = "Keyed pseudonym, letters only; made for this ICB alone, so no two ICBs can join their files"
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
AGE_BANDS = ["0-4", "5-15", "16-24", "25-34", "35-44", "45-54", "55-64", "65-74", "75-84", "85 and over"]
WIDE_AGE_BANDS = ["0-15", "16-64", "65 and over"]
RELEASED_STATES = [
    "invited_once",
    "invited_twice",
    "invited_three_times",
    "did_not_attend",
    "did_not_respond",
    "overdue_never_invited",
    "declined",
    "unsuitable",
]
QUASI_IDENTIFIERS = ["practice_code", "age_band", "sex", "deprivation_fifth"]
"""What someone might know of a person from elsewhere: each combination is shared or masked."""


class IcbPerson(Contract):
    """What every file says first of each person of one ICB: who, under a pseudonym, and the quasi-identifiers."""

    pseudonym: str = pa.Field(unique=True, description=PSEUDONYM)
    practice_code: str = pa.Field(nullable=True, description="ODS code of the practice; null if masked")
    age_band: str = pa.Field(nullable=True, isin=AGE_BANDS + WIDE_AGE_BANDS, description="Age in bands of years")
    sex: str = pa.Field(nullable=True, isin=SEXES, description="Registered sex; null if masked")
    deprivation_fifth: pl.Int8 = pa.Field(nullable=True, ge=1, le=5, description="Deprivation fifth, 1 most deprived")


class IcbComplexCare(IcbPerson):
    """One row per person offered a place in the complex-care cohort of one ICB."""

    rank: pl.Int64 = pa.Field(ge=1, description="Rank in all the ICBs of this run, 1 first")
    ranked_by: str = pa.Field(
        isin=["risk_avoidable_admission_12m", "cambridge_score"], description="Which score ranked the person"
    )
    score: pl.Float64 = pa.Field(description="The score that ranked the person, to three decimals")
    belongs_probability: pl.Float64 = pa.Field(
        nullable=True,
        ge=0,
        le=1,
        description="Chance of ranking above the last place had the model learned elsewhere, to two decimals",
    )
    risk_avoidable_admission_12m: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Probability within 12 months, to three decimals; null if not scored"
    )
    cambridge_score: pl.Float64 = pa.Field(description="Cambridge Multimorbidity Score, to two decimals")


class IcbNonResponders(IcbPerson):
    """One row per person and programme that is overdue, declined or unsuitable, in one ICB."""

    pseudonym: str = pa.Field(description=PSEUDONYM)
    programme: str = pa.Field(isin=PROGRAMMES, description="Screening, immunisation or recall programme")
    state: str = pa.Field(isin=RELEASED_STATES, description="Overdue, declined and unsuitable are kept apart")
    grade: str = pa.Field(isin=["coded", "inferred", "unknown"], description="How the state is known")
    due_month: str = pa.Field(str_matches=MONTH, description="Month in which the event fell due")
    last_done_month: str = pa.Field(nullable=True, str_matches=MONTH, description="Month last done; null if never")
    invitations: pl.Int16 = pa.Field(ge=0, description="Coded invitations since it fell due")
    last_invited_month: str = pa.Field(nullable=True, str_matches=MONTH, description="Month of the last invitation")


class IcbLifestyleRisk(IcbPerson):
    """One row per person of one ICB with at least one lifestyle flag; null where nothing was recorded."""

    rank: pl.Int64 = pa.Field(ge=1, description="Rank in the practice, 1 first")
    treatment_gaps: pl.Int8 = pa.Field(ge=0, le=2, description="How many treatment gaps there are; ranks first")
    flag_count: pl.Int8 = pa.Field(ge=1, le=9, description="How many flags are true; ranks second")
    is_current_smoker: bool = pa.Field(nullable=True, description="Latest smoking status is current")
    is_obese: bool = pa.Field(nullable=True, description="Latest BMI at or over the threshold for the ethnic group")
    has_raised_blood_pressure: bool = pa.Field(nullable=True, description="Latest reading 140/90 mmHg or more")
    has_non_diabetic_hyperglycaemia: bool = pa.Field(nullable=True, description="Latest HbA1c 42 to 47 mmol/mol")
    has_increasing_risk_drinking: bool = pa.Field(nullable=True, description="Latest AUDIT-C 5 or more")
    is_inactive: bool = pa.Field(
        nullable=True, description="Latest activity index is inactive or moderately inactive"
    )
    has_poor_diet: bool = pa.Field(nullable=True, description="Latest entry on diet says poor")
    has_raised_cholesterol: bool = pa.Field(nullable=True, description="Latest total cholesterol 7.5 mmol/L or more")
    has_untreated_cardiovascular_risk: bool = pa.Field(
        nullable=True, description="QRISK3 10% or more, or cardiovascular disease, and no statin in six months"
    )


class IcbPeopleNotSeen(IcbPerson):
    """One row per registered person of one ICB whom the practice does not reach, with how; circumstances stay."""

    not_seen: str = pa.Field(description="How, as not_seen.csv names it, joined by |")
    last_seen_month: str = pa.Field(
        nullable=True,
        str_matches=MONTH,
        description="Month of the last consultation or appointment kept; null if none",
    )
    last_trace_month: str = pa.Field(
        nullable=True, str_matches=MONTH, description="Month of the latest entry, medicine, stay or attendance"
    )
    is_possible_ghost: bool = pa.Field(description="No trace of any kind for long: the person may have moved away")


class IcbWide(IcbPerson):
    """One row per person of one ICB who is in any cohort: every cohort side by side; null where it does not apply."""

    is_on_the_list: bool = pa.Field(description="Is on a practice's list of this week")
    complex_care_rank: pl.Int64 = pa.Field(nullable=True, ge=1, description="Rank in complex care; null if no place")
    risk_avoidable_admission_12m: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Probability within 12 months, to three decimals; null if not scored"
    )
    overdue: str = pa.Field(nullable=True, description="Programmes with a gap, joined by |; null if none")
    declined: str = pa.Field(nullable=True, description="Programmes declined, joined by |; null if none")
    lifestyle_flag_count: pl.Int8 = pa.Field(nullable=True, ge=1, le=9, description="Lifestyle flags; null if none")
    not_seen: str = pa.Field(nullable=True, description="How the practice does not reach the person; null if it does")


RELEASED: dict[str, type[Contract]] = {
    "complex_care": IcbComplexCare,
    "non_responders": IcbNonResponders,
    "lifestyle_risk": IcbLifestyleRisk,
    "people_not_seen": IcbPeopleNotSeen,
    "wide": IcbWide,
}
"""File name to its contract: the cohorts, then all of them side by side."""
COHORTS = ["complex_care", "non_responders", "lifestyle_risk", "people_not_seen"]
