"""Every register on its example people, which are also its page under docs/definitions."""

import datetime as dt

import pytest

from data_contracts.clinical.registers import load_registers
from tests.lib.examples import EXAMPLES, found_and_expected
from tests.lib.tables import answer

FILE = EXAMPLES["registers"]


def test_every_register_has_examples() -> None:
    assert {example.definition for example in FILE.examples} == set(load_registers())


@pytest.mark.parametrize("register", sorted(load_registers()))
def test_register_says_of_its_example_people_what_it_should(register: str) -> None:
    found, expected = found_and_expected(FILE, register)
    assert found == expected


def test_register_gives_the_first_entry_since_it_was_resolved_and_the_latest() -> None:
    rows = answer(
        "registers",
        registrations="person_id\n1",
        events="""
            person_id | codelist        | event_date
            1         | asthma          | 2001-01-01
            1         | copd            | 2010-01-01
            1         | copd_resolved   | 2015-01-01
            1         | copd            | 2016-02-01
            1         | copd            | 2018-03-01
        """,
    )
    assert rows.select("register", "first_date", "latest_date").rows() == [
        ("copd", dt.date(2016, 2, 1), dt.date(2018, 3, 1))
    ]
