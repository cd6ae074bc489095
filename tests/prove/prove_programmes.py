"""Claims about the programmes: the SQL decides as an independent program does."""

import datetime as dt
from pathlib import Path

from tests.lib.made_histories import disagreements
from tests.lib.tables import AS_OF
from tests.prove.claims import Finding, exactly, proves

BATCH = 2_500
DATES = [AS_OF, dt.date(2025, 5, 19), dt.date(2025, 11, 3), dt.date(2026, 2, 2)]


@proves("non-response")
def sql_and_plain_python_decide_alike(folder: Path) -> list[Finding]:
    wrong = 0
    for seed in range(20_000 // BATCH):
        wrong += len(disagreements(BATCH, seed=seed, as_of=DATES[seed % len(DATES)])[1])
    claim = "of 20,000 generated histories on four dates, rows on which the SQL and a plain Python program differ"
    return [exactly(claim, wrong, 0)]
