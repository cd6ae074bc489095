"""Writes the reference files and the opt-out reply that go with made-up people."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.identifiers import POSTCODES_PER_LSOA, nhs_numbers, postcodes
from pipelines.synthetic.places import Plan
from pipelines.synthetic.population import Population, memberships
from pipelines.synthetic.world import NEVER

MAILBOX = "X26MADEUP"
RANK = "Index of Multiple Deprivation (IMD) Rank (where 1 is most deprived)"
DECILE = "Index of Multiple Deprivation (IMD) Decile (where 1 is most deprived 10% of LSOAs)"


def write_reference(plan: Plan, folder: Path) -> None:
    """Practices, networks, deprivation and postcodes, in the publishers' layouts."""
    folder.mkdir(parents=True, exist_ok=True)
    _practices(plan).write_csv(folder / "epraccur.csv", include_header=False, quote_style="always")
    _networks(plan).write_csv(folder / "epcncorepartnerdetails.csv", include_header=False, quote_style="always")
    plan.lsoas.select(
        pl.col("lsoa_code").alias("LSOA code (2021)"),
        pl.col("lsoa_name").alias("LSOA name (2021)"),
        pl.col("imd_rank").alias(RANK),
        pl.col("imd_decile").alias(DECILE),
    ).write_csv(folder / "imd2025.csv")
    lsoa = np.repeat(np.arange(plan.lsoas.height), POSTCODES_PER_LSOA)
    unit = np.tile(np.arange(POSTCODES_PER_LSOA), plan.lsoas.height)
    pl.DataFrame({"pcds": postcodes(lsoa, unit), "lsoa21": plan.lsoas["lsoa_code"].gather(lsoa)}).write_csv(
        folder / "postcodes.csv"
    )


def _practices(plan: Plan) -> pl.DataFrame:
    """epraccur: 27 places, no header."""
    given = {
        1: pl.col("practice_code"),
        2: pl.col("practice_name").str.to_uppercase(),
        3: pl.lit("Y99"),
        4: pl.col("icb_code"),
        5: pl.col("icb_name").str.to_uppercase(),
        10: pl.lit("ZZ1 1AA"),
        11: pl.lit("19740401"),
        13: pl.lit("A"),
        14: pl.lit("B"),
        15: pl.col("icb_code").str.replace("^Q", "9"),
        16: pl.lit("20220701"),
        22: pl.lit("0"),
        24: pl.col("icb_code").str.replace("^Q", "9"),
        26: pl.lit("4"),
    }
    return plan.practices.select(given.get(place, pl.lit("")).alias(f"p{place:02d}") for place in range(1, 28))


def _networks(plan: Plan) -> pl.DataFrame:
    """Network membership: 11 places, no header."""
    sub = pl.col("icb_code").str.replace("^Q", "9")
    return plan.practices.select(
        pl.col("practice_code").alias("p01"),
        pl.col("practice_name").alias("p02"),
        sub.alias("p03"),
        pl.col("icb_name").alias("p04"),
        pl.col("pcn_code").alias("p05"),
        pl.format("Made-up Network {}", "pcn_code").alias("p06"),
        sub.alias("p07"),
        pl.col("icb_name").alias("p08"),
        pl.lit("20191001").alias("p09"),
        pl.lit("").alias("p10"),
        pl.lit("True").alias("p11"),
    )


def list_sizes(population: Population) -> pl.DataFrame:
    """One row per practice: practice_code and registered_people, as a public count on the anchor has them."""
    members = memberships(population)
    is_current = ~members.is_former & ~members.is_temporary & (members.deregistered_day == NEVER)
    codes = population.plan.practices["practice_code"]
    counts = np.bincount(members.practice[is_current], minlength=len(codes))
    first, last = population.chunk.first_practice, population.chunk.last_practice
    return pl.DataFrame({"practice_code": codes[first:last], "registered_people": counts[first:last]})


def write_list_sizes(sizes: pl.DataFrame, plan: Plan, folder: Path) -> None:
    """Patients registered at a GP practice, in the publisher's layout."""
    given = {
        "PUBLICATION": pl.lit("GP_PRAC_PAT_LIST"),
        "EXTRACT_DATE": pl.lit(f"{plan.anchor:%d%b%Y}".upper()),
        "TYPE": pl.lit("GP"),
        "CODE": pl.col("practice_code"),
        "POSTCODE": pl.lit("ZZ1 1AA"),
        "SEX": pl.lit("ALL"),
        "AGE": pl.lit("ALL"),
        "NUMBER_OF_PATIENTS": pl.col("registered_people"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    sizes.select(**given).write_csv(folder / "gp-reg-pat-prac-all.csv")


def not_opted_out(population: Population) -> pl.Series:
    """NHS numbers with no national opt-out: what the service's reply holds."""
    people = population.people
    return nhs_numbers(np.sort(people.index[~people.has_national_opt_out]), population.plan.seed)


def write_reply(numbers: list[pl.Series], plan: Plan, folder: Path) -> None:
    """The reply: one number a line, each followed by a comma."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{MAILBOX}_{plan.anchor:%Y%m%d}_0001.dat"
    ordered = pl.concat(numbers).sort()
    file.write_text("".join(f"{number},\n" for number in ordered), encoding="ascii")
