"""Clinical definitions: provenance of every file, and that each refers only to what exists."""

import datetime as dt
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from data_contracts.clinical.definitions import (
    CLINICAL,
    condition_titles,
    ethnic_groups,
    load_features,
    load_measures,
    load_provenance,
    months_before,
    read_definition,
)
from data_contracts.clinical.reference import reference_tables
from data_contracts.codelists import (
    CODELISTS,
    codes_of,
    is_valid_sctid,
    known_codelists,
)
from data_contracts.codelists import (
    load_provenance as codelist_files,
)
from data_contracts.provenance import Provenance
from pipelines.io.landing.synthea_mappings import load_mapping_provenance
from tests.lib.tables import AS_OF

REQUIRED = {name for name, field in Provenance.model_fields.items() if field.is_required()}

CODELIST_NAMES = known_codelists()


def test_every_codelist_file_has_provenance() -> None:
    files = {file.name for file in CODELISTS.iterdir() if file.name.endswith(".csv")}
    assert files == {entry.file for entry in codelist_files()}


def test_every_named_definition_file_exists() -> None:
    missing = [name for name in load_provenance() if not CLINICAL.joinpath(*name.split("/")).is_file()]
    assert missing == []


def test_every_file_of_definitions_says_where_it_comes_from() -> None:
    """A file is named with its provenance, or is a YAML file that begins with its own."""
    root = Path(str(CLINICAL))
    named = set(load_provenance()) | {f"codelists/{entry.file}" for entry in codelist_files()}
    named |= {f"feeds/synthea/{entry.file}" for entry in load_mapping_provenance()}
    for path in root.rglob("*.yaml"):
        content = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(content, dict) and set(content) >= REQUIRED:
            folder = path.parent.relative_to(root)
            named |= {str(folder / path.name), *(str(folder / f"{table}.csv") for table in _tables(content))}
    lists = {"provenance.yaml", "codelists/codelists.yaml", "feeds/synthea/mappings.yaml"}
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in (".csv", ".yaml")}
    assert files - named - lists == set()


def _tables(content: dict[str, object]) -> list[str]:
    """The tables that a definition covers; a feed's tables are not files."""
    tables = content.get("tables", [])
    return tables if isinstance(tables, list) and all(isinstance(name, str) for name in tables) else []


def test_definition_without_provenance_does_not_load() -> None:
    with pytest.raises(ValueError, match=r"add it to provenance\.yaml"):
        read_definition("unheard_of.csv")


def test_check_digit_catches_a_wrong_last_digit() -> None:
    assert is_valid_sctid("22298006")
    assert not any(is_valid_sctid(code) for code in ["22298007", "2229800", "12345", "", "abc456789", "²²298006"])


def test_first_code_of_a_codelist_keeps_the_order_of_the_file() -> None:
    assert codes_of("smoking_current")[0] == 77176002
    with pytest.raises(ValueError, match="no codelist named"):
        codes_of("unheard_of")


def test_condition_names_and_their_resolutions_are_codelists() -> None:
    conditions = reference_tables(AS_OF)["condition_list"]
    assert set(conditions["condition"]) | set(conditions["resolved_by"].drop_nulls()) <= CODELIST_NAMES


def test_every_measure_has_a_codelist_and_a_range() -> None:
    assert set(load_measures()) <= CODELIST_NAMES
    assert all(measure.plausible[0] < measure.plausible[1] for measure in load_measures().values())


def test_every_measure_reads_its_own_unit_as_it_is() -> None:
    own = {
        name
        for name, measure in load_measures().items()
        for rule in measure.units
        if (measure.unit.lower() in rule.recorded) and (rule.multiply, rule.add) == (1, 0)
    }
    assert own == set(load_measures())


def test_unit_rules_of_one_measure_do_not_overlap() -> None:
    for measure in load_measures().values():
        for unit in {unit for rule in measure.units for unit in rule.recorded}:
            ranges = sorted(
                (rule.value_from or -1e9, rule.value_below or 1e9) for rule in measure.units if unit in rule.recorded
            )
            assert all(upper <= lower for (_, upper), (lower, _) in pairwise(ranges))


def test_features_refer_to_definitions_that_exist() -> None:
    known = {
        "condition": set(condition_titles()),
        "condition_count": set(condition_titles()),
        "measurement": set(load_measures()),
        "measurement_days": set(load_measures()),
        "best_of_last_two": set(load_measures()),
        "medicine_issues": CODELIST_NAMES,
    }
    strange = [
        feature.name
        for feature in load_features().values()
        for key in (feature.key or "").split("|")
        if feature.kind in known and key not in known[feature.kind]
    ]
    assert strange == []


def test_feature_names_say_their_lookback() -> None:
    wrong = [
        feature.name
        for feature in load_features().values()
        if feature.months and feature.kind != "days_since" and not feature.name.endswith(f"_{feature.months}m")
    ]
    assert wrong == []


def test_every_ethnic_category_has_a_concept() -> None:
    assert set(ethnic_groups()["ethnic_group"]) == set(reference_tables(AS_OF)["ethnic_categories"]["ethnic_group"])


def test_bowel_screening_counts_liquid_test_results_but_never_the_bare_observable() -> None:
    done = codes_of("bowel_screening_done")
    assert {1101361000000103, 1101371000000105} <= set(done)
    assert 368481000000103 not in done


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (dt.date(2026, 11, 16), 12, dt.date(2025, 11, 16)),
        (dt.date(2026, 3, 31), 1, dt.date(2026, 2, 28)),
        (dt.date(2028, 2, 29), 12, dt.date(2027, 2, 28)),
    ],
)
def test_months_before_stays_within_the_month(day: dt.date, months: int, expected: dt.date) -> None:
    assert months_before(day, months) == expected
