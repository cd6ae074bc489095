"""Turns table contracts into what Dagster shows and checks: column schemas and blocking checks, never values."""

import dagster as dg
import polars as pl

from data_contracts.registry import CONTRACTS

CHECK = "contract_holds"
QUALITY = "every_practice_within_limits"


def column_schema(table: str) -> dg.TableSchema:
    """The columns of a table with types and descriptions, for the asset's page."""
    schema = CONTRACTS[table].to_schema()
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=bool(column.unique)),
            )
            for name, column in schema.columns.items()
        ]
    )


def description(table: str) -> str:
    """The grain of a table: the docstring of its contract."""
    return (CONTRACTS[table].__doc__ or "").strip()


def contract_check(table: str) -> dg.AssetCheckSpec:
    """The blocking check that a table meets its contract."""
    return dg.AssetCheckSpec(
        CHECK, asset=table, blocking=True, description=f"Every row of {table} meets its contract."
    )


def contract_result(table: str, broken: pl.DataFrame) -> dg.AssetCheckResult:
    """Passed when nothing is broken, else counts by column and rule."""
    rules = [dg.TableRecord(dict(row)) for row in broken.iter_rows(named=True)]
    metadata = {"broken_rules": dg.MetadataValue.table(rules)} if rules else {}
    return dg.AssetCheckResult(asset_key=table, check_name=CHECK, passed=broken.is_empty(), metadata=metadata)


def quality_check() -> dg.AssetCheckSpec:
    """The check that shows which practices are past a limit; it warns and stops nothing."""
    return dg.AssetCheckSpec(
        QUALITY, asset="data_quality", description="No practice is past a limit of data quality."
    )


def quality_result(standing: pl.DataFrame) -> dg.AssetCheckResult:
    """Passed when every practice is within the limits, else the practices that are not, worst first."""
    past = standing.filter(pl.col("verdict") != "ok").sort("verdict", "practice_code")
    rows = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in past.to_dicts()]
    metadata: dict[str, dg.MetadataValue] = {"practices": dg.MetadataValue.int(standing.height)}
    if rows:
        metadata["past_a_limit"] = dg.MetadataValue.table(rows)
    return dg.AssetCheckResult(
        asset_key="data_quality",
        check_name=QUALITY,
        passed=past.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
