"""What each SystmOne value becomes: dates, sentinels, words, codes, owners, deletions."""

import datetime as dt

import duckdb
import polars as pl
import pytest

from pipelines.io.landing import systmone_rows as rows
from pipelines.io.landing.feeds import load_feed

PRACTICE = "Z00001"
EXTRACT = dt.date(2026, 11, 1)
DISSENT = 827241000000103
WORDS = load_feed("systmone").words
ROSTER = pl.DataFrame(
    {
        "patient_record_id": [1, 2],
        "person_id": [11, 12],
        "birth_date": [dt.date(1960, 5, 1)] * 2,
        "person_state": ["held", "dummy_patient"],
    }
)
SETTING = rows.Setting(
    practice_code=PRACTICE,
    extract_date=EXTRACT,
    words=WORDS,
    postcodes=pl.DataFrame({"postcode": ["ZZ11AA"], "lsoa_code": ["E01000001"]}),
    roster=ROSTER,
    codes=pl.DataFrame({"ctv3_code": ["XaZ89", "zz001"], "concept_id": [DISSENT, 38341003]}),
    mappings=pl.DataFrame({"mapping_key": ["7", "8"], "words": ["Did Not Attend", "Finished"]}),
)


def text_rows(table: str, *given: dict[str, str | None]) -> pl.DataFrame:
    """Rows of a table as text, about the first patient, with the values given."""
    names = load_feed("systmone").tables[table].names
    usual = {
        "record_key": "5",
        "visible_to": PRACTICE,
        "patient_key": "1",
        "registered_at": PRACTICE,
        "recorded_at": PRACTICE,
        "clinical_date": "02 Mar 2024 10:15:00",
        "entered_date": "03 Mar 2024 10:15:00",
    }
    frame = pl.DataFrame(
        [{f"text_{name}": (usual | row).get(name) for name in names} for row in given],
        schema={f"text_{name}": pl.String for name in names},
    )
    return frame.with_columns(patient_record_id=pl.lit(1, dtype=pl.Int64))


def coded(**values: str | None) -> dict[str, object]:
    frame = rows.type_codes(text_rows("SRCode", {"ctv3_code": "zz001"} | values), SETTING)
    return frame.row(0, named=True)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("02 Mar 2024 10:15:00", dt.date(2024, 3, 2)),
        ("02 Mar 2024 10:15", dt.date(2024, 3, 2)),
        ("02 Mar 2024", dt.date(2024, 3, 2)),
        ("29 Feb 2024 00:00:00", dt.date(2024, 2, 29)),
        ("29 Feb 2023 00:00:00", None),
        ("2024-03-02", None),
        ("02/03/2024", None),
        ("02 Mar 24", None),
        ("02 Mar 2024 10:15:00 later", None),
        ("02 Xxx 2024", None),
        ("01 Jan 1900 00:00:00", None),
        ("31 Dec 9999 00:00:00", None),
        (None, None),
    ],
)
def test_a_date_is_its_day_and_a_default_is_none(text: str | None, day: dt.date | None) -> None:
    frame = pl.DataFrame({"text_x": [text]}, schema={"text_x": pl.String})
    assert frame.select(rows.day_of("x", SETTING).alias("x"))["x"].to_list() == [day]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"is_numeric": "TRUE", "value": "0", "unit": "{score}"}, (0.0, "{score}")),
        ({"is_numeric": "TRUE", "value": "132.5", "unit": "mmHg"}, (132.5, "mmHg")),
        ({"is_numeric": "FALSE", "value": "0", "unit": "mmHg"}, (None, None)),
        ({"is_numeric": "FALSE", "value": "12", "unit": "mmHg"}, (None, None)),
        ({"is_numeric": None, "value": "12", "unit": "mmHg"}, (12.0, "mmHg")),
        ({"is_numeric": None, "value": "0.0", "unit": "mmHg"}, (None, None)),
        ({"is_numeric": None, "value": "-1", "unit": "mmHg"}, (None, None)),
        ({"is_numeric": None, "value": None, "unit": "mmHg"}, (None, None)),
    ],
)
def test_a_value_counts_only_where_the_entry_is_numeric(
    values: dict[str, str | None], expected: tuple[float | None, str | None]
) -> None:
    found = coded(**values)
    assert (found["value"], found["unit"]) == expected
    assert found["has_readable_numbers"]


def test_a_numeric_entry_with_no_number_is_told() -> None:
    assert not coded(is_numeric="TRUE", value="twelve")["has_readable_numbers"]


@pytest.mark.parametrize(
    ("snomed", "ctv3", "concept", "state", "has_check_digit"),
    [
        ("38341003", "zz001", 38341003, "known", True),
        ("195967001", "zz001", 195967001, "known", True),
        ("-1", "zz001", 38341003, "known", True),
        ("0", "zz001", 38341003, "known", True),
        (None, "zz001", 38341003, "known", True),
        ("-1", "Ylocal", None, "not_mapped", True),
        (None, None, None, "not_mapped", True),
        ("38341004", "zz001", 38341004, "known", False),
        ("many", "zz001", 38341003, "known", False),
    ],
)
def test_a_concept_is_the_rows_own_else_that_of_its_ctv3_code(
    snomed: str | None, ctv3: str | None, concept: int | None, state: str, has_check_digit: bool
) -> None:
    found = coded(snomed_code=snomed, ctv3_code=ctv3)
    assert (found["concept_id"], found["code_state"], found["has_check_digit"]) == (concept, state, has_check_digit)


@pytest.mark.parametrize(
    ("values", "is_blank"),
    [
        ({}, False),
        ({"registered_at": None}, False),
        ({"registered_at": "Z00002"}, True),
        ({"patient_key": "-1"}, True),
        ({"patient_key": "0"}, True),
    ],
)
def test_rows_of_patients_registered_elsewhere_or_of_nobody_are_blank(
    values: dict[str, str | None], is_blank: bool
) -> None:
    assert coded(**values)["is_blank"] is is_blank


def test_a_dissent_counts_whoever_recorded_it_and_whatever_its_dates() -> None:
    found = coded(
        ctv3_code="XaZ89",
        registered_at="Z00002",
        clinical_date="01 Jan 2031 00:00:00",
        entered_date="soon",
        removed="perhaps",
        is_numeric="TRUE",
        value="none",
    )
    assert found["concept_id"] == DISSENT
    assert (found["clinical_date"], found["entered_date"]) == (None, dt.date(2026, 10, 31))
    assert not found["is_blank"]
    assert all(found[name] for name in ("has_readable_dates", "has_readable_flags", "has_readable_numbers"))


@pytest.mark.parametrize(
    ("removed", "visible_to", "is_deleted", "is_own"),
    [
        ("1", PRACTICE, True, True),
        ("1", None, True, False),
        ("1", "Z00002", False, False),
        ("0", PRACTICE, False, True),
        (None, PRACTICE, False, True),
    ],
)
def test_a_removal_counts_only_for_the_own_practice(
    removed: str | None, visible_to: str | None, is_deleted: bool, is_own: bool
) -> None:
    found = coded(removed=removed, visible_to=visible_to)
    assert (found["is_deleted"], found["is_own_organisation"]) == (is_deleted, is_own)


@pytest.mark.parametrize(
    ("status", "owner", "kind", "is_blank"),
    [
        ("GMS", PRACTICE, "regular", False),
        ("Contraception, GMS", PRACTICE, "regular", False),
        ("gms,Maternity", PRACTICE, "regular", False),
        ("Temporary Resident", PRACTICE, "temporary", False),
        ("Temporary Resident, GMS", PRACTICE, "regular", False),
        ("Immediately Necessary", PRACTICE, "temporary", False),
        ("Private", PRACTICE, "other", False),
        ("NOTGMSX", PRACTICE, "other", False),
        (None, PRACTICE, "other", False),
        ("GMS", "Z00002", "regular", True),
    ],
)
def test_a_registration_is_regular_if_gms_is_among_its_words(
    status: str | None, owner: str, kind: str, is_blank: bool
) -> None:
    text = {"registration_status": status, "registered_at": owner, "registered_date": "01 Apr 2010 00:00:00"}
    found = rows.type_registrations(text_rows("SRPatientRegistration", text), SETTING).row(0, named=True)
    assert (found["registration_type"], found["is_blank"]) == (kind, is_blank)


def test_a_registration_without_any_organisation_is_told() -> None:
    text = {"registration_status": "GMS", "registered_at": None, "recorded_at": None}
    found = rows.type_registrations(text_rows("SRPatientRegistration", text), SETTING).row(0, named=True)
    assert (found["has_organisation"], found["is_blank"]) == (False, False)


@pytest.mark.parametrize(
    ("status", "cancelled", "kind", "state", "is_blank"),
    [
        ("7", None, "appointment_missed", "known", False),
        ("8", None, "appointment_attended", "known", False),
        ("did not attend", None, "appointment_missed", "known", False),
        ("Arrived", None, "appointment_attended", "known", False),
        ("Booked (by phone)", None, "appointment_attended", "known", True),
        ("Cancelled by Unit", None, "appointment_attended", "known", True),
        ("Finished", "01 Mar 2024 09:00:00", "appointment_attended", "known", True),
        ("Did Not Attend", "01 Mar 2024 09:00:00", "appointment_missed", "known", False),
        ("99", None, "appointment_attended", None, False),
        (None, None, "appointment_attended", None, False),
    ],
)
def test_an_appointment_is_kept_missed_or_not_yet_a_contact(
    status: str | None, cancelled: str | None, kind: str, state: str | None, is_blank: bool
) -> None:
    text = {"status": status, "cancelled_date": cancelled}
    found = rows.type_appointments(text_rows("SRAppointment", text), SETTING).row(0, named=True)
    assert (found["contact_kind"], found["code_state"], found["is_blank"]) == (kind, state, is_blank)


@pytest.mark.parametrize(
    ("status", "kind", "is_blank"),
    [
        ("Visited", "appointment_attended", False),
        ("Cancelled", "appointment_attended", True),
        ("Deferred", "appointment_attended", True),
        ("No Access Visit", "appointment_missed", False),
        (None, "appointment_attended", False),
    ],
)
def test_a_visit_is_kept_unless_it_was_called_off(status: str | None, kind: str, is_blank: bool) -> None:
    found = rows.type_visits(text_rows("SRVisit", {"status": status}), SETTING).row(0, named=True)
    assert (found["contact_kind"], found["is_blank"]) == (kind, is_blank)


@pytest.mark.parametrize(
    ("values", "is_blank"),
    [
        ({"is_clinical": "TRUE"}, False),
        ({"is_clinical": "FALSE"}, True),
        ({"is_clinical": None}, False),
        ({"is_clinical": "TRUE", "is_incomplete": "TRUE"}, True),
    ],
)
def test_an_administrative_or_unfinished_event_is_no_consultation(
    values: dict[str, str | None], is_blank: bool
) -> None:
    found = rows.type_events(text_rows("SREvent", values), SETTING).row(0, named=True)
    assert (found["contact_kind"], found["is_blank"]) == ("consultation", is_blank)


@pytest.mark.parametrize(
    ("values", "product", "quantity", "is_blank"),
    [
        ({"product_id": "319283006", "quantity": "28 tablet(s)"}, 319283006, 28.0, False),
        ({"product_id": "319283006", "quantity": "12.5 ml"}, 319283006, 12.5, False),
        ({"product_id": "319283006", "quantity": "as needed"}, 319283006, None, False),
        ({"product_id": "-1", "quantity": "1 op"}, None, 1.0, False),
        ({"product_id": "319283006", "is_hospital": "TRUE"}, 319283006, None, True),
        ({"product_id": "319283006", "is_other": "TRUE"}, 319283006, None, True),
        ({"product_id": "319283006", "is_dental": "TRUE"}, 319283006, None, True),
    ],
)
def test_an_issue_has_its_product_and_the_number_of_its_quantity(
    values: dict[str, str | None], product: int | None, quantity: float | None, is_blank: bool
) -> None:
    found = rows.type_medications(text_rows("SRPrimaryCareMedication", values), SETTING).row(0, named=True)
    assert (found["concept_id"], found["quantity"], found["is_blank"]) == (product, quantity, is_blank)


@pytest.mark.parametrize(("status", "is_blank"), [(None, False), ("Given", False), ("Refused by parent", True)])
def test_an_immunisation_not_given_is_blank(status: str | None, is_blank: bool) -> None:
    found = rows.type_immunisations(text_rows("SRImmunisation", {"ctv3_code": "zz001", "status": status}), SETTING)
    assert found["is_blank"].to_list() == [is_blank]


@pytest.mark.parametrize(("text", "is_dummy"), [("TRUE", True), ("FALSE", False), (None, False), ("perhaps", True)])
def test_a_test_patient_is_a_dummy_and_an_unreadable_flag_too(text: str | None, is_dummy: bool) -> None:
    found = rows.type_patients(text_rows("SRPatient", {"is_test": text}), SETTING).row(0, named=True)
    assert found["is_dummy"] is is_dummy
    assert found["has_readable_flags"] is (text != "perhaps")


@pytest.mark.parametrize(
    ("kind", "is_blank"), [("0", False), ("3", True), ("Correspondence only", True), (None, False)]
)
def test_an_address_for_letters_is_blank(kind: str | None, is_blank: bool) -> None:
    text = {"address_type": kind, "postcode": "zz1 1aa"}
    found = rows.type_addresses(text_rows("SRPatientAddressHistory", text), SETTING).row(0, named=True)
    assert (found["lsoa_code"], found["is_blank"]) == ("E01000001", is_blank)


def test_keys_are_whole_numbers_of_their_table_and_practice() -> None:
    frame = pl.DataFrame({"text_record_key": ["5", "005", "-1", "0", "5a", None]})
    found = frame.select(rows.record_message(PRACTICE, "SRCode").alias("key"))["key"].to_list()
    assert found == [f"{PRACTICE}|SRCode|5", f"{PRACTICE}|SRCode|5", None, None, None, None]


def test_a_practice_that_is_in_some_pieces_of_a_set_only_has_its_keys() -> None:
    """Of a set of many practices a filter leaves empty pieces, on which some of Polars' functions panic."""
    read = "select i // 200_000 as practice, i::varchar as text_record_key from range(2_000_000) t(i)"
    whole = duckdb.sql(read).pl().with_row_index("line")
    own = whole.filter(pl.col("practice") == 1)
    assert 0 in [len(piece) for piece in own["text_record_key"].get_chunks()]
    keys = own.select(rows.record_message(PRACTICE, "SRCode").alias("key"))["key"]
    assert (keys.null_count(), keys[0], keys[-1]) == (0, f"{PRACTICE}|SRCode|200000", f"{PRACTICE}|SRCode|399999")


def test_a_record_id_tells_the_table_it_came_from() -> None:
    ids = pl.Series("record_id", [9_223_372_036_854_775_807, 0, 6, None], dtype=pl.Int64)
    for table, part in rows.PARTS.items():
        found = rows.with_part(ids, table)
        assert (found.drop_nulls() % rows.ROOM).to_list() == [part] * 3
        assert found.null_count() == 1


def test_a_code_map_row_needs_a_number_with_a_right_check_digit() -> None:
    given = pl.DataFrame(
        {
            "text_record_key": ["1"] * 4,
            "text_ctv3_code": ["zz001"] * 4,
            "text_snomed_code": ["38341003", "38341004", "x", None],
            "text_removed": ["0"] * 4,
        }
    )
    found = rows.type_code_map(given)
    assert found["is_readable_target"].to_list() == [True, True, False, True]
    assert found["has_check_digit"].to_list() == [True, False, True, True]
