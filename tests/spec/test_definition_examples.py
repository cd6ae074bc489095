"""Every definition is tried on example people: who counts, who does not, and who has nothing on record."""

import pytest

from data_contracts.clinical.definitions import load_measures, read_definition_csv
from data_contracts.clinical.from_record import load_record_rules
from data_contracts.clinical.programmes.definition import rules_in_force
from data_contracts.clinical.registers import load_registers
from tests.lib.examples import EXAMPLES, found_and_expected

NEEDS_A_SCORE = {"has_high_diabetes_risk"}
"""Decided by a published score alone: tests/spec/test_lifestyle_flags.py gives the score."""
DEFINED = {
    "registers": set(load_registers()),
    "measurements": set(load_measures()),
    "score_inputs": set(load_record_rules().select("score", "input").unique().iter_rows()),
    "programme_states": set(rules_in_force(EXAMPLES["programme_states"].as_of)["programme"]),
    "lifestyle_flags": set(read_definition_csv("lifestyle_rules.csv")["flag"])
    - {"asked_of", "not_asked_of"}
    - NEEDS_A_SCORE,
}
TRIED = [(name, definition) for name, file in EXAMPLES.items() for definition in sorted(file.definitions)]


@pytest.mark.parametrize("name", sorted(DEFINED))
def test_every_definition_has_examples(name: str) -> None:
    tried = {tuple(each.split(".")) if "." in each else each for each in EXAMPLES[name].definitions}
    assert DEFINED[name] - tried == set()


@pytest.mark.parametrize(("name", "definition"), TRIED)
def test_examples_hold_a_hit_a_miss_and_an_edge(name: str, definition: str) -> None:
    expected = [example.expected for example in EXAMPLES[name].of(definition)]
    assert len(expected) >= 4
    assert len({str(answer) for answer in expected}) >= 2
    assert any(answer in (None, False) for answer in expected)


@pytest.mark.parametrize(("name", "definition"), TRIED)
def test_definition_says_of_its_example_people_what_it_should(name: str, definition: str) -> None:
    found, expected = found_and_expected(EXAMPLES[name], definition)
    assert (
        found == pytest.approx(expected, nan_ok=False)
        if name in ("measurements", "score_inputs")
        else found == expected
    )
