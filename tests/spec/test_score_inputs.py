"""When an input was recorded; what each is taken from is tried in test_definition_examples.py."""

import datetime as dt

from tests.lib.tables import answer


def test_input_carries_the_date_of_the_latest_entry_behind_it() -> None:
    rows = answer(
        "score_inputs",
        registrations="person_id\n1",
        events="person_id | codelist | event_date\n1 | migraine | 2001-01-01\n1 | migraine | 2011-01-01",
    )
    assert rows.rows() == [(1, "qrisk3", "migraine", 1.0, dt.date(2011, 1, 1))]
