"""Made-up people agree with what is published about real ones."""

import datetime as dt

import polars as pl
import pytest

from pipelines.synthetic.marginals import marginals, published_figures
from pipelines.synthetic.world import read_table

AS_OF = dt.date(2026, 11, 16)


def _broken(frame: pl.DataFrame) -> list[str]:
    return [
        f"{row['marginal']}: published {row['published']}, made {row['made']:.2f}"
        for row in frame.filter(~pl.col("holds")).iter_rows(named=True)
    ]


@pytest.mark.slow
def test_two_hundred_thousand_people_hold_every_marginal() -> None:
    frame = marginals(people=200_000, practices=300, seed=20261116, as_of=AS_OF)
    assert frame["made"].null_count() == 0
    assert not _broken(frame)


def test_twenty_thousand_people_hold_them_roughly() -> None:
    frame = marginals(people=20_000, practices=20, seed=20261116, as_of=AS_OF, slack=5.0)
    assert frame["made"].null_count() == 0
    assert not _broken(frame)


def test_every_figure_has_a_source() -> None:
    assert published_figures()["source"].null_count() == 0
    for table in ("conditions", "measures", "medicines", "diagnoses", "emis_tables"):
        assert read_table(table)["source"].null_count() == 0
