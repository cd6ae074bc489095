"""Writes a page for clinicians from each programme: its dated rules, its codes, and on whom it was tried."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from data_contracts.clinical.definitions import load_measures, read_definition_csv
from data_contracts.clinical.programmes.definition import (
    Programme,
    load_codes,
    load_coverage,
    load_groups,
    load_programmes,
    load_rules,
)
from pipelines.io.examples import ExampleFile

UNITS = {"y": "years", "mo": "months", "w": "weeks", "d": "days"}
CALLED = {
    "national": "A national hub sends the invitations, which the GP record seldom holds: silence past the window is "
    "taken for non-response and graded *inferred*.",
    "practice": "The practice calls: who is overdue and was never asked is *overdue and never invited*.",
}
COLUMNS = ["From", "To", "Rule", "Who", "Falls due", "Every", "Up to date for", "Then overdue after", "Source"]


def programme_pages(examples: ExampleFile) -> dict[str, str]:
    """The text of each programme's page and of the page that lists them, by its path under docs."""
    (states,) = examples.answers("programme_states")
    pages = {
        f"definitions/programmes/{name}.md": "\n\n".join(_page(name, programme, examples, states)) + "\n"
        for name, programme in load_programmes().items()
    }
    return pages | {"definitions/programmes.md": _index()}


def _index() -> str:
    """The list of programmes, and how a state is decided."""
    rows = [
        f"| [{programme.title}](programmes/{name}.md) | {programme.kind} | {programme.called_by} | {programme.harm} |"
        for name, programme in load_programmes().items()
    ]
    return (
        "\n\n".join(
            [
                "# Programmes",
                "Screening, immunisation, checks and yearly reviews that people are called for. The rules in "
                "force are those of the as-of date; a change of rule is a row in "
                "`data_contracts/clinical/programmes/rules.csv` and a line in the changelog. `programme_records` "
                "holds what is on record, `programme_states` where each person stands. The order in which facts "
                "decide: excluded, unsuitable, declined, the latest call since it fell due (booked, no reply, "
                "missed, invited once, twice or three times), up to date or done elsewhere, not yet due, due, and "
                "then overdue. Harm, 1 to 5, orders the list only; it is Casefinder's own choice.",
                "\n".join(["| Programme | Kind | Who calls | Harm |", "| --- | --- | --- | --- |", *rows]),
            ]
        )
        + "\n"
    )


def _page(name: str, programme: Programme, examples: ExampleFile, states: pl.DataFrame) -> Iterator[str]:
    yield f"# {programme.title[0].upper()}{programme.title[1:]}"
    yield f"`{name}`. {programme.action[0].upper()}{programme.action[1:]}."
    yield CALLED[programme.called_by]
    if programme.note:
        yield programme.note
    if programme.done_by:
        titles = [load_measures()[measure].title for measure in programme.done_by]
        yield f"Also done when all of these were measured, on the day of the oldest: {', '.join(titles)}."
    yield "## Rules"
    yield "Where two rules fit a person, the first counts. An empty *To* means still in force."
    yield _table(COLUMNS, [_rule(row) for row in load_rules().filter(programme=name).iter_rows(named=True)])
    yield "## Codes"
    yield _table(["Says", "Codelist", "Codes that ship", "Note"], _codes(name))
    measures = load_coverage().filter(programme=name)
    if measures.height:
        yield "## Published coverage"
        columns = ["title", "published_percent", "published_for", "source"]
        yield _table(
            ["Measure", "England, %", "Time", "Source"], [list(row) for row in measures.select(columns).rows()]
        )
    yield "## Tried on"
    if name not in examples.definitions:
        yield f"No rule of this programme is in force on {examples.as_of:%-d %B %Y}, the day of the example people."
        return
    yield _attrition(name, examples, states)
    rows = [
        [example.expected or "no row", example.because, "; ".join(example.facts) or "nothing"]
        for example in examples.of(name)
    ]
    yield _table(["Answer", "Why", "On record"], rows)


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in [heads, *rows]]
    return "\n".join([lines[0], "|" + " --- |" * len(heads), *lines[1:]])


def _rule(row: dict[str, Any]) -> list[Any]:
    """One rule as the cells of its row."""
    return [
        row["effective_from"],
        row["effective_to"],
        row["event"],
        "; ".join(_who(row)),
        _falls_due(row),
        _interval(row["interval"], row["clear_interval"]),
        _interval(row["window"], row["clear_window"]) or ("the season" if row["due_on"] else "good"),
        _words(row["grace"]),
        row["source"],
    ]


def _who(row: dict[str, Any]) -> Iterator[str]:
    """Whom a rule is for, in words."""
    on = f" on {row['age_on']:%-d %B %Y}" if row["age_on"] else ""
    under = f" to under {_words(row['age_to'])}" if row["age_to"] else ""
    yield f"from {_words(row['age_from'])}{under}{on}"
    if row["sex"]:
        yield f"{row['sex']}{', or with a test on record' if row['sex_override'] else ''}"
    if row["born_from"]:
        yield f"born from {row['born_from']:%-d %B %Y}"
    if row["born_before"]:
        yield f"born before {row['born_before']:%-d %B %Y}"
    if row["needs"]:
        yield f"with {' and '.join(_group(group) for group in row['needs'].split('+'))}"
    if row["excludes"]:
        yield f"without {_group(row['excludes'])}"
    if row["inferred_from"]:
        reached = "ever" if row["inferred_from"] == "never" else f"before {_words(row['inferred_from'])}"
        yield f"silence says nothing {reached}"


def _group(group: str) -> str:
    """Who is in a group, in words."""
    rows = load_groups().filter(group=group)
    names = [name.replace("_", " ") for name in rows["key"]]
    within = rows["within"].drop_nulls()
    return " or ".join(names) + (f" in the last {_words(within[0])}" if len(within) else "")


def _falls_due(row: dict[str, Any]) -> str:
    """When a rule's event first falls due, in words."""
    since = f"; if never done, not before {row['offered_from']:%-d %B %Y}" if row["offered_from"] else ""
    return _first_due(row) + since


def _first_due(row: dict[str, Any]) -> str:
    if row["due_on"]:
        return f"{row['due_on']:%-d %B %Y}"
    after = f"{_words(row['due_after'])} after " if row["due_after"] else ""
    if row["due_at"]:
        return f"at {_words(row['due_at'])}" + (f", {after}the dose before" if after else "")
    return f"{after or 'on '}that is recorded" if row["needs"] else f"at {_words(row['age_from'])}"


def _interval(usual: str | None, clear: str | None) -> str:
    return "" if usual is None else _words(usual) + (f"; {_words(clear)} after a clear result" if clear else "")


def _words(length: str) -> str:
    """A duration in words: 24y6mo is 24 years 6 months."""
    parts = pl.Series([length]).str.extract_all(r"\d+(?:y|mo|w|d)")[0].to_list()
    return " ".join(f"{part.rstrip('ymowd')} {UNITS[part.lstrip('0123456789')]}" for part in parts)


def _codes(name: str) -> list[list[Any]]:
    """One row per codelist: what it says, how many codes ship, and what is not known."""
    listed = read_definition_csv("programmes/codes.csv").filter(programme=name)
    counts = load_codes().filter(programme=name).group_by("codelist").agg(codes=pl.col("concept_id").count())
    rows = listed.join(counts, on="codelist", how="left", validate="m:1", maintain_order="left")
    return [
        [
            " ".join(filter(None, [row["role"].replace("_", " "), row["result"], row["channel"]])),
            f"`{row['codelist']}`",
            row["codes"],
            row["note"],
        ]
        for row in rows.iter_rows(named=True)
    ]


def _attrition(name: str, examples: ExampleFile, states: pl.DataFrame) -> str:
    """How many of the example people are left after each step."""
    people = [example.person_id for example in examples.of(name)]
    rows = states.filter(pl.col("person_id").is_in(people), pl.col("programme") == name)
    steps = {
        "example people": len(people),
        "in the programme": rows.height,
        "not excluded": rows.filter(pl.col("state") != "not_eligible").height,
        "not declined or unsuitable": rows.filter(
            ~pl.col("state").is_in(["not_eligible", "declined", "unsuitable"])
        ).height,
        "with a gap": rows.filter("is_gap").height,
    }
    day = f"{examples.as_of:%-d %B %Y}"
    told = ", ".join(f"{count} {words}" for words, count in steps.items())
    return f"As of {day}; born on 1 June 1966, female and registered since 2015 unless it says otherwise. {told}."
