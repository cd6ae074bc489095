"""Contract of capacity.csv, in which an ICB or its practices say how many people they can see in a week."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import Contract

ROLES = ["GP", "pharmacist", "nurse", "care coordinator", "health coach", "link worker", "remote monitoring"]


class Capacity(Contract):
    """One row per practice, role and week from which the number holds, until a later row of the two replaces it."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    week_from: dt.date = pa.Field(description="Monday of the first week for which the number holds")
    role: str = pa.Field(isin=ROLES, description="Who sees the people")
    slots: pl.Int64 = pa.Field(ge=0, le=5000, description="People a week that this role can see")
