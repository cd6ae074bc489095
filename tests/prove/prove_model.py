"""Claims about the learned model: how near it comes, on people it never saw, to the best that could be known."""

from pathlib import Path

import polars as pl

from models.design import load_design
from models.evaluation import Evaluation, against_oracle, evaluate
from pipelines.io.studies import Question
from pipelines.io.training import train_model
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from pipelines.synthetic.write import write_extracts
from tests.lib.workspaces import AS_OF
from tests.prove.claims import Finding, at_least, at_most, proves

STUDY = "avoidable_admission_12m"
PEOPLE = 500_000
"""In each of two made-up populations: one to learn from, one to be judged on."""
LARGE_GROUP = 20_000


@proves("model")
def the_model_is_near_the_oracle(folder: Path) -> list[Finding]:
    """Trains on one made-up population and judges on another, whose next twelve months are known."""
    learned, judged = Settings(home=folder / "learned"), Settings(home=folder / "judged")
    for seed, settings in enumerate((learned, judged), start=31):
        write_extracts(people=PEOPLE, practices=60, seed=seed, as_of=AS_OF, formats=["history"], out=settings.home)
    trained = train_model(learned, STUDY, Question(as_of=AS_OF))
    judged.models.symlink_to(learned.models.resolve(), target_is_directory=True)
    build_tables(Warehouse(judged), AS_OF, upto="risk_scores")
    judgement, oracle = _judge(judged)
    c = {name: oracle.value("c_statistic", group="oracle", level=name) for name in ("raw_score", "observable_risk")}
    found = {name: oracle.value("positive_predictive_value", group="oracle", level=name, cut=0.02) for name in c}
    return [
        at_least("C-statistic, avoidable admission in 12 months, people never seen", c["raw_score"], 0.7),
        at_most("C-statistic short of the observable oracle's", c["observable_risk"] - c["raw_score"], 0.02),
        at_least(
            f"PPV at 2% as a share of the oracle's {found['observable_risk']:.3f}",
            found["raw_score"] / found["observable_risk"],
            0.95,
        ),
        at_least("calibration slope", judgement.value("calibration_slope"), 0.95),
        at_most("calibration slope, upper side", judgement.value("calibration_slope"), 1.05),
        at_most("mean calibration error (ICI)", judgement.value("calibration_index"), 0.005, digits=2),
        at_most(
            f"largest ICI among the groups of at least {LARGE_GROUP:,} people",
            _worst_group(judgement),
            0.01,
            digits=2,
        ),
        at_most("features of the model", len(trained.model.design.features), 100),
    ]


def _worst_group(judgement: Evaluation) -> float:
    """The largest mean calibration error in a large subgroup."""
    figures = judgement.table.filter((pl.col("group") != "all") & pl.col("cut").is_null())
    large = figures.filter((pl.col("metric") == "people") & (pl.col("value") >= LARGE_GROUP))
    errors = figures.filter(pl.col("metric") == "calibration_index").join(large, on=["group", "level"], how="semi")
    return float(errors["value"].max())  # type: ignore[arg-type]


def _judge(settings: Settings) -> tuple[Evaluation, Evaluation]:
    """The judgement of the scores on what happened, and beside the oracle."""
    warehouse, design = Warehouse(settings), load_design(STUDY)
    truth = pl.read_parquet(list((settings.home / "truth").glob("*.parquet")))
    people = (
        warehouse.read("people", AS_OF)
        .collect()
        .join(truth, on="person_id", how="inner", suffix="_true")
        .with_columns(
            outcome_count=pl.col("avoidable_admissions_12m").cast(pl.Int64),
            has_outcome=pl.col("avoidable_admissions_12m") > 0,
        )
    )
    scores = warehouse.read("risk_scores", AS_OF).collect().rename({"risk_avoidable_admission_12m": "risk"})
    truths = truth.select("person_id", true_risk="risk_avoidable_true", observable_risk="risk_avoidable_observable")
    return evaluate(design, scores, people), against_oracle(design, scores, truths, people)
