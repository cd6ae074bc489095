"""Where people stand with screening, immunisation and recall on 16 November 2026, one line a case."""

import datetime as dt

import polars as pl
import pytest

from data_contracts.codelists import codes_of
from tests.lib import tables
from tests.lib.programmes import SPECS, Case, case, differences, spec
from tests.lib.tables import AS_OF, answer

MAY_2025 = dt.date(2025, 5, 19)
DUE, OVERDUE, SILENT = "due inferred", "overdue_never_invited inferred", "did_not_respond inferred"
DONE, MISSED, UNANSWERED, DECLINED = (
    "up_to_date coded",
    "did_not_attend coded",
    "did_not_respond coded",
    "declined coded",
)
UNSUITABLE, NOT_YET, OUT = "unsuitable coded", "not_yet_due inferred", "not_eligible coded"


def covers(programme: str, code: str, first_day: str, silence: str, *, born: str = "") -> tuple[Case, ...]:
    """Done the day before, on and after the first day that covers, and on the as-of date, which is not known."""
    first = dt.date.fromisoformat(first_day)
    before, after = (first + dt.timedelta(days=days) for days in (-1, 1))
    expected = {before: silence, first: DONE, after: DONE, AS_OF: silence}
    return tuple(case(programme, f"{code} {day}", state, born=born) for day, state in expected.items())


def ages(programme: str, *days: tuple[str, bool], sex: str = "") -> tuple[Case, ...]:
    """Birth dates and whether each is in the programme, tested by a coded decline that everybody has."""
    declined = {"bowel": "bowel_screening", "breast": "breast_screening", "cervical": "cervical_screening"}
    code = declined.get(programme, f"{programme}_vaccination")
    return tuple(
        case(programme, f"{code}_declined 2026-11-01", DECLINED if is_in else None, born=born, sex=sex)
        for born, is_in in days
    )


def invited(state: str, count: int, *days: str) -> tuple[Case, ...]:
    """A woman invited on these days."""
    entries = ", ".join(f"cervical_screening_invited {day}" for day in days)
    last = dt.date.fromisoformat(days[-1])
    return (case("cervical", entries, f"{state} coded", invitations=count, last_invited_date=last),)


@spec
def who_is_eligible() -> tuple[Case, ...]:
    return (
        *ages("bowel", ("1976-11-15", True), ("1976-11-16", True), ("1976-11-17", False)),
        *ages("bowel", ("1951-11-16", False), ("1951-11-17", True)),
        *ages("breast", ("1976-11-16", True), ("1976-11-17", False), ("1955-11-16", False), ("1955-11-17", True)),
        *ages("breast", ("1966-06-01", False), sex="male"),
        *ages("breast", ("1966-06-01", False), sex="unknown"),
        *ages("cervical", ("2002-05-16", True), ("2002-05-17", False)),
        *ages("cervical", ("1961-11-16", False), ("1961-11-17", True)),
        *ages("cervical", ("1990-06-01", False), sex="male"),
        *ages("flu", ("1962-03-31", True), ("1962-04-01", False), ("2024-08-31", True), ("2024-09-01", False)),
        *ages("flu", ("2022-08-31", True), ("2010-08-31", False), ("2010-09-01", True)),
        case("aaa", "", SILENT, born="1960-11-15"),
        case("aaa", "", "due inferred", born="1961-11-16"),
        case("aaa", "", None, born="1961-11-17"),
        case("aaa", "", None, sex="female"),
        case("diabetic_eye", "diabetes 2020-01-01", SILENT, born="2014-01-01"),
        case("diabetic_eye", "diabetes 2020-01-01", None, born="2014-11-17"),
        case("diabetic_eye", "diabetes 2020-01-01, diabetes_resolved 2022-01-01", None),
        case("diabetic_eye", "diabetes_resolved 2019-01-01, diabetes 2020-01-01", SILENT),
        case("lung", "smoking_ex 2020-01-01", "not_yet_due unknown", born="1966-06-01"),
        case("lung", "", None, born="1966-06-01"),
        case("nhs_health_check", "", OVERDUE),
        case("nhs_health_check", "", None, born="1986-11-17"),
        case("nhs_health_check", "hypertension 2020-01-01", OUT),
        case("nhs_health_check", "statin 2026-01-05", OUT),
        case("nhs_health_check", "statin 2025-11-15", OVERDUE),
    )


@spec
def done_within_the_window_is_up_to_date() -> tuple[Case, ...]:
    return (
        *covers("bowel", "bowel_screening_done", "2024-05-17", SILENT),
        *covers("breast", "breast_screening_done", "2023-11-17", SILENT),
        *covers("cervical", "cervical_screening_done", "2023-05-19", SILENT),
        *covers("cervical", "cervical_screening_done", "2021-05-19", SILENT, born="1970-06-01"),
        *covers("flu", "flu_vaccination_done", "2026-10-01", OVERDUE),
        *covers("nhs_health_check", "nhs_health_check_done", "2021-11-16", OVERDUE),
    )


@spec
def cervical_interval_depends_on_age_result_route_and_date() -> tuple[Case, ...]:
    negative, positive, plain = (f"cervical_screening_{name}" for name in ("hpv_negative", "hpv_positive", "done"))
    return (
        case("cervical", f"{plain} 2020-01-01", SILENT, due_date=dt.date(2022, 12, 31)),
        case("cervical", f"{plain} 2020-01-01", SILENT, born="1970-06-01", due_date=dt.date(2024, 12, 31)),
        case("cervical", "", SILENT, due_date=dt.date(2014, 12, 1)),
        # HPV-negative since 1 July 2025 earns five years, before it three; a positive result does not.
        case("cervical", f"{negative} 2025-07-01", DONE, due_date=dt.date(2030, 7, 1)),
        case("cervical", f"{negative} 2025-06-30", DONE, due_date=dt.date(2028, 6, 29)),
        case("cervical", f"{positive} 2025-07-01", DONE, due_date=dt.date(2028, 6, 30)),
        case("cervical", f"{negative} 2025-07-01, {positive} 2025-07-01", DONE, due_date=dt.date(2028, 6, 30)),
        # Suppliers code the sample and the result on one day under two codes, or the result alone.
        case("cervical", f"{plain} 2025-07-01, {negative} 2025-07-01", DONE, due_date=dt.date(2030, 7, 1)),
        case("cervical", f"{negative} 2025-07-01, {plain} 2026-01-01", DONE, due_date=dt.date(2028, 12, 31)),
        case("cervical", f"{negative} 2025-07-01", DONE, born="1970-06-01", due_date=dt.date(2030, 7, 1)),
    )


@spec
def rules_in_force_are_those_of_the_as_of_date() -> tuple[Case, ...]:
    return (
        # Five years after an HPV-negative sample is a rule of July 2025: a run for May 2025 does not know it.
        case("cervical", "cervical_screening_hpv_negative 2021-10-01", SILENT, as_of=MAY_2025),
        case("mmr", "mmr_vaccination_done 2025-01-10", "up_to_date inferred", born="2023-07-02", as_of=MAY_2025),
        case("rsv", "", None, born="1943-01-01", as_of=MAY_2025),
        case("rsv", "", OVERDUE, born="1945-01-01", as_of=MAY_2025),
        case("rsv", "", OVERDUE, born="1943-01-01"),
        case("flu", "", None, as_of=MAY_2025),
        case("covid", "", "did_not_respond inferred", born="1940-01-01", as_of=MAY_2025),
        case("covid", "", None, born="1940-01-01"),
        case("shingles", "immunosuppression 2020-01-01", None, born="1990-01-01", as_of=MAY_2025),
        case("shingles", "immunosuppression 2020-01-01", OVERDUE, born="1990-01-01"),
    )


@spec
def nothing_on_record_is_silence_where_a_hub_calls_and_never_invited_where_the_practice_does() -> tuple[Case, ...]:
    return (
        case("bowel", "", SILENT),
        case("breast", "", SILENT),
        case("cervical", "", SILENT),
        case("flu", "", OVERDUE),
        case("mmr", "", OVERDUE),
        case("pneumococcal", "", OVERDUE),
        case("diabetes_review", "diabetes 2020-01-01", OVERDUE),
    )


@spec
def just_registered_is_unknown_and_not_flagged() -> tuple[Case, ...]:
    return (
        case("bowel", "", SILENT, registered="2026-05-17"),
        case("bowel", "", "due unknown", registered="2026-05-18"),
        case("bowel", "bowel_screening_did_not_attend 2026-06-01", MISSED, registered="2026-11-01"),
        # Someone who was there when it fell due was there for all of it.
        case("mmr", "", OVERDUE, born="2025-10-01", registered="2026-10-01"),
        case("mmr", "", "due unknown", born="2025-10-01", registered="2026-10-02"),
    )


@spec
def an_fob_observable_or_a_spoilt_kit_is_no_test() -> tuple[Case, ...]:
    """The value of the bare observable may be "no response": only results count, the liquid kit's among them."""
    return (
        case("bowel", "368481000000103 2026-06-01", SILENT),
        case("bowel", "1101371000000105 2026-06-01", DONE),
        case("bowel", "bowel_screening_kit_problem 2026-06-01", SILENT),
        case("bowel", "bowel_screening_no_response 2026-06-01", UNANSWERED),
    )


@spec
def an_inadequate_sample_is_no_test() -> tuple[Case, ...]:
    return (case("cervical", "cervical_screening_inadequate 2026-06-01", SILENT),)


@spec
def breast_screening_is_not_flagged_below_53_unless_a_call_went_unanswered() -> tuple[Case, ...]:
    return (
        case("breast", "", "not_yet_due unknown", born="1973-11-17"),
        case("breast", "", SILENT, born="1973-11-16"),
        case("breast", "breast_screening_did_not_attend 2026-06-01", MISSED, born="1974-06-01"),
        case("breast", "breast_screening_done 2026-06-01", DONE, born="1974-06-01"),
    )


@spec
def unanswered_call_since_it_fell_due_beats_an_old_test() -> tuple[Case, ...]:
    done = "bowel_screening_done 2024-09-30"
    return (
        case("bowel", f"{done}, bowel_screening_no_response 2026-09-29", DONE),
        case("bowel", f"{done}, bowel_screening_no_response 2026-09-30", UNANSWERED),
        case("bowel", f"{done}, bowel_screening_did_not_attend 2026-10-01", MISSED),
        case("bowel", "bowel_screening_no_response 2026-01-01, bowel_screening_done 2026-02-01", DONE),
        case("bowel", "bowel_screening_no_response 2021-03-31", SILENT),
        case("bowel", "bowel_screening_no_response 2021-04-01", UNANSWERED),
        # Cervical and breast calls go out up to six weeks before the day.
        case("cervical", "cervical_screening_did_not_attend 2014-10-20", MISSED),
        case("cervical", "cervical_screening_did_not_attend 2014-10-19", SILENT),
        case(
            "cervical",
            "cervical_screening_done 2023-12-10, cervical_screening_did_not_attend 2026-11-01",
            MISSED,
            days_overdue=0,
        ),
    )


@spec
def the_latest_of_invitation_missed_appointment_and_missing_reply_decides() -> tuple[Case, ...]:
    invited, missed, silent = (f"cervical_screening_{name}" for name in ("invited", "did_not_attend", "no_response"))
    return (
        case("cervical", f"{invited} 2026-01-01", "invited_once coded"),
        case("cervical", f"{invited} 2026-01-01, {missed} 2026-02-01", MISSED),
        case("cervical", f"{missed} 2026-02-01, {invited} 2026-03-01", "invited_once coded"),
        case("cervical", f"{missed} 2026-02-01, {silent} 2026-02-01", UNANSWERED),
        case("cervical", f"{silent} 2026-02-01, {missed} 2026-02-02", MISSED),
    )


@spec
def two_invitations_need_seven_days_between_them() -> tuple[Case, ...]:
    return (
        *invited("invited_once", 1, "2026-01-01"),
        *invited("invited_once", 1, "2026-01-01", "2026-01-01"),
        *invited("invited_once", 1, "2026-01-01", "2026-01-07"),
        *invited("invited_twice", 2, "2026-01-01", "2026-01-08"),
        *invited("invited_three_times", 3, "2026-01-01", "2026-01-08", "2026-01-15"),
        *invited("invited_three_times", 3, "2025-01-01", "2025-06-01", "2026-01-01", "2026-06-01"),
        *invited("invited_once", 1, "2014-10-19", "2026-01-01"),
    )


@spec
def the_channel_is_that_of_the_last_invitation() -> tuple[Case, ...]:
    letter, text = "hypertension_review_invited_letter 2026-01-01", "hypertension_review_invited_text 2026-03-01"
    asked, name = "hypertension 2015-01-01, ", "hypertension_review"
    return (
        case(name, f"{asked}{letter}", "invited_once coded", last_invited_by="letter"),
        case(name, f"{asked}{letter}, {text}", "invited_twice coded", last_invited_by="text"),
        case(name, f"{asked}recall_invited 2026-01-01", "invited_once coded", last_invited_by=None),
    )


@spec
def a_decline_is_valid_for_twelve_months_and_says_until_when() -> tuple[Case, ...]:
    declines = {"2025-11-15": SILENT, "2025-11-16": DECLINED, "2026-11-15": DECLINED, "2026-11-16": SILENT}
    return (
        *[case("bowel", f"bowel_screening_declined {day}", state) for day, state in declines.items()],
        case("bowel", "bowel_screening_declined 2026-01-01", DECLINED, declined_until=dt.date(2027, 1, 1)),
        case("flu", "flu_vaccination_declined 2026-09-30", OVERDUE, declined_until=None),
        case("flu", "flu_vaccination_declined 2026-10-01", DECLINED),
        case("cervical", "cervical_screening_declined 2026-01-01, cervical_screening_done 2026-02-01", DONE),
        case("cervical", "cervical_screening_done 2026-01-01, cervical_screening_declined 2026-02-01", DECLINED),
    )


@spec
def unsuitable_lasts_until_a_later_screen() -> tuple[Case, ...]:
    unsuitable = "cervical_screening_unsuitable 2010-01-01"
    return (
        case("cervical", unsuitable, UNSUITABLE),
        case("cervical", f"{unsuitable}, cervical_screening_declined 2026-01-01", UNSUITABLE),
        case("cervical", f"{unsuitable}, cervical_screening_done 2025-01-01", DONE),
        case("breast", "breast_screening_done 2009-01-01, breast_screening_unsuitable 2010-01-01", UNSUITABLE),
    )


@spec
def a_personalised_care_adjustment_removes_nobody_but_the_unsuitable() -> tuple[Case, ...]:
    """Dissent is a decline for a year; two or three unanswered invitations are what a recall list is for."""
    asked = "hypertension 2015-01-01, "
    return (
        case("hypertension_review", f"{asked}hypertension_review_unsuitable 2026-06-01", UNSUITABLE),
        case("hypertension_review", f"{asked}hypertension_review_unsuitable 2025-11-15", OVERDUE),
        case("hypertension_review", f"{asked}hypertension_review_declined 2026-06-01", DECLINED),
        case("hypertension_review", f"{asked}hypertension_review_declined 2025-11-15", OVERDUE),
        case("cervical", "1109911000000100 2026-06-01", UNANSWERED, is_gap=True),
    )


@spec
def registered_sex_is_overridden_by_a_test_on_record() -> tuple[Case, ...]:
    return (
        case("cervical", "cervical_screening_done 2018-01-01", SILENT, sex="male"),
        case("cervical", "cervical_screening_done 2025-01-01", DONE, sex="unknown"),
        case("cervical", "cervical_screening_done 2018-01-01", None, sex="male", born="1950-01-01"),
        case("breast", "breast_screening_done 2018-01-01", SILENT, sex="male"),
        case("cervical", "cervical_screening_unsuitable 2018-01-01", UNSUITABLE, sex="female"),
    )


@spec
def two_clear_eye_screens_in_a_row_earn_two_years() -> tuple[Case, ...]:
    clear, bad, plain = (f"eye_screening_{name}" for name in ("clear", "retinopathy", "done"))
    diabetic = "diabetes 2015-01-01, "
    return (
        case("diabetic_eye", f"{diabetic}{clear} 2024-01-10, {clear} 2025-01-10", DONE),
        case("diabetic_eye", f"{diabetic}{clear} 2025-01-10", SILENT),
        case("diabetic_eye", f"{diabetic}{clear} 2024-01-10, {bad} 2024-01-10, {clear} 2025-01-10", SILENT),
        case("diabetic_eye", f"{diabetic}{clear} 2024-08-01, {clear} 2025-01-10", SILENT),
        case("diabetic_eye", f"{diabetic}{clear} 2023-01-10, {clear} 2024-01-10, {plain} 2025-01-10", SILENT),
        case("diabetic_eye", f"{diabetic}{plain} 2025-12-01", DONE),
    )


@spec
def flu_reaches_clinical_risk_groups_and_counts_what_others_gave() -> tuple[Case, ...]:
    young = {"born": "1980-01-01"}
    return (
        case("flu", "", None, **young),
        case("flu", "copd 2020-01-01", OVERDUE, **young),
        case("flu", "copd 2020-01-01, flu_vaccination_done 2026-10-01", DONE, **young),
        case("flu", "flu_vaccination_done_elsewhere 2026-10-02", "done_elsewhere coded"),
        case("flu", "flu_vaccination_done_elsewhere 2026-10-02, flu_vaccination_done 2026-10-02", DONE),
        case("flu", "pregnancy 2026-08-01", "overdue_never_invited inferred", born="1995-01-01", sex="female"),
        case("flu", "pregnancy 2026-01-01", None, born="1995-01-01", sex="female"),
        case("flu", "pregnancy 2026-06-01, pregnancy_ended 2026-10-01", None, born="1995-01-01", sex="female"),
    )


MMR = "mmr_vaccination_done"


@spec
def mmr_needs_the_doses_due_by_age_and_birth_date() -> tuple[Case, ...]:
    return (
        case("mmr", f"{MMR} 2023-01-15", OVERDUE),
        case("mmr", f"{MMR} 2023-01-15, {MMR} 2025-05-01", DONE),
        case("mmr", f"{MMR} 2022-12-31, {MMR} 2025-05-01", OVERDUE),
        case("mmr", f"{MMR} 2023-01-01, {MMR} 2025-05-01", DONE),
        case("mmr", f"{MMR} 2025-05-01, {MMR} 2025-05-01", OVERDUE),
        case("mmr", f"{MMR} 2025-07-15", "up_to_date inferred", born="2024-06-30"),
        case("mmr", f"{MMR} 2025-07-15", OVERDUE, born="2024-07-01"),
        case("mmr", f"{MMR} 2025-07-15, {MMR} 2026-01-15", "up_to_date inferred", born="2024-07-01"),
        case("mmr", f"{MMR} 2026-01-15, {MMR} 2026-07-15", DONE, born="2025-01-01"),
        case("mmr", "", NOT_YET, born="2025-11-17", registered="2025-12-01"),
        case("mmr", "", DUE, born="2025-11-16", registered="2025-12-01"),
    )


@spec
def a_vaccine_recorded_as_procedure_and_as_product_is_one_dose() -> tuple[Case, ...]:
    return (
        case("mmr", f"{MMR} 2023-01-15, mmr_vaccine 2023-01-15", OVERDUE),
        case("mmr", f"{MMR} 2023-01-15, mmr_vaccine 2023-01-17", OVERDUE),
        case("mmr", f"{MMR} 2023-01-15, mmr_vaccine 2025-05-01", DONE),
        case("mmr", "mmr_vaccine 2023-01-15, mmr_vaccine 2025-05-01", DONE),
        case("flu", "flu_vaccine 2026-10-02", DONE),
    )


@spec
def the_infant_schedule_asks_for_the_next_dose() -> tuple[Case, ...]:
    six, rota = "six_in_one_vaccination_done", "rotavirus_vaccination_done"
    baby = {"born": "2026-08-01", "registered": "2026-08-10"}
    return (
        case("six_in_one", "", OVERDUE, event="first dose", due_date=dt.date(2026, 9, 26), **baby),
        case("six_in_one", f"{six} 2026-09-26", DUE, event="second dose", due_date=dt.date(2026, 10, 24), **baby),
        case("six_in_one", f"{six} 2026-10-20", "up_to_date inferred", due_date=dt.date(2026, 11, 17), **baby),
        case("rotavirus", f"{rota} 2026-10-20", "up_to_date inferred", **baby),
        case("rotavirus", f"{rota} 2026-09-26", OVERDUE, event="second dose", **baby),
        # Too late to begin: the second dose is for those who had the first.
        case("rotavirus", "", OUT, born="2026-07-20", registered="2026-07-25"),
        case("menb", "menb_vaccination_done 2026-09-26", DUE, due_date=dt.date(2026, 10, 24), **baby),
        case("hib_menc", "", OVERDUE, born="2024-06-30", due_date=dt.date(2025, 6, 30)),
        case("hib_menc", "", None, born="2024-07-01"),
        case(
            "six_in_one",
            f"{six} 2024-09-01, {six} 2024-10-01, {six} 2024-11-01",
            OVERDUE,
            born="2024-07-01",
            event="fourth dose",
            due_date=dt.date(2026, 1, 1),
        ),
        case("preschool_booster", "preschool_booster_done 2025-05-01", DONE, born="2022-01-01"),
        case("menacwy", "", SILENT, born="2011-01-01", due_date=dt.date(2025, 1, 1)),
        case("hpv", "", DUE, born="2013-06-01", due_date=dt.date(2026, 6, 1)),
        case("hpv", "hpv_vaccination_done_elsewhere 2025-01-01", "done_elsewhere coded", born="2012-01-01"),
    )


@spec
def a_child_with_all_doses_stays_up_to_date_after_a_missed_appointment() -> tuple[Case, ...]:
    doses = f"{MMR} 2023-01-15, {MMR} 2025-05-01"
    return (
        case("mmr", f"{doses}, child_vaccination_did_not_attend 2026-01-01", DONE),
        case("mmr", f"{MMR} 2023-01-15, child_vaccination_did_not_attend 2026-01-01", MISSED),
        case("mmr", f"{MMR} 2023-01-15, child_vaccination_declined 2026-01-01", DECLINED),
    )


@spec
def who_never_came_fell_due_when_there_was_something_to_come_to() -> tuple[Case, ...]:
    early, late = dt.date(2024, 9, 1), dt.date(2026, 4, 1)
    return (
        case("rsv", "", OVERDUE, born="1949-09-01", due_date=early),
        case("rsv", "", OVERDUE, born="1949-10-01", due_date=dt.date(2024, 10, 1)),
        case("rsv", "", OVERDUE, born="1944-09-02", due_date=early),
        case("rsv", "", OVERDUE, born="1944-09-01", due_date=late),
        case("rsv", "", OVERDUE, born="1930-01-01", due_date=late),
        case("rsv", "care_home 2020-01-01", OVERDUE, born="1958-01-01", due_date=late),
        case("pneumococcal", "", OVERDUE, born="1938-06-01", due_date=dt.date(2005, 4, 1)),
        case("hypertension_review", "hypertension 1980-01-01", OVERDUE, due_date=dt.date(2004, 4, 1)),
        case("bowel", "", SILENT, born="1955-06-01", due_date=dt.date(2015, 6, 1)),
        case("bowel", "", SILENT, born="1963-06-01", due_date=dt.date(2021, 4, 1)),
        case("bowel", "", SILENT, born="1974-06-01", due_date=dt.date(2024, 6, 1)),
        case("bowel", "bowel_screening_done 2017-01-01", SILENT, born="1963-06-01", due_date=dt.date(2019, 1, 1)),
    )


@spec
def adults_vaccines_by_age_and_record() -> tuple[Case, ...]:
    return (
        case("shingles", "", OVERDUE),
        case("shingles", "shingles_vaccination_done 2026-09-01", "up_to_date inferred"),
        case("shingles", "shingles_vaccination_done 2025-09-01", OVERDUE),
        case("shingles", "shingles_vaccination_done 2025-09-01, shingles_vaccination_done 2026-03-10", DONE),
        case("shingles", "", None, born="1958-08-01"),
        case("shingles", "", OVERDUE, born="1955-01-01"),
        case("shingles", "", OUT, born="1946-06-01"),
        case("pneumococcal", "pneumococcal_vaccination_done 2016-01-01", DONE),
        case("pneumococcal", "copd 2020-01-01", OVERDUE, born="1990-01-01"),
        case("rsv", "rsv_vaccination_done 2025-01-01", DONE),
        case("rsv", "care_home 2026-01-01", OVERDUE, born="1958-01-01"),
        case("pertussis", "pregnancy 2026-06-01", OVERDUE),
        case("pertussis", "pregnancy 2026-10-01", NOT_YET),
        case("pertussis", "pregnancy 2026-06-01, pertussis_vaccination_done 2026-08-01", DONE),
        case("pertussis", "pregnancy 2026-06-01, pertussis_vaccination_done 2024-08-01", OVERDUE),
    )


@spec
def recall_follows_the_register_and_what_was_done() -> tuple[Case, ...]:
    pressure = "systolic_bp {} 140"
    return (
        case("hypertension_review", "hypertension 2015-01-01", OVERDUE),
        case("hypertension_review", f"hypertension 2015-01-01, {pressure.format('2025-08-17')}", DONE),
        case("hypertension_review", f"hypertension 2015-01-01, {pressure.format('2025-08-16')}", OVERDUE),
        case("hypertension_review", "hypertension 2025-11-17", NOT_YET),
        case("hypertension_review", "hypertension 2025-11-16", DUE),
        case("hypertension_review", "hypertension 2015-01-01, hypertension_resolved 2016-01-01", None),
        case("diabetes_review", "diabetes 2015-01-01, diabetes_review_done 2026-01-01", DONE),
        # All five measures make a review, done on the day of the oldest of them.
        case(
            "diabetes_review",
            "diabetes 2015-01-01, hba1c 2026-03-01 48, systolic_bp 2026-03-01 130, egfr 2026-03-01 60, "
            "bmi 2026-01-01 28, cholesterol_total 2026-03-01 4",
            DONE,
        ),
        case(
            "diabetes_review",
            "diabetes 2015-01-01, hba1c 2026-03-01 48, systolic_bp 2026-03-01 130, egfr 2026-03-01 60, "
            "bmi 2026-01-01 28",
            OVERDUE,
        ),
        case("asthma_review", "asthma 2015-01-01", None),
        case("asthma_review", "asthma 2015-01-01, inhaled_respiratory 2026-06-01", OVERDUE),
        case(
            "asthma_review",
            "asthma 2015-01-01, inhaled_respiratory 2026-06-01, asthma_review_done 2026-01-01",
            DONE,
        ),
        case("copd_review", "copd 2015-01-01, copd_review_did_not_attend 2026-06-01", MISSED),
        case("ld_health_check", "learning_disability 2015-01-01", OVERDUE),
        case("smi_health_check", "severe_mental_illness 2015-01-01", OVERDUE),
        case("heart_failure_review", "heart_failure 2015-01-01, recall_did_not_attend 2026-06-01", MISSED),
    )


@spec
def days_overdue_count_from_the_day_it_fell_due() -> tuple[Case, ...]:
    overdue = (AS_OF - dt.date(2024, 12, 31)).days
    return (
        case("bowel", "bowel_screening_done 2023-01-01", SILENT, days_overdue=overdue, is_gap=True),
        case("bowel", "bowel_screening_done 2024-09-30", DONE, days_overdue=None, is_gap=False, is_covered=True),
        case("flu", "", OVERDUE, days_overdue=46, is_gap=True, is_covered=False),
    )


@spec
def an_invitation_is_a_gap_once_the_grace_has_passed() -> tuple[Case, ...]:
    """Called at 24 and a half; six months later nobody is just waiting for the post."""
    invited_now = "cervical_screening_invited 2026-11-01"
    return (
        case("cervical", invited_now, "invited_once coded", born="2002-05-01", is_gap=False),
        case("cervical", invited_now, "invited_once coded", born="2001-05-01", is_gap=True),
    )


@pytest.mark.parametrize("name", SPECS)
def test_state_and_grade(name: str) -> None:
    assert differences(name) == {}


def test_entries_elsewhere_or_not_yet_known_do_not_count() -> None:
    events = """
        person_id | codelist             | practice_code | event_date | entered_date
        1         | bowel_screening_done | A81999        | 2026-01-01 | 2026-01-01
        1         | bowel_screening_done | A81001        | 2026-01-01 | 2026-11-16
        1         | bowel_screening_done | A81001        |            | 2026-01-01
    """
    found = answer("programme_states", registrations="person_id | sex\n1 | male", events=events)
    assert found.filter(programme="bowel")["state"].to_list() == ["did_not_respond"]


def test_codelists_that_ship_empty_count_once_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody publishes codes for bookings, self-taken samples or lung checks: loaded ones fill the named lists."""
    codes = tables.reference_tables(AS_OF)["programme_codes"]
    roles = {
        101: (2, "booked", None),
        102: (2, "done", "not_clear"),
        103: (5, "done", None),
        104: (5, "invited", None),
    }
    loaded = [
        {"programme_number": number, "role": role, "result": result, "concept_id": concept, "valid_months": 0}
        for concept, (number, role, result) in roles.items()
    ]
    widened = pl.concat([codes, pl.DataFrame(loaded, schema=codes.schema)])
    usual = tables.reference_tables(AS_OF) | {"programme_codes": widened}
    monkeypatch.setattr(tables, "reference_tables", lambda as_of: usual)
    negative, invited_now = codes_of("cervical_screening_hpv_negative")[0], codes_of("cervical_screening_invited")[0]
    events = f"""
        person_id | concept_id    | event_date
        1         | {invited_now} | 2026-10-01
        1         | 101           | 2026-10-08
        2         | 101           | 2026-10-08
        2         | {invited_now} | 2026-10-09
        3         | {negative}    | 2025-08-01
        3         | 102           | 2025-08-01
        4         | 103           | 2026-01-01
        5         | 104           | 2026-01-01
    """
    people = "person_id | sex | birth_date\n1 | female | 1990-06-01\n2 | female | 1990-06-01\n3 | female | 1990-06-01"
    people += "\n4 | male | 1960-06-01\n5 | male | 1960-06-01"
    smoking = "\n".join(f"{number} | smoking_ex | 2020-01-01 | 2020-01-01 | true" for number in (4, 5))
    heading = "person_id | condition | first_date | latest_date | is_unresolved"
    conditions = tables.table("conditions", f"{heading}\n{smoking}")
    found = answer("programme_states", registrations=people, events=events, conditions=conditions)
    states = {(row["person_id"], row["programme"]): row for row in found.iter_rows(named=True)}
    assert states[1, "cervical"]["state"] == "booked"
    assert not states[1, "cervical"]["is_gap"]
    assert states[2, "cervical"]["state"] == "invited_once"
    assert states[3, "cervical"]["due_date"] == dt.date(2028, 7, 31)
    assert states[4, "lung"]["state"] == "up_to_date"
    assert states[5, "lung"]["state"] == "invited_once"
