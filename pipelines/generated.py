"""Writes the pages that are made from the code, and with ``--check`` says which of them are out of date."""

import sys
from pathlib import Path

import dagster as dg
from rich.console import Console

from data_contracts.registry import HISTORY, REFERENCE, RELEASE, WEEKLY
from data_contracts.tables.history import Contract
from pipelines.definition_pages import definition_pages
from pipelines.definitions import defs

DOCS = Path(__file__).parents[1] / "docs"
NOTE = "<!-- Made by `make docs`; do not edit. -->\n\n"


def main(arguments: list[str]) -> int:
    """Writes every generated page, or with ``--check`` returns 1 if one differs from what is committed."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            stale.append(path)
    for path in stale:
        Console(stderr=True).print(f"{path} is out of date: run `make docs`")
    return int(bool(stale))


def pages() -> dict[str, str]:
    """The text of each generated page, by its path under docs."""
    written = {"tables.md": _tables(), "assets.md": _assets()}
    return written | {name: NOTE + text for name, text in definition_pages().items()}


def _tables() -> str:
    """The data dictionary: every table, its grain and its columns."""
    parts = ["# Tables\n\nEvery table with its grain; one row a column. `?` after a type: may be null.\n"]
    for title, contracts in (
        ("History", HISTORY),
        ("Reference", REFERENCE),
        ("Weekly", WEEKLY),
        ("Release", RELEASE),
    ):
        parts.append(f"\n## {title}\n")
        parts += [_table(name, contract) for name, contract in contracts.items()]
    return NOTE + "".join(parts)


def _table(name: str, contract: type[Contract]) -> str:
    """One table of the data dictionary."""
    rows = [
        f"| `{column}` | {spec.dtype}{'?' if spec.nullable else ''} | {spec.description} |"
        for column, spec in contract.to_schema().columns.items()
    ]
    head = [
        "",
        f"### {name}",
        "",
        (contract.__doc__ or "").strip(),
        "",
        "| Column | Type | What it is |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _assets() -> str:
    """The asset graph as a Mermaid picture, with one line an asset."""
    graph = defs().resolve_asset_graph()
    groups: dict[str, list[dg.AssetKey]] = {}
    for key in graph.toposorted_asset_keys:
        groups.setdefault(graph.get(key).group_name, []).append(key)
    lines = ["# Assets\n", "What Dagster makes, from landing to release.\n", "```mermaid", "flowchart LR"]
    for group, keys in groups.items():
        lines += [f"  subgraph group_{group} [{group}]", *(f"    {key.to_user_string()}" for key in keys), "  end"]
    lines += [
        f"  {parent.to_user_string()} --> {key.to_user_string()}"
        for key in graph.toposorted_asset_keys
        for parent in sorted(graph.get(key).parent_keys)
    ]
    lines += ["```", "", "| Asset | Group | What it is |", "| --- | --- | --- |"]
    for group, keys in groups.items():
        lines += [
            f"| `{key.to_user_string()}` | {group} | {_first_line(graph.get(key).description)} |" for key in keys
        ]
    return NOTE + "\n".join(lines) + "\n"


def _first_line(text: str | None) -> str:
    """The first line of a description."""
    return (text or "").strip().split("\n", 1)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
