"""Times Casefinder beside what people use instead, on the same made-up people: `make against`. First, answers agree.

Latest values are asked of pandas and of one DuckDB query with an aggregate for each measure, from Parquet to Parquet.
QRISK3 is asked of a loop over people in plain Python, and of a loop over the rows of a data frame, which is how the R
package goes about it (R itself is not run). Charlson and HFRS are asked of pycomorb.
"""

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pycomorb

from data_contracts.clinical.definitions import dated_tables
from data_contracts.clinical.scores.definition import load_table
from data_contracts.codelists import codes_of
from models.published.registry import load_scores
from pipelines.bench import AS_OF, SEED
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_table, weekly_order
from pipelines.settings import Settings
from pipelines.synthetic.write import write_extracts
from tests.benchmarks.c_reference import write_module
from tests.benchmarks.scores import TEXTS, best_of, made_up

PEOPLE, ROW_BY_ROW = 100_000, 10_000
"""People of every question, and of the slowest way, whose time is scaled up."""
Latest = pl.DataFrame
"""One row per person and measure: person_id, measure, value, measured_date."""


@dataclass(frozen=True)
class Finding:
    """Seconds that one way took to answer a question for so many people, beside Casefinder's for as many."""

    question: str
    way: str
    seconds: float
    ours: float

    @property
    def line(self) -> str:
        """The finding as a row of a Markdown table."""
        times = self.seconds / self.ours
        return f"| {self.question} | {self.way} | {self.seconds:.2f} | {self.ours:.2f} | {times:.1f} |"


def latest_values(folder: Path, people: int) -> list[Finding]:
    """The latest plausible value of each measure, from the history to a Parquet file."""
    settings = Settings().model_copy(update={"home": folder / "workspace", "threads": 2})
    write_extracts(people=people, practices=None, seed=SEED, as_of=AS_OF, formats=["history"], out=settings.home)
    warehouse = Warehouse(settings)
    order = weekly_order()
    for table in order[: order.index("measurements")]:
        build_table(warehouse, table, AS_OF)
    ours = best_of(3, lambda: warehouse.build("measurements", AS_OF))
    answer = _sorted(warehouse.read("measurements", AS_OF).select("person_id", "measure", "value", "measured_date"))
    ways: dict[str, Callable[[Warehouse, Path], Latest]] = {
        "pandas": latest_by_pandas,
        "one DuckDB query, an aggregate for each measure": latest_by_one_query,
    }
    findings = []
    for way, ask in ways.items():
        _agree(_sorted(ask(warehouse, folder)), answer, way)
        seconds = best_of(3, lambda ask=ask: ask(warehouse, folder))
        findings.append(Finding(f"latest value of {_measures().height} measures", way, seconds, ours))
    return findings


def _measures() -> pl.DataFrame:
    units = dated_tables(AS_OF)["measure_units"]
    return units.select("measure", "measure_number", "from_age").unique(maintain_order=True)


def _codes() -> pl.DataFrame:
    """One row per concept that is a measure: concept_id, measure, measure_number, from_age."""
    measures = _measures()
    found = [
        pl.DataFrame({"concept_id": codes_of(name)}).with_columns(measure=pl.lit(name))
        for name in measures["measure"]
    ]
    return pl.concat(found).join(measures, on="measure", how="left")


def _paths(warehouse: Warehouse, table: str) -> list[str]:
    return [str(warehouse.path(table, AS_OF, icb)) for icb in warehouse.icb_codes()]


def latest_by_pandas(warehouse: Warehouse, folder: Path) -> Latest:
    """The answer as an analyst writes it with pandas."""
    as_of = pd.Timestamp(AS_OF).date()
    people = pd.concat(
        pd.read_parquet(path, columns=["person_id", "practice_code", "birth_date"])
        for path in _paths(warehouse, "people")
    )
    columns = ["person_id", "practice_code", "concept_id", "event_date", "entered_date", "value", "unit"]
    events = pd.concat(pd.read_parquet(path, columns=columns) for path in _paths(warehouse, "events"))
    rows = events.merge(_codes().to_pandas(), on="concept_id").merge(people, on=["person_id", "practice_code"])
    rows = rows[rows["value"].notna() & rows["event_date"].notna()]
    rows = rows[(rows["entered_date"] < as_of) & (rows["event_date"] < as_of)]
    rows = rows[rows["event_date"] >= rows["birth_date"]]
    day, born = pd.to_datetime(rows["event_date"]).dt, pd.to_datetime(rows["birth_date"]).dt
    age = day.year - born.year - (day.month * 100 + day.day < born.month * 100 + born.day)
    rows = rows[age >= rows["from_age"]]
    rows = rows.assign(recorded_unit=rows["unit"].fillna("").str.strip().str.lower())
    units = dated_tables(AS_OF)["measure_units"].drop("measure", "from_age").to_pandas()
    rows = rows.merge(units, on=["measure_number", "recorded_unit"])
    rows = rows[rows["value_from"].isna() | (rows["value"] >= rows["value_from"])]
    rows = rows[rows["value_below"].isna() | (rows["value"] < rows["value_below"])]
    rows = rows.assign(value=rows["value"] * rows["multiply"] + rows["add"])
    rows = rows[rows["value"].between(rows["plausible_from"], rows["plausible_to"])]
    rows = rows.sort_values(["event_date", "value"], ascending=[False, True])
    latest = rows.drop_duplicates(["person_id", "measure"])[["person_id", "measure", "value", "event_date"]]
    latest.to_parquet(folder / "pandas.parquet", index=False)
    return pl.read_parquet(folder / "pandas.parquet").rename({"event_date": "measured_date"})


def latest_by_one_query(warehouse: Warehouse, folder: Path) -> Latest:
    """The answer in one wide query over all history: one row a person, two aggregates a measure."""
    measures = _measures()["measure"].to_list()
    picked = ", ".join(
        f"{what} filter (where codes.measure = '{name}') as {name}_{kind}"
        for name in measures
        for kind, what in (("value", "arg_max(amount, place)"), ("date", "max(event_date)"))
    )
    target = folder / "one_query.parquet"
    with duckdb.connect(config={"threads": warehouse.settings.threads}) as con:
        con.register("codes", _codes())
        con.register("units", dated_tables(AS_OF)["measure_units"].drop("measure", "from_age"))
        con.sql(
            f"""
            select person_id, {picked}
            from (
                select
                    people.person_id, codes.measure, events.event_date, units.plausible_from, units.plausible_to,
                    events.value * units.multiply + units.add as amount,
                    row(events.event_date, -(events.value * units.multiply + units.add)) as place
                from read_parquet($events) as events
                inner join read_parquet($people) as people using (person_id, practice_code)
                inner join codes using (concept_id)
                inner join units
                    on units.measure_number = codes.measure_number
                    and units.recorded_unit = coalesce(lower(trim(events.unit)), '')
                where
                    events.value is not null and events.entered_date < $as_of and events.event_date < $as_of
                    and events.event_date >= people.birth_date
                    and date_sub('year', people.birth_date, events.event_date) >= codes.from_age
                    and (units.value_from is null or events.value >= units.value_from)
                    and (units.value_below is null or events.value < units.value_below)
            ) as codes
            where amount between plausible_from and plausible_to
            group by person_id
            """,
            params={"events": _paths(warehouse, "events"), "people": _paths(warehouse, "people"), "as_of": AS_OF},
        ).write_parquet(str(target), compression="zstd")
    wide = pl.scan_parquet(target)
    return pl.concat(
        wide.select(
            "person_id",
            measure=pl.lit(name),
            value=pl.col(f"{name}_value"),
            measured_date=pl.col(f"{name}_date"),
        ).drop_nulls("value")
        for name in measures
    ).collect()


def _sorted(rows: pl.DataFrame | pl.LazyFrame) -> Latest:
    return rows.lazy().sort("person_id", "measure").collect()


def _agree(found: pl.DataFrame, expected: pl.DataFrame, way: str) -> None:
    """Passes if two answers are the same.

    Raises:
        ValueError: they differ.
    """
    if not found.select(expected.columns).equals(expected):
        raise ValueError(f"{way} answers otherwise: {found.height} rows, expected {expected.height}")


def ten_year_risk(folder: Path, people: int) -> list[Finding]:
    """QRISK3 of made-up inputs."""
    score = load_scores()["qrisk3"]
    frame = made_up(score.definition, people)
    columns = [name for name in frame.columns if name not in ("person_id", "sex")]
    program = _module(write_module(load_table(score.definition, "qrisk3_coefficients"), columns, folder))
    equations = {"female": program.female, "male": program.male}
    ours = best_of(3, lambda: score.score(frame))
    expected = score.score(frame)["qrisk3"].to_numpy()
    few = frame.head(ROW_BY_ROW).to_pandas()

    def by_person() -> list[float]:
        return [
            equations[sex](*values)
            for sex, values in zip(frame["sex"], frame.select(columns).iter_rows(), strict=True)
        ]

    def by_row() -> list[float]:
        return [equations[row["sex"]](*(row[name] for name in columns)) for _, row in few.iterrows()]

    findings = []
    for way, ask, share in (
        ("plain Python, person by person", by_person, 1.0),
        (f"a data frame row by row (R's way; {ROW_BY_ROW:,} people, scaled up)", by_row, people / few.shape[0]),
    ):
        found = np.array(ask())
        if np.abs(found - expected[: len(found)]).max() > 1e-9:
            raise ValueError(f"{way} answers otherwise")
        findings.append(Finding("QRISK3", way, best_of(1, ask) * share, ours))
    return findings


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("scalar_equation", path)
    if spec is None or spec.loader is None:
        raise ImportError(path.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def diagnosis_scores(people: int) -> list[Finding]:
    """Charlson and the Hospital Frailty Risk Score of made-up diagnoses, ten a person."""
    dice = np.random.default_rng(SEED)
    codes = pl.Series(
        [*TEXTS["icd10_code"], *load_table(load_scores()["hfrs"].definition, "hfrs_weights")["icd10_code"]]
    )
    rows = pl.DataFrame(
        {
            "person_id": np.repeat(np.arange(people), 10),
            "age_years": np.repeat(dice.integers(65, 100, people), 10),
            "icd10_code": codes[pl.Series(dice.integers(0, len(codes), people * 10))],
        }
    )
    theirs = rows.rename({"person_id": "id", "icd10_code": "code", "age_years": "age"})
    ways: dict[str, tuple[str, str, Callable[[], pl.DataFrame], str]] = {
        "Charlson with age": (
            "charlson",
            "charlson_1987_age_adjusted",
            lambda: pycomorb.CharlsonComorbidityIndex(theirs, implementation="quan", weights="charlson"),
            "Charlson Age-Comorbidity Score",
        ),
        "Hospital Frailty Risk Score": (
            "hfrs",
            "hfrs",
            lambda: pycomorb.HospitalFrailtyRiskScore(theirs.drop("age")),
            "HFRS Score",
        ),
    }
    findings = []
    for question, (name, column, ask, named) in ways.items():
        score = load_scores()[name]
        ours, found = score.score(rows).sort("person_id"), ask().sort("id")
        difference = ours[column].cast(pl.Float64) - found[named].cast(pl.Float64)
        if ours.height != found.height or ours[column].null_count() or difference.abs().max() > 1e-9:
            raise ValueError(f"pycomorb answers otherwise: {question}")
        seconds = best_of(3, ask)
        findings.append(Finding(question, "pycomorb", seconds, best_of(3, lambda score=score: score.score(rows))))
    return findings


def every_finding(folder: Path) -> list[Finding]:
    """Every question asked of every way that answers it.

    Raises:
        ValueError: a way gives other answers.
    """
    return [*latest_values(folder, PEOPLE), *ten_year_risk(folder, PEOPLE), *diagnosis_scores(PEOPLE)]


def main() -> None:
    """Prints the findings, or writes them on the page that is named."""
    with tempfile.TemporaryDirectory() as folder:
        findings = every_finding(Path(folder))
    page = "\n".join(
        [
            "# Against what people use instead",
            "",
            f"Made by `make against` on {PEOPLE:,} made-up people, 2 cores; do not edit. Each way gave the same",
            "answers as Casefinder, person by person, before it was timed. Seconds are of the quickest run.",
            "Casefinder's include what others leave out: checks of inputs, reasons for no score, previous values.",
            "",
            "| Question | Another way | Its seconds | Casefinder's | Times |",
            "| --- | --- | --: | --: | --: |",
            *(finding.line for finding in findings),
            "",
        ]
    )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
