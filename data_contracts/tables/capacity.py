"""Contracts of capacity.csv and offers.csv: how many people can be seen in a week, and what is on offer nearby."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import Contract

ROLES = ["GP", "pharmacist", "nurse", "care coordinator", "health coach", "link worker", "remote monitoring"]


class Capacity(Contract):
    """One row per practice or network, role and week from which the number holds, until a later row of the same."""

    ods_code: str = pa.Field(
        description="ODS code of the practice, or of the network whose practices share the role by registered people"
    )
    week_from: dt.date = pa.Field(description="Monday of the first week for which the number holds")
    role: str = pa.Field(isin=ROLES, description="Who sees the people")
    slots: pl.Int64 = pa.Field(ge=0, le=5000, description="People a week that this role can see")


class Offers(Contract):
    """One row per local offer, in the words of Open Referral UK's service, eligibility, contact and service area."""

    id: str = pa.Field(unique=True, description="Id of the service")
    name: str = pa.Field(str_length={"min_value": 1, "max_value": 80}, description="Name of the service")
    status: str = pa.Field(
        isin=["active", "inactive", "defunct", "temporarily closed"], description="Whether it runs"
    )
    phone: str = pa.Field(nullable=True, description="Telephone number of its contact")
    url: str = pa.Field(nullable=True, description="Its page")
    minimum_age: pl.Int16 = pa.Field(nullable=True, ge=0, le=120, description="Least age in years; blank if none")
    maximum_age: pl.Int16 = pa.Field(nullable=True, ge=0, le=120, description="Greatest age in years; blank if none")
    service_area: str = pa.Field(
        nullable=True, description="ODS code of the practice, network or ICB that it serves; blank if all"
    )
    needs: str = pa.Field(
        description="What it answers, joined by |: lifestyle flags, programmes that are overdue, features above 0"
    )
    places: pl.Int64 = pa.Field(nullable=True, ge=0, description="Places free each week; blank if there is no limit")
    valid_from: dt.date = pa.Field(nullable=True, description="First day; blank if it runs already")
    valid_to: dt.date = pa.Field(nullable=True, description="Last day; blank if none is known")
    assured_date: dt.date = pa.Field(description="Day on which somebody last made sure that this is right")
