"""Splitting rows by a contract: every broken rule is named, no value is told."""

import datetime as dt
import time

import pandera.polars as pa
import polars as pl
import pytest

from data_contracts.tables.history import Contract
from data_contracts.tables.staging import RETRIED, WITHHELD, StagedContacts, StagedEvents
from pipelines.steps.validation import failure_mask, split_by_contract


class Visits(Contract):
    """One row per visit."""

    visit_id: pl.Int64 = pa.Field(description="Id", metadata={"missing": "key_missing"})
    start: dt.date = pa.Field(description="Start", metadata={"missing": "start_missing"})
    end: dt.date = pa.Field(nullable=True, description="End")
    kind: str = pa.Field(isin=["a", "b"], description="Kind", metadata={"reason": "kind_unknown"})

    @pa.dataframe_check
    @classmethod
    def end_before_start(cls, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col("start") <= pl.col("end"))


def visits(*rows: tuple[int | None, dt.date | None, dt.date | None, str]) -> pl.DataFrame:
    schema = {"visit_id": pl.Int64, "start": pl.Date, "end": pl.Date, "kind": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(extra=pl.lit("kept"))


DAY, NEXT = dt.date(2026, 1, 1), dt.date(2026, 1, 2)


def test_rows_are_split_with_all_their_reasons() -> None:
    frame = visits((1, DAY, NEXT, "a"), (None, NEXT, DAY, "z"), (3, None, DAY, "b"), (4, DAY, None, "b"))
    split = split_by_contract(frame, Visits)
    assert split.good["visit_id"].to_list() == [1, 4]
    assert split.bad["visit_id"].to_list() == [None, 3]
    assert [set(reasons.split("|")) for reasons in split.bad["reasons"]] == [
        {"key_missing", "kind_unknown", "end_before_start"},
        {"start_missing"},
    ]
    assert split.good.columns == frame.columns


@pytest.mark.parametrize("rows", [[], [(1, DAY, NEXT, "a")]])
def test_sound_rows_and_no_rows_pass_whole(rows: list[tuple[int, dt.date, dt.date, str]]) -> None:
    split = split_by_contract(visits(*rows), Visits)
    assert split.good.height == len(rows)
    assert split.bad.is_empty()
    assert "reasons" in split.bad.columns


def test_a_wrong_type_is_our_fault_and_is_told_without_values() -> None:
    frame = visits((1, DAY, NEXT, "secret")).with_columns(visit_id=pl.lit("secret"))
    with pytest.raises(TypeError, match=r"Visits: .* in visit_id") as raised:
        failure_mask(frame, Visits)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_inherited_rules_keep_their_names() -> None:
    for contract in (StagedContacts, StagedEvents):
        names = {check.name for check in contract.to_schema().checks}
        assert {*WITHHELD, "date_after_extract", "date_before_birth"} <= names
        assert "code_not_known" in RETRIED


@pytest.mark.slow
def test_five_million_rows_a_second() -> None:
    row = {"visit_id": 1, "start": DAY, "end": NEXT, "kind": "a"}
    frame = pl.select(**{name: pl.lit(value).repeat_by(3_000_000).explode() for name, value in row.items()})
    frame = frame.with_columns(pl.col("visit_id").cast(pl.Int64))
    split_by_contract(frame.head(10), Visits)
    started = time.process_time()
    split_by_contract(frame, Visits)
    assert frame.height / (time.process_time() - started) > 5_000_000
