"""The SQL state machine and a plain Python one agree on generated histories, one person at a time."""

import datetime as dt

import pytest

from tests.lib.made_histories import disagreements
from tests.lib.tables import AS_OF

MAY_2025 = dt.date(2025, 5, 19)


@pytest.mark.parametrize(("count", "as_of"), [(400, AS_OF), (100, MAY_2025)], ids=["November 2026", "May 2025"])
def test_sql_and_plain_python_decide_alike(count: int, as_of: dt.date) -> None:
    rows, wrong = disagreements(count, seed=20261116, as_of=as_of)
    assert rows > 2 * count
    assert wrong == []
