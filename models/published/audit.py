"""AUDIT and AUDIT-C from answers or recorded totals, with the questionnaire's own skip rules."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.marking import Finding
from models.published.registry import RowScore


def _answers(inputs: Inputs) -> list[pl.Expr]:
    """The points of the ten questions, with 0 where a skip rule says the question was not to be asked."""
    asked = [inputs[f"audit_q{number}"] for number in range(1, 11)]
    never = asked[0] == 0
    second, third = (pl.when(never).then(answer.fill_null(0)).otherwise(answer) for answer in asked[1:3])
    skipped = never | (second + third == 0)
    later = [pl.when(skipped).then(answer.fill_null(0)).otherwise(answer) for answer in asked[3:8]]
    return [asked[0], second, third, *later, *asked[8:]]


def _working(inputs: Inputs) -> list[dict[str, pl.Expr]]:
    answers = _answers(inputs)
    return [{"_sum_c": _total(answers[:3]), "_sum": _total(answers)}]


def _total(answers: list[pl.Expr]) -> pl.Expr:
    """The sum, null if any answer is."""
    return pl.sum_horizontal(answers, ignore_nulls=False)


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    return {
        "audit_c_score": pl.coalesce("_sum_c", inputs["audit_c"]),
        "audit_score": pl.coalesce("_sum", inputs["audit"]),
    }


def _refusals(inputs: Inputs) -> list[Finding]:
    sum_c, whole = pl.col("_sum_c"), pl.col("_sum")
    nothing = pl.all_horizontal([value.is_null() for value in (sum_c, inputs["audit_c"], whole, inputs["audit"])])
    return [
        ("audit_c: not the sum of questions 1 to 3", sum_c != inputs["audit_c"]),
        ("audit: not the sum of questions 1 to 10", whole != inputs["audit"]),
        ("neither AUDIT-C nor AUDIT can be worked out", nothing),
    ]


SCORE = RowScore(definition=load_definition("audit"), formula=_formula, working=_working, refusals=_refusals)
