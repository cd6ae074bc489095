"""Every SQL file: its shape on empty tables, its header against its text, and the subset that other engines share."""

import pytest
import sqlglot
from sqlglot import exp

from data_contracts.clinical.reference import reference_tables
from data_contracts.registry import CONTRACTS
from pipelines.io.queries import Query, load_queries, load_query
from pipelines.io.warehouse import PREVIOUS
from tests.lib.tables import AS_OF, answer

QUERIES = list(load_queries().values())
each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)


@each_query
def test_query_on_empty_tables_keeps_its_contract(query: Query) -> None:
    assert answer(query.name).is_empty()


@each_query
def test_header_lists_what_the_query_reads(query: Query) -> None:
    tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    steps = {step.alias for step in tree.find_all(exp.CTE)}
    tables = list(tree.find_all(exp.Table))
    assert {source.name for source in tables if source.db or source.name not in steps} == set(query.reads)
    assert {source.name for source in tables if source.db == "england"} == set(query.everywhere)


@each_query
def test_header_lists_the_parameters(query: Query) -> None:
    tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    assert {parameter.name for parameter in tree.find_all(exp.Placeholder)} == set(query.parameters)


@each_query
def test_query_reads_tables_that_exist(query: Query) -> None:
    assert {name.removeprefix(PREVIOUS) for name in query.reads} <= set(CONTRACTS) | set(reference_tables(AS_OF))


@each_query
def test_query_is_sorted_and_qualifies_nothing_by_star(query: Query) -> None:
    tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    assert tree.args.get("order"), f"{query.name}.sql must end in an order by"
    assert not list(tree.find_all(exp.Star)) or {type(star.parent) for star in tree.find_all(exp.Star)} == {exp.Count}


@each_query
def test_every_window_states_its_order(query: Query) -> None:
    tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    assert all(window.args.get("order") for window in tree.find_all(exp.Window))


@each_query
def test_query_is_written_in_the_subset_that_spark_shares(query: Query) -> None:
    spark = sqlglot.transpile(query.sql, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
    assert len(spark) == 1


def test_unknown_query_says_which_there_are() -> None:
    with pytest.raises(KeyError, match="there are avoidable_admissions"):
        load_query("no_such_table")
