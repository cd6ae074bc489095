"""When a register's time starts; its rules are tried in test_definition_examples.py."""

import datetime as dt

from tests.lib.tables import answer


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
