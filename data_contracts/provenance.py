"""What every definition file states before it loads: where it comes from, who checked it and when it applies."""

import datetime as dt

from pydantic import BaseModel, ConfigDict


class Provenance(BaseModel):
    """Where one definition comes from and when it applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    version: str
    licence: str
    reviewer: str
    effective_from: dt.date
    effective_to: dt.date | None = None
