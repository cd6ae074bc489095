"""Writes a page for clinicians from each file of example people: what counts, who is lost, on whom it was tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.clinical.definitions import condition_titles, load_measures
from data_contracts.clinical.registers import Register, RegisterRule, load_registers
from pipelines.io.examples import Example, ExampleFile, load_examples

EXAMPLES = Path(__file__).parents[1] / "tests" / "spec" / "definitions"
INTRODUCTIONS = {
    "registers": (
        "# Registers",
        "Who counts as having a condition or a status, as `data_contracts/clinical/registers.yaml` says and "
        "`sql/features/registers.sql` finds it. A diagnosis counts if it is later than the latest code that resolves "
        "it. An entry counts if it is dated, and was made, before the as-of date, at the practice of registration.",
    ),
}
STEPS = {
    "registered": "example people",
    "recorded": "with an entry",
    "unresolved": "not resolved since",
    "on_register": "on the register",
}
Describe = Callable[[str], tuple[str, list[str]]]


def definition_pages() -> dict[str, str]:
    """The text of each page, by its path under docs."""
    return {f"definitions/{path.stem}.md": _page(load_examples(path)) for path in sorted(EXAMPLES.glob("*.yaml"))}


def _page(file: ExampleFile) -> str:
    """One page: an introduction, then a section for each definition."""
    title, introduction = INTRODUCTIONS[file.table]
    named = dict.fromkeys(example.definition for example in file.examples)
    lost = _attrition(file) if file.table == "registers" else {}
    sections = [_section(file, name, lost.get(name)) for name in named]
    tried = (
        f"Each section ends with the made-up people on whom the definition is tried in every test run, as of "
        f"{_day(file)}. They were born on 1 June 1966, female and registered since 2015 unless it says otherwise."
    )
    return "\n\n".join([title, introduction, tried, *sections]) + "\n"


def _section(file: ExampleFile, name: str, lost: str | None) -> str:
    title, rules = DESCRIBE[file.table](name)
    rows = [_row(example) for example in file.of(name)]
    table = "\n".join(["| Counted | Why | On record |", "| --- | --- | --- |", *rows])
    counts = "\n".join(f"- {rule}" for rule in rules)
    return "\n\n".join(part for part in (f"## {title}", f"`{name}`", counts, lost, table) if part)


def _row(example: Example) -> str:
    record = "; ".join(example.facts) or "nothing"
    return f"| {_answer(example.expected)} | {example.because} | {record} |"


def _answer(expected: Any) -> str:
    words = {True: "yes", False: "no", None: "unknown"}
    return words[expected] if expected is None or isinstance(expected, bool) else str(expected)


def _attrition(file: ExampleFile) -> dict[str, str]:
    """By register, how many of its example people are left after each step."""
    (counts,) = file.answers("register_counts")
    practices = {example.practice_code: example.definition for example in file.examples}
    own = counts.filter(pl.col("register") == pl.col("practice_code").replace_strict(practices))
    return {
        row["register"]: "Left after each step: "
        + ", ".join(f"{row[step]} {words}" for step, words in STEPS.items())
        + "."
        for row in own.to_dicts()
    }


def _describe_register(name: str) -> tuple[str, list[str]]:
    """A register's title and its rules in words."""
    register = load_registers()[name]
    lines = [_rule_words(rule) for rule in register.rules]
    if len(lines) > 1:
        lines = [f"by the rule “{rule.name}”: {line}" for rule, line in zip(register.rules, lines, strict=True)]
    extra = [register.note] if register.note else []
    qof = [f"QOF register {register.qof}"] if register.qof else ["Not a QOF register"]
    return register.title, [*lines, *_choice(register), *extra, *qof]


def _choice(register: Register) -> list[str]:
    if len(register.rules) == 1:
        return []
    return ["the rule with the latest entry decides" if register.choose == "latest" else "the first rule that holds"]


def _rule_words(rule: RegisterRule) -> str:
    """One rule in words."""
    titles = condition_titles()
    parts = [f"{titles[rule.condition]} on record"] if rule.condition else []
    parts += [f"latest {load_measures()[rule.measure].title} at or over the threshold"] if rule.measure else []
    parts += [f"aged {rule.age_from} or over"] if rule.age_from else []
    parts += [f"under {rule.age_below}"] if rule.age_below else []
    parts += [f"first recorded at {rule.age_from_at_first} or over"] if rule.age_from_at_first else []
    parts += [f"earliest entry on or after {rule.first_from:%-d %B %Y}"] if rule.first_from else []
    parts += [f"earliest entry before {rule.first_before:%-d %B %Y}"] if rule.first_before else []
    parts += [f"latest entry on or after {rule.latest_from:%-d %B %Y}"] if rule.latest_from else []
    for need in rule.needs:
        since = f" on or after {need.latest_from:%-d %B %Y}" if need.latest_from else ""
        parts.append(f"{titles[need.condition]} recorded{since}")
    if rule.medicine:
        parts.append(f"{rule.medicine.replace('_', ' ')} issued in the last {rule.medicine_months} months")
    if rule.reading:
        window = f"from {rule.reading_days_before} days before to {rule.reading_days_after} days after"
        parts.append(
            f"{load_measures()[rule.reading].title} under {rule.reading_below:g}, {window} the earliest entry, or as "
            f"long after registration if that was in the last 12 months"
        )
    parts += [f"no {titles[rule.unless]} that is not resolved"] if rule.unless else []
    return "; ".join(parts)


def _day(file: ExampleFile) -> str:
    return f"{file.as_of:%-d %B %Y}"


DESCRIBE: dict[str, Describe] = {"registers": _describe_register}
"""By table, how a definition is put in words."""
