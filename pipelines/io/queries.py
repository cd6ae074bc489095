"""Finds the SQL files and reads their headers. Nothing here runs SQL."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

HEADER = ("makes", "reads", "parameters", "grain")


@dataclass(frozen=True)
class Query:
    """One SQL file and what its header says: its name is the table it makes."""

    name: str
    folder: str
    sql: str
    reads: tuple[str, ...]
    parameters: tuple[str, ...]
    grain: str
    scope: Literal["icb", "england"] = "icb"
    optional: tuple[str, ...] = ()
    """Tables among ``reads`` that may not have been built: they are then empty."""
    everywhere: tuple[str, ...] = ()
    """Tables among ``reads`` that are seen over every ICB too, as ``england.<table>``."""


@cache
def load_queries() -> dict[str, Query]:
    """Every query by the name of the table it makes."""
    found = [_parse(folder, file.name.removesuffix(".sql"), file.read_text("utf-8")) for folder, file in _sql_files()]
    return {query.name: query for query in sorted(found, key=lambda query: query.name)}


def load_query(name: str) -> Query:
    """The query that makes one table.

    Raises:
        KeyError: no SQL file has that name.
    """
    queries = load_queries()
    if name not in queries:
        raise KeyError(f"no file {name}.sql under sql/; there are {', '.join(queries)}")
    return queries[name]


def _sql_files() -> list[tuple[str, Traversable]]:
    """Every SQL file in the folders of the sql package, with its folder's name."""
    folders = [folder for folder in files("sql").iterdir() if folder.is_dir()]
    return [(folder.name, file) for folder in folders for file in folder.iterdir() if file.name.endswith(".sql")]


def _parse(folder: str, name: str, sql: str) -> Query:
    """The query of one file.

    Raises:
        ValueError: the four header lines are not there, or name another table.
    """
    lines = sql.splitlines()[: len(HEADER)]
    header = dict(re.findall(r"^-- (\w+): (.+)$", "\n".join(lines), flags=re.MULTILINE))
    if tuple(header) != HEADER or header["makes"].split(",")[0] != name:
        raise ValueError(f"{name}.sql must begin with '-- makes: {name}, ...' and lines for {', '.join(HEADER[1:])}")
    grain, _, scope = header["grain"].partition("; scope ")
    listed = _listed(header["reads"])
    return Query(
        name=name,
        folder=folder,
        sql=sql,
        reads=tuple(dict.fromkeys(table.removeprefix("england.").rstrip("?") for table in listed)),
        parameters=_listed(header["parameters"]),
        grain=grain,
        scope="england" if scope == "england" else "icb",
        optional=tuple(table.rstrip("?") for table in listed if table.endswith("?")),
        everywhere=tuple(table.removeprefix("england.") for table in listed if table.startswith("england.")),
    )


def _listed(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list; none for 'none'."""
    return tuple(name.strip() for name in text.split(",") if name.strip() != "none")
