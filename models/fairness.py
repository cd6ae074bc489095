"""Groups that a model serves badly: found by a stated test that chance alone seldom passes. Mends nothing."""

import polars as pl
from scipy.stats import norm

from models.design import StudyDesign
from models.evaluation import Evaluation

CHANCE_OF_FALSE_ALARM = 0.05
SMALLEST_GAP = 0.1
"""A group whose outcomes lie within a tenth of what its risks say is not flagged, however large it is."""


def find_unfair_groups(design: StudyDesign, evaluation: Evaluation) -> pl.DataFrame:
    """One row per group whose outcomes differ from its risks by more than chance and more than a tenth.

    Calibration within groups is the notion of fairness. The chance of any false alarm is held to 5% over all groups
    together. Columns: group, level, outcomes, observed_over_expected, is_under_served (risks too low, so too few of
    the group are listed).
    """
    names = [subgroup.name for subgroup in design.judgement.subgroups]
    judged = (
        evaluation.table.filter(
            pl.col("group").is_in(names) & pl.col("metric").is_in(["outcomes", "observed_over_expected"])
        )
        .pivot("metric", index=["group", "level"], values="value", aggregate_function="first")
        .filter(pl.col("outcomes") >= design.judgement.smallest_group_events)
        .sort("group", "level")
    )
    overall = evaluation.value("observed_over_expected")
    limit = norm.isf(CHANCE_OF_FALSE_ALARM / 2 / max(judged.height, 1))
    gap = pl.col("observed_over_expected") / overall - 1
    spread = (pl.col("observed_over_expected") / overall) / pl.col("outcomes").sqrt()
    return judged.filter(gap.abs() > SMALLEST_GAP, gap.abs() > limit * spread).with_columns(is_under_served=gap > 0)
