"""Claims about the made-up people: they match what is published of England, and their coverage does."""

from pathlib import Path

import polars as pl

from pipelines.synthetic.marginals import marginals
from tests.lib.workspaces import AS_OF
from tests.prove.claims import Finding, proves

SEED = 20261116


@proves("model")
def made_up_people_match_published_marginals(folder: Path) -> list[Finding]:
    compared = marginals(people=200_000, seed=SEED, as_of=AS_OF, practices=300)
    return [_counted("published marginals that 200,000 made-up people match within 5% or half a point", compared)]


@proves("non-response")
def made_up_coverage_matches_published_coverage(folder: Path) -> list[Finding]:
    compared = marginals(people=200_000, seed=SEED, as_of=AS_OF, practices=300)
    programmes = compared.filter(pl.col("marginal").str.contains("flu|MMR|6-in-1|bowel|breast|cervical"))
    return [_counted("published coverages of screening and immunisation that made-up people match", programmes)]


def _counted(claim: str, compared: pl.DataFrame) -> Finding:
    held = int(compared["holds"].sum())
    return Finding(claim, f"{held} of {compared.height}", "all", held == compared.height)
