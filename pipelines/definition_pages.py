"""Writes a page for clinicians from each file of example people: what counts, who is lost, on whom it was tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.clinical.definitions import condition_titles, load_measures, read_definition_csv
from data_contracts.clinical.from_record import load_record_rules
from data_contracts.clinical.registers import Register, RegisterRule, load_registers
from data_contracts.tables.weekly import LifestyleFlags
from pipelines.io.examples import Example, ExampleFile, load_examples
from pipelines.programme_pages import programme_pages

EXAMPLES = Path(__file__).parents[1] / "tests" / "spec" / "definitions"
INTRODUCTIONS = {
    "measurements": (
        "# Measurements",
        "Which recorded values are used and in which unit, as `data_contracts/clinical/measures.yaml` says and "
        "`sql/features/measurements.sql` finds them. A value whose unit is not listed, or that lies outside the "
        "plausible range, is left out and never guessed at. Of two values on one day the lower counts.",
    ),
    "score_inputs": (
        "# What scores take from a record",
        "How each input of QRISK3, QDiabetes and the NHS Health Check is found, and what counts as treated or as a "
        "status, as `data_contracts/clinical/from_record.csv` says and `sql/features/score_inputs.sql` finds. "
        "Unknown means that the record does not answer: no for a diagnosis or a medicine, not known for the rest.",
    ),
    "lifestyle_flags": (
        "# Lifestyle flags",
        "What makes somebody of 16 or over, who does not receive palliative care, a person with a lifestyle risk, "
        "and what is left untreated, as "
        "`data_contracts/clinical/lifestyle_rules.csv` says and `sql/features/lifestyle_flags.sql` finds it. QRISK3 "
        "and QDiabetes thresholds are tried with scores given in `tests/spec/test_lifestyle_flags.py`.",
    ),
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
    files = {path.stem: load_examples(path) for path in sorted(EXAMPLES.glob("*.yaml"))}
    programmes = programme_pages(files.pop("programme_states"))
    return {f"definitions/{name}.md": _page(file) for name, file in files.items()} | programmes


def _page(file: ExampleFile) -> str:
    """One page: an introduction, then a section for each definition."""
    title, introduction = INTRODUCTIONS[file.table]
    lost = _attrition(file) if file.table == "registers" else {name: _known(file, name) for name in file.definitions}
    sections = [_section(file, name, lost.get(name)) for name in file.definitions]
    tried = (
        f"Each section ends with the made-up people on whom the definition is tried in every test run, as of "
        f"{_day(file)}. They were born on 1 June 1966, female and registered since 2015 unless it says otherwise."
    )
    return "\n\n".join([title, introduction, tried, *sections]) + "\n"


def _section(file: ExampleFile, name: str, lost: str | None) -> str:
    title, rules = DESCRIBE[file.table](name)
    rows = [_row(example) for example in file.of(name)]
    table = "\n".join(["| Answer | Why | On record |", "| --- | --- | --- |", *rows])
    counts = "\n".join(f"- {rule}" for rule in rules)
    return "\n\n".join(part for part in (f"## {title}", f"`{name}`", counts, lost, table) if part)


def _row(example: Example) -> str:
    record = "; ".join(example.facts) or "nothing"
    return f"| {_answer(example.expected)} | {example.because} | {record} |"


def _answer(expected: Any) -> str:
    if expected is None or isinstance(expected, bool):
        return {True: "yes", False: "no", None: "unknown"}[expected]
    return f"{expected:g}" if isinstance(expected, float) else str(expected)


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


def _known(file: ExampleFile, name: str) -> str:
    """How many of a definition's example people have an answer, and how many of those a yes or a value."""
    answers = [example.expected for example in file.of(name)]
    known = [answer for answer in answers if answer is not None]
    yes = sum(answer is not False for answer in known)
    return f"Left after each step: {len(answers)} example people, {len(known)} with an answer, {yes} of them counted."


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


def _describe_measure(name: str) -> tuple[str, list[str]]:
    """A measure's title, range and unit rules in words."""
    measure = load_measures()[name]
    low, high = measure.plausible
    rules = []
    for rule in measure.units:
        units = ", ".join(unit or "no unit" for unit in rule.recorded)
        limits = "" if rule.value_from is None else f" from {rule.value_from:g}"
        limits += "" if rule.value_below is None else f" below {rule.value_below:g}"
        change = f" times {rule.multiply:g}" * (rule.multiply != 1) + f" plus {rule.add:g}" * (rule.add != 0)
        rules.append(f"{units}:{limits or ' any value'}{change}")
    return measure.title, [f"in {measure.unit}, plausible from {low:g} to {high:g}", *rules]


def _describe_input(name: str) -> tuple[str, list[str]]:
    """A score's input and the rules that find it in words."""
    score, column = name.split(".")
    rules = load_record_rules().filter(score=score, input=column).to_dicts()
    parts = sorted({rule["part"] for rule in rules})
    lines = ["; or ".join(_input_rule(rule) for rule in rules if rule["part"] == part) for part in parts]
    return f"{column.replace('_', ' ')}, for {score}", [" and ".join(lines)]


def _input_rule(rule: dict[str, Any]) -> str:
    """One rule of from_record.csv in words."""
    lists = " or ".join(name.replace("_", " ") for name in rule["codelists"].split("|"))
    window = f" in the last {rule['months']} months" if rule["months"] else ""
    words = {
        "code": f"{lists} ever recorded",
        "unresolved": f"{lists} recorded and not resolved",
        "issues": f"{rule['at_least'] or 0:g} or more issues of {lists}{window}",
        "status": f"latest entry is {lists}: {rule['value'] or 0:g}",
        "spread": f"standard deviation of {lists} readings",
        "quotient": f"{rule['codelists'].replace('_', ' ').replace('|', ' divided by ')} of one day{window}",
        "date": f"date of the latest {lists}",
        "measurement": f"latest {lists}{window}" + (f" is {rule['at_least']:g} or more" if rule["at_least"] else ""),
    }
    return words[rule["kind"]]


def _describe_flag(name: str) -> tuple[str, list[str]]:
    """A lifestyle flag in the words of its contract, with its thresholds."""
    described = str(LifestyleFlags.to_schema().columns[name].description)
    rules = read_definition_csv("lifestyle_rules.csv").filter(flag=name)
    limits = []
    for row in rules.group_by(pl.exclude("flag", "ethnic_group"), maintain_order=True).agg("ethnic_group").to_dicts():
        groups = [group for group in row["ethnic_group"] if group]
        limits.append(
            f"{row['measure']} {row['value_from']} or more"
            + (f", below {row['value_below']}" if row["value_below"] else "")
            + (f", from age {row['age_from']}" if row["age_from"] else "")
            + (f", under age {row['age_below']}" if row["age_below"] else "")
            + (f", in ethnic categories {', '.join(groups)}" if groups else "")
        )
    return described, limits


DESCRIBE: dict[str, Describe] = {
    "registers": _describe_register,
    "measurements": _describe_measure,
    "score_inputs": _describe_input,
    "lifestyle_flags": _describe_flag,
}
"""By table, how a definition is put in words."""
