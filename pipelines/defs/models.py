"""Retraining: its own job, never part of a week. A new model is a candidate until someone promotes it."""

import datetime as dt

import dagster as dg

from pipelines.defs.resources import OWNERS, Workspace


class TrainingConfig(dg.Config):
    """Which study to train, and what may be known."""

    study: str = "avoidable_admission_12m"
    as_of: str
    """A Monday; the outcomes that are complete by then are learned from."""
    explained: str | None = None
    """Why a leak alarm is no fault; without it an alarm stops the run."""


@dg.asset(
    group_name="models",
    deps=["registrations", "events", "medications", "contacts", "spells", "emergency_attendances"],
    kinds={"scikitlearn"},
    owners=OWNERS,
)
def risk_model(
    context: dg.AssetExecutionContext, workspace: Workspace, config: TrainingConfig
) -> dg.MaterializeResult:
    """The learned risk of an avoidable admission: an additive model with its card, saved as a candidate."""
    # Loaded when it is needed: every other job would wait for it.
    from pipelines.io.studies import Question
    from pipelines.io.training import train_model

    question = Question(as_of=dt.date.fromisoformat(config.as_of), explained=config.explained)
    trained = train_model(workspace.settings, config.study, question, on_step=context.log.info)
    return dg.MaterializeResult(
        metadata={
            "version": trained.model.version,
            "c_statistic": trained.evaluation.value("c_statistic"),
            "card": dg.MetadataValue.md((trained.folder / "card.md").read_text("utf-8")),
        }
    )


train_job = dg.define_asset_job(
    "train", selection=dg.AssetSelection.assets("risk_model"), description="Fit and judge the risk model."
)


@dg.definitions
def defs() -> dg.Definitions:
    """The model and the job that trains it."""
    return dg.Definitions(assets=[risk_model], jobs=[train_job])
