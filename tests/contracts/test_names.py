"""One name in five places: asset key, table, SQL file, registry entry and spec test."""

import importlib
import random
from pathlib import Path

import pytest

from data_contracts.registry import CONTRACTS, WEEKLY
from pipelines.io.queries import load_queries

SPECS = Path(__file__).parent.parent / "spec"


def camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def test_contract_class_bears_the_name_of_its_table() -> None:
    assert {name: contract.__name__ for name, contract in CONTRACTS.items()} == {
        name: camel_case(name) for name in CONTRACTS
    }


def test_each_sql_file_makes_a_weekly_table_of_the_registry() -> None:
    assert set(load_queries()) <= set(WEEKLY)


def test_each_sql_file_has_a_spec_test() -> None:
    missing = {name for name in load_queries() if not (SPECS / f"test_{name}.py").exists()}
    assert missing == set()


def test_each_sql_file_is_an_asset() -> None:
    state = random.getstate()  # Dagster draws a random name when it is first imported.
    try:
        definitions = importlib.import_module("pipelines.definitions").defs
        graph = (definitions() if callable(definitions) else definitions).resolve_asset_graph()
    except ModuleNotFoundError:
        pytest.skip("pipelines.definitions cannot be imported here")
    finally:
        random.setstate(state)
    assert set(load_queries()) <= {key.path[-1] for key in graph.get_all_asset_keys()}


def test_every_column_is_described() -> None:
    bare = [
        f"{name}.{column}"
        for name, contract in CONTRACTS.items()
        for column, spec in contract.to_schema().columns.items()
        if not spec.description
    ]
    assert bare == []
