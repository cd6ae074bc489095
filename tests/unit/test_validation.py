"""Splitting rows by a contract: every broken rule is named, no value is told."""

import datetime as dt
import random
import time

import pandera.errors
import pandera.polars as pa
import polars as pl
import pytest

from data_contracts.tables import staging
from data_contracts.tables.history import Contract
from data_contracts.tables.staging import RETRIED, StagedContacts, StagedEvents
from pipelines.steps.validation import split_by_contract, verdicts


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
    with pytest.raises(TypeError, match="Visits: expected Int64 in visit_id; found String") as raised:
        split_by_contract(frame, Visits)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_inherited_rules_keep_their_names() -> None:
    for contract in (StagedContacts, StagedEvents):
        names = {check.name for check in contract.to_schema().checks}
        assert {"confidential", "dummy_patient", "date_after_extract", "date_before_birth"} <= names
        assert "code_not_known" in RETRIED


CONTRACTS = [
    contract for contract in vars(staging).values() if isinstance(contract, type) and issubclass(contract, Contract)
]
VALUES: dict[type[pl.DataType], list[object]] = {
    pl.Int64: [None, -1, 0, 7, 2**62],
    pl.Int8: [None, 0, 1, 10, 11],
    pl.Float64: [None, -1.0, 0.0, 1e9],
    pl.Boolean: [None, True, False],
    pl.Date: [None, dt.date(1801, 1, 1), DAY, NEXT],
    pl.String: [None, "", "held", "known", "not_mapped", "confidential", "female", "regular", "active", "E01000001"],
}


def frame_of(contract: type[Contract], seed: int) -> pl.DataFrame:
    """Rows of edge values, drawn by chance."""
    dice = random.Random(seed)
    types = {name: column.dtype.type for name, column in contract.to_schema().columns.items()}
    values = {
        name: [dice.choice(VALUES[type(kind) if not isinstance(kind, type) else kind]) for _ in range(300)]
        for name, kind in types.items()
    }
    return pl.DataFrame(values, schema=types)


def reasons_by_pandera(frame: pl.DataFrame, contract: type[Contract]) -> dict[int, set[str]]:
    """The reasons of each broken row, by Pandera's own run."""
    schema, found = contract.to_schema(), {}
    try:
        contract.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            column = schema.columns.get(str(error.schema.name))
            said = (column.metadata or {}) if column is not None else {}
            usual = error.check.name if column is None else f"{error.schema.name}_not_allowed"
            missing = said.get("missing", f"{error.schema.name}_missing")
            reason = missing if error.check == "not_nullable" else said.get("reason", usual)
            for row in error.check_output.to_series().fill_null(value=True).not_().arg_true():
                found.setdefault(row, set()).add(reason)
    return found


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_each_row_has_the_reasons_that_pandera_finds(contract: type[Contract]) -> None:
    frame = frame_of(contract, seed=len(contract.__name__))
    passed = verdicts(frame, contract)
    found = {row: {name for name in passed.columns if not passed[row, name]} for row in range(frame.height)}
    assert {row: reasons for row, reasons in found.items() if reasons} == reasons_by_pandera(frame, contract)


@pytest.mark.slow
def test_five_million_rows_a_second() -> None:
    row = {"visit_id": 1, "start": DAY, "end": NEXT, "kind": "a"}
    frame = pl.select(**{name: pl.lit(value).repeat_by(3_000_000).explode() for name, value in row.items()})
    frame = frame.with_columns(pl.col("visit_id").cast(pl.Int64))
    split_by_contract(frame.head(10), Visits)
    started = time.process_time()
    split_by_contract(frame, Visits)
    assert frame.height / (time.process_time() - started) > 5_000_000
