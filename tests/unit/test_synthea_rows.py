"""Synthea's text becomes typed rows by the stated mappings."""

import datetime as dt

import nhs_number
import polars as pl
import pytest

from pipelines.io.landing import synthea_rows as rows
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.synthea_mappings import load_mappings

ROSTER = pl.DataFrame(
    {
        "patient_record_id": [1, 2],
        "person_id": [10, 20],
        "birth_date": [dt.date(1950, 1, 1), dt.date(1980, 6, 30)],
        "person_state": ["held", "held"],
    }
)


def _setting() -> rows.Setting:
    return rows.Setting(
        practice_code="Y90001", words=load_feed("synthea").words, mappings=load_mappings(), roster=ROSTER
    )


def _text(table: str, *records: dict[str, str | int | None]) -> pl.DataFrame:
    names = load_feed("synthea").tables[table].names
    filled = [{f"text_{name}": record.get(name) for name in names} for record in records]
    frame = pl.DataFrame(filled, schema=dict.fromkeys([f"text_{name}" for name in names], pl.String))
    people = pl.Series("patient_record_id", [record.get("of", 1) for record in records], dtype=pl.Int64)
    return frame.with_columns(people)


def _observation(code: str, value: str | None, units: str | None) -> dict[str, object]:
    record = {"patient": "a", "date": "2020-02-03T10:11:12Z", "code": code, "value": value, "units": units}
    return rows.type_observations(_text("observations", record), _setting()).row(0, named=True)


@pytest.mark.parametrize(
    ("code", "value", "units", "concept_id", "expected"),
    [
        ("4548-4", "6.0", "%", 999791000000106, 42.0),
        ("4548-4", "6.5", "%", 999791000000106, 48.0),
        ("2093-3", "200", "mg/dL", 1005671000000105, 5.17),
        ("2085-9", "50", "mg/dL", 1005681000000107, 1.29),
        ("718-7", "14.2", "g/dL", 1022431000000105, 142.0),
        ("39156-5", "29.74", "kg/m2", 60621009, 29.7),
        ("8480-6", "140", "mm[Hg]", 271649006, 140.0),
        ("75626-2", "5.0", "{score}", 763256006, 5.0),
        ("33914-3", "58.5", "mL/min", 1020291000000106, 58.5),
    ],
)
def test_measurement_is_in_the_unit_used_here(
    code: str, value: str, units: str, concept_id: int, expected: float
) -> None:
    found = _observation(code, value, units)
    assert (found["concept_id"], found["value"], found["code_state"]) == (concept_id, expected, "known")
    assert found["clinical_date"] == found["entered_date"] == dt.date(2020, 2, 3)


@pytest.mark.parametrize(
    ("value", "concept_id"),
    [
        ("{'system': 'SNOMED-CT', 'code': '449868002', 'display': 'Smokes tobacco daily (finding)'}", 77176002),
        ("{'system': 'SNOMED-CT', 'code': '8517006', 'display': 'Ex-smoker (finding)'}", 8517006),
        ("Never smoker", 266919005),
    ],
)
def test_smoking_status_is_read_from_code_or_words(value: str, concept_id: int) -> None:
    found = _observation("72166-2", value, None)
    assert (found["concept_id"], found["value"], found["has_readable_numbers"]) == (concept_id, None, True)


def test_unknown_code_unit_or_answer_is_not_mapped() -> None:
    for code, value, units in [("1-1", "3", "kg"), ("4548-4", "42", "mmol/mol"), ("72166-2", "Perhaps", None)]:
        assert _observation(code, value, units)["code_state"] is None


def test_measurement_without_a_number_says_so() -> None:
    assert _observation("4548-4", "high", "%")["has_readable_numbers"] is False
    assert _observation("4548-4", None, "%")["has_readable_numbers"] is False


def test_condition_keeps_its_concept_or_takes_the_stated_wider_one() -> None:
    text = _text(
        "conditions",
        {"patient": "a", "encounter": "e", "start": "2020-02-03", "code": "59621000"},
        {"patient": "a", "encounter": "e", "start": "2020-02-03", "code": "88805009"},
        {"patient": "a", "encounter": "e", "start": "2020-02-03", "code": "59621001"},
        {"patient": "a", "encounter": "e", "start": "2020-02-03", "code": None},
    )
    found = rows.type_findings(text, _setting())
    assert found["concept_id"].to_list()[:2] == [59621000, 84114007]
    assert found["has_check_digit"].to_list() == [True, True, False, True]
    assert found["code_state"].to_list() == ["known", "known", "known", None]


def test_procedure_is_dated_by_start_or_date() -> None:
    text = _text(
        "procedures",
        {"patient": "a", "encounter": "e", "start": "2020-02-03T23:59:59Z", "code": "90226004"},
        {"patient": "a", "encounter": "e", "date": "2021-02-03T00:00:00", "code": "90226004"},
        {"patient": "a", "encounter": "e", "date": "3 February", "code": "90226004"},
    )
    found = rows.type_findings(text, _setting())
    assert found["clinical_date"].to_list() == [dt.date(2020, 2, 3), dt.date(2021, 2, 3), None]
    assert found["has_readable_dates"].to_list() == [True, True, False]


def test_immunisations_and_medicines_map_or_do_not() -> None:
    doses = _text(
        "immunizations",
        {"patient": "a", "date": "2020-02-03", "code": "140"},
        {"patient": "a", "date": "2020-02-03", "code": "03"},
        {"patient": "a", "date": "2020-02-03", "code": "10"},
    )
    assert rows.type_immunisations(doses, _setting())["code_state"].to_list() == ["known", "known", None]
    issues = _text(
        "medications",
        {"patient": "a", "start": "2020-02-03", "code": "617310"},
        {"patient": "a", "start": "2020-02-03", "code": "856519"},
    )
    found = rows.type_medications(issues, _setting())
    assert found["concept_id"].to_list() == [39733011000001106, None]
    assert found["quantity"].is_null().all()


def test_patient_is_registered_from_birth_with_an_ethnic_group_where_one_fits() -> None:
    text = _text(
        "patients",
        {"patient": "a", "birth_date": "1950-01-01", "race": "White", "ethnicity": "nonmixed", "gender": "F"},
        {"patient": "b", "birth_date": "1980-06-30", "race": "native", "ethnicity": "non_hispanic", "gender": "M"},
        {"patient": "c", "birth_date": "1980-06-30", "death_date": "2020-01-01T05:00:00", "gender": "X"},
    )
    found = rows.type_patients(text, _setting())
    assert found["registered_date"].to_list() == found["birth_date"].to_list()
    assert found["sex"].to_list() == ["female", "male", None]
    assert found["death_date"].to_list() == [None, None, dt.date(2020, 1, 1)]
    events = rows.ethnic_group_events(found.with_columns(person_id=pl.lit(10), record_id=pl.lit(1)))
    assert events["concept_id"].to_list() == [976631000000101]
    assert events["event_date"].to_list() == [dt.date(1950, 1, 1)]


def test_numbers_are_valid_test_numbers_in_order_of_id() -> None:
    text = _text("patients", {"patient": "c"}, {"patient": "a"}, {"patient": "b"}, {"patient": "a"})
    keyed = text.with_columns(record_id=pl.Series([3, 1, 2, 1]))
    none = pl.DataFrame(schema={"record_id": pl.Int64, "nhs_number": pl.String})
    found = rows.add_numbers(keyed, practice_code="Y90001", people=none)
    by_id = dict(found.select("text_patient", "nhs_number").iter_rows())
    assert all(nhs_number.is_valid(number) and number.startswith("999") for number in by_id.values())
    assert by_id["a"] < by_id["b"] < by_id["c"]
    assert found.height == 4


def test_number_once_given_is_kept_and_not_given_again() -> None:
    first = rows.made_up_numbers("Y90001", held=pl.Series([], dtype=pl.String), needed=3)
    held = pl.DataFrame({"record_id": [7], "nhs_number": [first[0]]})
    text = _text("patients", {"patient": "a"}, {"patient": "z"}).with_columns(record_id=pl.Series([6, 7]))
    found = rows.add_numbers(text, practice_code="Y90001", people=held)
    assert found["nhs_number"].to_list() == [first[1], first[0]]
    assert not set(first) & set(rows.made_up_numbers("Y90002", held=pl.Series([], dtype=pl.String), needed=3))


def _encounter(**given: str) -> dict[str, str | int | None]:
    plain = {"patient": "a", "start": "2020-02-03T10:00:00", "stop": "2020-02-05T10:00:00", "code": "185347001"}
    return {**plain, "encounter_class": "inpatient", **given}


CONDITIONS = pl.DataFrame(
    {
        "encounter": ["s", "s", "s", "other"],
        "start": ["2020-02-04", "2020-02-03", "2020-02-03", "2020-02-03"],
        "code": ["233604007", "840539006", "224299000", "44054006"],
    }
)


def _typed(*records: dict[str, str | int | None]) -> pl.DataFrame:
    return rows.type_encounters(_text("encounters", *records), _setting(), CONDITIONS)


@pytest.mark.parametrize(
    ("encounter_class", "kind"),
    [("wellness", "contact"), ("virtual", "contact"), ("emergency", "attendance"), ("inpatient", "spell")],
)
def test_encounter_class_says_what_it_becomes(encounter_class: str, kind: str) -> None:
    assert _typed(_encounter(encounter="e", encounter_class=encounter_class))["kind"].to_list() == [kind]


def test_encounter_of_an_unknown_class_is_not_mapped() -> None:
    assert _typed(_encounter(encounter="e", encounter_class="hospice"))["code_state"].to_list() == [None]


def test_spell_is_known_when_it_ends_and_carries_its_diagnoses_in_order() -> None:
    spell = _typed(_encounter(encounter="s", reason="covid19")).row(0, named=True)
    assert spell["diagnosis_codes"] == "U071|J189"
    assert spell["entered_date"] == spell["discharged_date"] == dt.date(2020, 2, 5)


def test_standard_reason_code_gives_the_first_diagnosis() -> None:
    spell = _typed(_encounter(encounter="t", reason_code="88805009")).row(0, named=True)
    assert (spell["diagnosis_codes"], spell["admission_method"]) == ("I500", "21")


@pytest.mark.parametrize(
    ("ended", "method"),
    [("2020-02-01", "11"), ("2020-02-02", "21"), ("2020-02-03", "21"), ("2020-02-04", "11")],
)
def test_emergency_encounter_that_ended_the_same_day_or_the_day_before_led_to_the_spell(
    ended: str, method: str
) -> None:
    emergency = _encounter(encounter="e", encounter_class="emergency", start="2020-01-30", stop=ended)
    spell = _encounter(encounter="t", reason="knee_injury")
    found = _typed(emergency, spell).filter(pl.col("kind") == "spell")
    assert found["admission_method"].to_list() == [method]


def test_emergency_of_another_person_does_not_count() -> None:
    emergency = _encounter(encounter="e", encounter_class="emergency", patient="b", stop="2020-02-03")
    found = _typed(emergency, _encounter(encounter="t")).filter(pl.col("kind") == "spell")
    assert found["admission_method"].to_list() == ["11"]


def test_code_or_reason_that_says_emergency_makes_an_emergency_admission() -> None:
    by_code = _encounter(encounter="t", code="183452005")
    by_reason = _encounter(encounter="u", reason="Appendicitis")
    planned = _encounter(encounter="v", reason="breast_cancer_condition")
    assert _typed(by_code, by_reason, planned)["admission_method"].to_list() == ["21", "21", "11"]


def test_stay_of_over_a_year_is_not_plausible() -> None:
    records = [
        _encounter(encounter="t", stop="2021-02-02T00:00:00"),
        _encounter(encounter="u", stop="2021-02-03T00:00:00"),
        _encounter(encounter="v", encounter_class="wellness", stop="2031-02-03T00:00:00"),
    ]
    assert _typed(*records)["is_plausible_stay"].to_list() == [True, False, True]
    assert _typed(*records)["discharged_date"].is_null().to_list() == [False, False, True]


def test_entry_about_somebody_not_on_the_roster_has_no_state() -> None:
    found = _typed(_encounter(encounter="t") | {"of": 99})
    assert found["person_state"].to_list() == [None]


def test_record_message_names_practice_table_and_key() -> None:
    text = _text("conditions", {"patient": "a", "encounter": None, "start": "2020", "code": "1"}, {"code": "1"})
    messages = text.select(rows.record_message("conditions", "Y90001")).to_series().to_list()
    assert messages == ["Y90001|conditions|a||2020|1", None]
