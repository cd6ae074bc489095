"""Which emergency spells count as avoidable, and for what: 19 ambulatory-care-sensitive conditions."""

import pytest

from tests.lib.tables import answer, table

SPELL = "person_id | admitted_date | entered_date | admission_method | diagnosis_codes | procedure_codes"


def counted(diagnoses: str, procedures: str = "", method: str = "21") -> str | None:
    """The condition that one spell counts for; None if it is not avoidable."""
    cells = diagnoses.replace("|", "/"), procedures.replace("|", "/")
    spells = table("spells", f"{SPELL}\n1 | 2026-01-01 | 2026-01-02 | {method} | {cells[0]} | {cells[1]}")
    spells = spells.with_columns(
        spells["diagnosis_codes"].str.replace_all("/", "|"), spells["procedure_codes"].str.replace_all("/", "|")
    )
    found = answer("avoidable_admissions", spells=spells)
    return found["condition"][0] if found.height else None


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("cellulitis", "L031"),
        ("gangrene", "R02X"),
        ("convulsions_epilepsy", "G409"),
        ("dehydration_gastroenteritis", "E86X"),
        ("dental", "K047"),
        ("ear_nose_throat", "H669"),
        ("pelvic_inflammatory_disease", "N739"),
        ("perforated_bleeding_ulcer", "K254"),
        ("pyelonephritis", "N10X"),
        ("angina", "I209"),
        ("asthma", "J459"),
        ("heart_failure_or_hypertension", "I500"),
        ("copd", "J440"),
        ("diabetes_complications", "E106"),
        ("iron_deficiency_anaemia", "D509"),
        ("nutritional_deficiency", "E43X"),
        ("influenza_pneumonia", "J181"),
        ("other", "B169"),
    ],
)
def test_primary_diagnosis_counts_for_each_condition(condition: str, code: str) -> None:
    assert counted(code) == condition


@pytest.mark.parametrize("code", ["J189", "E119", "N390", "L309", "K257", "D500", "B171", "G010", "J040"])
def test_neighbouring_codes_do_not_count(code: str) -> None:
    assert counted(code) is None


@pytest.mark.parametrize(
    ("code", "condition"), [("I10", "heart_failure_or_hypertension"), ("I10X", "heart_failure_or_hypertension")]
)
def test_padding_of_three_character_codes_makes_no_difference(code: str, condition: str) -> None:
    assert counted(code) == condition


@pytest.mark.parametrize(
    ("diagnoses", "expected"),
    [
        ("S720|J440", None),
        ("S720|R02X", "gangrene"),
        ("S720|E106", "diabetes_complications"),
        ("S720|J181", "influenza_pneumonia"),
        ("S720|I500|J440", None),
    ],
)
def test_secondary_diagnosis_counts_only_where_any_position_does(diagnoses: str, expected: str | None) -> None:
    assert counted(diagnoses) == expected


def test_acute_bronchitis_needs_lung_disease_beside_it() -> None:
    assert counted("J209") is None
    assert counted("J209|I500") is None
    assert counted("J209|J439") == "copd_acute_bronchitis"


def test_pneumonia_with_sickle_cell_disease_does_not_count() -> None:
    assert counted("J181|D571") is None
    assert counted("J181|D561") == "influenza_pneumonia"


@pytest.mark.parametrize(
    ("diagnosis", "procedures", "is_counted"),
    [
        ("L031", "S474", True),
        ("L031", "X401|S423", False),
        ("L031", "U212|T011", False),
        ("L031", "I001", True),
        ("I209", "K401", False),
        ("I209", "U212|K401", True),
        ("I500", "K631", True),
        ("I500", "U212|K401", False),
        ("I500", "K601", False),
        ("J440", "K401", True),
    ],
)
def test_procedures_exclude_some_conditions(diagnosis: str, procedures: str, is_counted: bool) -> None:
    assert (counted(diagnosis, procedures) is not None) == is_counted


@pytest.mark.parametrize(
    ("method", "is_counted"),
    [(method, True) for method in ["21", "22", "23", "24", "25", "2A", "2D", "28"]]
    + [(method, False) for method in ["11", "12", "13", "2B", "2C", "31", "82", "81", "98", "99"]],
)
def test_only_new_emergencies_count(method: str, is_counted: bool) -> None:
    assert (counted("J440", method=method) is not None) == is_counted


def test_spell_that_meets_two_conditions_counts_once_for_the_one_listed_first() -> None:
    assert counted("J440|E106") == "copd"
    assert counted("S720|E106|R02X") == "gangrene"


def test_spells_known_before_the_as_of_date_count_each() -> None:
    found = answer(
        "avoidable_admissions",
        spells="""
            person_id | admitted_date | entered_date | diagnosis_codes
            1         | 2026-11-15    | 2026-11-15   | J440
            1         | 2026-11-15    | 2026-11-15   | J440
            2         | 2026-11-16    | 2026-11-15   | J440
            3         | 2026-11-15    | 2026-11-16   | J440
            4         | 2026-11-15    | 2026-11-15   |
        """,
    )
    assert found["person_id"].to_list() == [1, 1]
