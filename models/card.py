"""The model card: markdown made from a model and its evaluation, never by hand. No figure is worked out here."""

from collections.abc import Iterable, Iterator
from importlib.resources import files

import polars as pl

from data_contracts.yaml_text import parse_yaml
from models.additive import AdditiveModel
from models.design import Frozen, StudyDesign
from models.evaluation import Evaluation

CARDS = files("models") / "cards"
TITLES = {
    "c_statistic": "C-statistic",
    "average_precision": "average precision",
    "prevalence": "share with the outcome",
    "observed_over_expected": "observed over expected",
    "calibration_slope": "calibration slope",
    "calibration_index": "integrated calibration index",
    "brier": "Brier score",
}
GROUP_METRICS = ("outcomes", "c_statistic", "observed_over_expected", "flagged_share", "sensitivity")


class ChecklistItem(Frozen):
    """One TRIPOD+AI item and where it is answered: exactly one of the last four."""

    item: int | str
    asks: str
    card: str | None = None
    design: str | None = None
    metric: str | None = None
    adopter: str | None = None

    @property
    def answer(self) -> str:
        """Where the item is answered, in words."""
        if self.adopter:
            return f"for whoever uses it: {self.adopter.lower()}"
        return f"“{self.card}”" if self.card else f"`{self.design or self.metric}`"


def load_checklist() -> list[ChecklistItem]:
    """The TRIPOD+AI items, in order."""
    return [ChecklistItem(**entry) for entry in parse_yaml((CARDS / "tripod_ai.yaml").read_text("utf-8"))]


def write_card(model: AdditiveModel, evaluation: Evaluation, *, data: str, charts: Iterable[str]) -> str:
    """The card as markdown.

    Args:
        model: the model that the card is of.
        evaluation: its judgement.
        data: which data it was trained and judged on, in a sentence or two.
        charts: file names of the charts that lie beside the card.
    """
    sections = {
        "In short": _in_short(model, evaluation),
        "Intended use": _intended_use(model),
        "Data": _data(model, data),
        "Study design": _study_design(model),
        "Features": _features(model),
        "How a score is made": _how(model, evaluation),
        "Figures": figures_table(model.design, evaluation, charts),
        "What the figures mean": _meaning(evaluation),
        "Groups": groups_table(model.design, evaluation),
        "Keeping it true": _upkeep(model),
        "Limits": LIMITS,
        "TRIPOD+AI": _checklist(),
    }
    body = "\n".join(f"## {heading}\n\n{text.strip()}\n" for heading, text in sections.items())
    return f"# Model card: {model.design.name}\n\n{body}"


LIMITS = """
- On made-up people these figures show only that the method finds what was planted. They say nothing of real patients.
  A data controller has to run `casefinder train` and `casefinder evaluate` on real records before any figure counts.
- Who is admitted is not who is in need: people who get less care for the same need have fewer admissions, so the
  model under-selects them. Compare selection with need in the table of groups before use.
- People who were helped because of an earlier list look healthier than they would have been.
- Most people who will be admitted are not among the top 2%. Absence from a list says nothing about health.
- No list of this kind has been shown to lower emergency admissions; a randomised trial of one saw more of them
  (Snooks, BMJ Qual Saf 2019;28:697).
"""


def _in_short(model: AdditiveModel, evaluation: Evaluation) -> str:
    design = model.design
    cut = design.judgement.alarm_cut
    return (
        f"Version `{model.version}`. Predicts {_words(design.follow_up.outcome)} within "
        f"{design.follow_up.horizon_days} "
        f"days for: {design.population.description.lower()}. Trained on {model.trained_people:,} people with "
        f"{model.trained_events:,} outcomes ({_words(model.estimator)}); judged on "
        f"{evaluation.value('people'):,.0f} people of practices it never saw: C-statistic "
        f"{evaluation.value('c_statistic'):.3f}, and of the {cut:.0%} with the highest scores "
        f"{evaluation.value('positive_predictive_value', cut=cut):.1%} had the outcome.\n\n"
        + "\n".join(f"**Alarm.** {alarm}." for alarm in evaluation.alarms)
    )


def _intended_use(model: AdditiveModel) -> str:
    return (
        f"{model.design.purpose}\n\nUsers: practice teams who know the patient, and analysts who can read this card. "
        "It supports a weekly choice of whom to contact first.\n\nIt must not be used to refuse, delay or "
        "price care, "
        "for insurance or employment, for triage of an ill person, for people outside the population, or to judge "
        "practices. It is not a diagnosis, and nobody may be contacted on a score alone without a clinician's look."
    )


def _data(model: AdditiveModel, data: str) -> str:
    return (
        f"{data}\n\nFeatures come from routine GP and hospital records as of {model.design.index_date}; the "
        "outcome from "
        "hospital records, coded by staff who did not know the score. Training and judgement share dates and "
        "area and "
        "differ in practice. Every input table is checked against its contract before it is read."
    )


def _study_design(model: AdditiveModel) -> str:
    design = model.design
    rows = {
        "index date": design.index_date,
        "lookbacks": design.lookbacks,
        "outcome": f"{_words(design.follow_up.outcome)}, {design.follow_up.horizon_days} days from the index date",
        "late coding": f"outcome read {design.follow_up.late_coding_gap_days} days after the horizon or later",
        "deaths": "end the chance of the outcome; never merged into it",
        "leavers": f"{design.follow_up.leavers} to the end of follow-up",
        "contacted from a list": "not learned from, judged as a group",
        "split": f"whole practices; {design.split.held_out_share:.0%} held out, {design.split.folds} folds",
        "feature version": design.feature_version,
    }
    return table(("Part", "Choice"), rows.items())


def _features(model: AdditiveModel) -> str:
    rows = [
        (table.name, table.absent, f"{table.by_bin.min():+.2f} to {table.by_bin.max():+.2f}")
        for table in sorted(model.tables, key=lambda table: table.by_bin.min() - table.by_bin.max())
    ]
    return (
        "Missing stays missing: a value that nobody recorded has points of its own. A person in whom a "
        "needed feature is "
        "unknown gets no score, and the reason. Ethnic group is judged below and is never a feature.\n\n"
        + table(("Feature", "No row means", "Points, lowest to highest"), rows)
    )


def _how(model: AdditiveModel, evaluation: Evaluation) -> str:
    compared = evaluation.table.filter(pl.col("group") == "estimator").pivot("metric", index="level", values="value")
    rows = [
        (
            _words(row["level"]),
            f"{row['cross_fitted_c_statistic']:.4f}",
            f"{row['cross_fitted_average_precision']:.4f}",
        )
        for row in compared.to_dicts()
    ]
    choice = model.design.choice
    return (
        f"Intercept {model.intercept:.3f} plus the points of each feature: that sum ranks. The shown "
        "probability is a "
        "curve through it, fitted on people in practices the fit had not seen. Rare outcomes are not "
        "resampled. The file "
        "of the model holds tables of numbers and no code.\n\nThe simplest estimator was chosen whose cross-fitted "
        f"C-statistic lies within {choice.c_statistic_within} of that of the best, with "
        f"{choice.average_precision_share:.0%} of "
        f"its average precision: **{_words(model.estimator)}**.\n\n"
        + table(("Estimator, simplest first", "C-statistic", "Average precision"), rows)
    )


def figures_table(design: StudyDesign, evaluation: Evaluation, charts: Iterable[str]) -> str:
    """The overall figures with intervals, the figures at each cut, and the charts."""
    overall = evaluation.table.filter((pl.col("group") == "all") & pl.col("cut").is_null())
    rows = [(TITLES[row["metric"]], _shown(row)) for row in overall.to_dicts() if row["metric"] in TITLES]
    metrics = ("flagged", "positive_predictive_value", "sensitivity", "lift", "contacted_per_person_found")
    cuts = [(f"{cut:.1%}", *(_at(evaluation, each, cut) for each in metrics)) for cut in design.judgement.cuts]
    images = "\n\n".join(f"![{name.removesuffix('.svg')}]({name})" for name in charts)
    heads = ("Share listed", "People", "Had the outcome", "Of all outcomes", "Lift", "Contacted for one found")
    return f"{table(('Figure', 'Value (95% interval)'), rows)}\n\n{table(heads, cuts)}\n\n{images}"


def _meaning(evaluation: Evaluation) -> str:
    return (
        f"Of two people, one of whom will have the outcome, the score is higher in that one "
        f"{evaluation.value('c_statistic'):.0%} of the time; part of that is age, so read the figures within "
        "age bands. "
        f"Where it says 10%, about {evaluation.value('observed_over_expected') * 10:.0f} in 100 had the outcome."
    )


def groups_table(design: StudyDesign, evaluation: Evaluation) -> str:
    """The figures of each group."""
    names = [subgroup.name for subgroup in design.judgement.subgroups]
    rows = evaluation.table.filter(pl.col("group").is_in(names) & pl.col("metric").is_in(GROUP_METRICS))
    if rows.is_empty():
        return "No group was judged."
    wide = rows.pivot("metric", index=["group", "level"], values="value", aggregate_function="first")
    heads = ("Group", "Level", "Outcomes", "C-statistic", "Observed over expected", "Share listed", "Sensitivity")
    columns = ["group", "level", *GROUP_METRICS]
    padded = wide.with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in columns if name not in wide.columns
    )
    return (
        "A model cannot be calibrated in every group and miss equally often in each when groups differ in how common "
        "the outcome is; this one aims at calibration. Blank: too few outcomes to say.\n\n"
        + table(heads, (_group_row(row) for row in padded.select(columns).iter_rows()))
    )


def _upkeep(model: AdditiveModel) -> str:
    return (
        "Score weekly on fresh records: a fresh score from an old model beats an old score. Retrain when "
        "calibration or "
        "inputs drift, as a job of its own; a new model is a candidate until somebody promotes it and says why. "
        f"Records after {model.design.readable_from} have not been learned from."
    )


def _checklist() -> str:
    rows = [(str(entry.item), entry.asks, entry.answer) for entry in load_checklist()]
    return table(("Item", "Asks", "Answered in"), rows)


def _group_row(row: tuple[object, ...]) -> Iterator[str]:
    group, level, outcomes, *rest = row
    yield str(group)
    yield str(level)
    yield f"{outcomes:.0f}"
    for value in rest:
        yield "" if value is None else f"{value:.3f}"


def _at(evaluation: Evaluation, metric: str, cut: float) -> str:
    value = evaluation.value(metric, cut=cut)
    if metric == "flagged":
        return f"{value:,.0f}"
    return f"{value:.1%}" if metric in ("positive_predictive_value", "sensitivity") else f"{value:.1f}"


def _shown(row: dict[str, float | None]) -> str:
    spread = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
    return f"{row['value']:.4f}{spread}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def table(heads: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    """A markdown table."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads), *(" | ".join(map(str, row)) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)
