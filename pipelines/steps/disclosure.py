"""Makes people and counts safe to hand to an ICB: bands, months, masking, rounding."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from data_contracts.tables.release import AGE_BANDS, QUASI_IDENTIFIERS, WIDE_AGE_BANDS

TOLD = {"figure": pl.String, "counted": pl.Int64}
HIDDEN_AT_MOST = 7
ROUNDED_TO = 5
_BAND_STARTS = [5, 16, 25, 35, 45, 55, 65, 75, 85]
_WIDE_BAND_STARTS = [16, 65]
_LAST_LEVEL = 5


def quasi_identifiers(people: pl.DataFrame) -> pl.DataFrame:
    """One row per person: person_id and the quasi-identifiers as an ICB may see them before any is masked."""
    return people.select(
        "person_id",
        "practice_code",
        "sex",
        age_band=_band(_BAND_STARTS, AGE_BANDS),
        wide_age_band=_band(_WIDE_BAND_STARTS, WIDE_AGE_BANDS),
        deprivation_fifth=((pl.col("imd_decile") + 1) // 2).cast(pl.Int8),
    )


def _band(starts: list[int], labels: list[str]) -> pl.Expr:
    """The label of the band in which an age falls; each band but the first begins at one of the starts."""
    number = pl.sum_horizontal((pl.col("age_years") >= start).cast(pl.Int64) for start in starts)
    return number.replace_strict(dict(enumerate(labels)), return_dtype=pl.String)


def mask_rare(known: pl.DataFrame, cohorts: list[pl.Series], *, smallest: int) -> pl.DataFrame:
    """One row per person: the quasi-identifiers, masked until each combination is shared in every cohort.

    A person is masked alike in all cohorts, since one pseudonym joins them. Deprivation goes first, then the age
    band is widened, then sex, age band and practice go. Wholly masked people match everyone.

    Args:
        known: what quasi_identifiers returns.
        cohorts: the person ids of each cohort.
        smallest: how many people must share a combination.
    """
    is_in = {
        f"in_{place}": pl.col("person_id").is_in(members.unique().implode()) for place, members in enumerate(cohorts)
    }
    # People of whom the same is known, in the same cohorts, are masked alike: they are counted together.
    alike = [*(name for name in known.columns if name != "person_id"), *is_in]
    people = known.with_columns(**is_in)
    groups = people.group_by(alike).agg(people=pl.len()).with_columns(level=pl.lit(0, dtype=pl.Int8))
    while (rare := _rare(groups, list(is_in), smallest=smallest)).any():
        groups = groups.with_columns(level=pl.col("level") + rare.cast(pl.Int8))
    levels = people.join(groups, on=alike, how="left", validate="m:1", nulls_equal=True, maintain_order="left")
    return _masked(levels).select("person_id", *QUASI_IDENTIFIERS)


def _rare(groups: pl.DataFrame, cohorts: list[str], *, smallest: int) -> pl.Series:
    """True for groups that in some cohort share what is shown of them with too few others."""
    is_shown = pl.col("level") < _LAST_LEVEL
    sharing = [
        pl.col(name) & ((pl.col("people") * (pl.col(name) & is_shown)).sum().over(QUASI_IDENTIFIERS) < smallest)
        for name in cohorts
    ]
    return _masked(groups).select(is_shown & pl.any_horizontal(sharing)).to_series()


def _masked(levels: pl.DataFrame) -> pl.DataFrame:
    """The quasi-identifiers as each person's level shows them."""
    level = pl.col("level")
    return levels.with_columns(
        deprivation_fifth=pl.when(level < 1).then("deprivation_fifth"),
        age_band=pl.when(level < 2).then("age_band").when(level < 4).then("wide_age_band"),
        sex=pl.when(level < 3).then("sex"),
        practice_code=pl.when(level < _LAST_LEVEL).then("practice_code"),
    )


def smallest_group(people: pl.DataFrame) -> int | None:
    """The fewest people who share a combination of which anything is shown; None if nothing is."""
    shown = people.filter(~pl.all_horizontal(pl.col(QUASI_IDENTIFIERS).is_null()))
    sizes = shown.group_by(QUASI_IDENTIFIERS).len()["len"]
    return None if sizes.is_empty() else int(sizes.to_numpy().min())


def months(*columns: str) -> list[pl.Expr]:
    """The date columns as year and month in text, each under its name with _date replaced by _month."""
    return [pl.col(column).dt.strftime("%Y-%m").alias(f"{column.removesuffix('_date')}_month") for column in columns]


def reportable_states(programme_states: pl.DataFrame) -> pl.DataFrame:
    """The rows that an ICB receives: gaps, declined and unsuitable; the up to date and those not yet due stay."""
    kept_apart = pl.col("state").is_in(["declined", "unsuitable"])
    return programme_states.filter(pl.col("is_gap") | kept_apart)


def reportable_not_seen(people_not_seen: pl.DataFrame, told: Sequence[str]) -> pl.DataFrame:
    """The people and reasons that an ICB receives, as ``not_seen``: how they are not reached, never circumstances.

    Who has circumstances only is left out: a row without a reason would tell of them.
    """
    said = pl.col("reasons").str.split("|").list.set_intersection(pl.lit(list(told))).list.sort()
    return people_not_seen.with_columns(not_seen=said.list.join("|")).filter(pl.col("not_seen") != "")


def round_count(count: pl.Expr) -> pl.Expr:
    """Counts of 7 or fewer hidden (null), the rest rounded to the nearest 5."""
    rounded = ((count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO).cast(pl.Int64)
    return pl.when(count > HIDDEN_AT_MOST).then(rounded)


@dataclass
class Told:
    """What one ICB is told in counts, this week and before: the only way a count leaves.

    A figure stays as it was last told until the count behind it is more than 7 away, so that no two releases, of two
    weeks or of one, differ by fewer people than may be shown.
    """

    before: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TOLD))
    """The count behind each figure as it was last told."""
    _now: list[pl.DataFrame] = field(default_factory=list)

    def safe(self, counts: pl.DataFrame, table: str, by: list[str], *columns: str) -> pl.DataFrame:
        """The rows of a table of counts with each column as it may leave: steady, and hidden (null) or rounded.

        ``by`` names what tells the rows apart; a count that is null stays null.
        """
        for column in columns:
            figure = pl.concat_str(
                pl.lit(table),
                *(pl.col(name).cast(pl.String).fill_null("") for name in by),
                pl.lit(column),
                separator="|",
            )
            known = counts.select(figure=figure, count=pl.col(column).cast(pl.Int64)).join(
                self.before, on="figure", how="left", validate="1:1", maintain_order="left"
            )
            is_near = (pl.col("count") - pl.col("counted")).abs() <= HIDDEN_AT_MOST
            told = known.select("figure", counted=pl.when(is_near).then("counted").otherwise("count"))
            self._now.append(told.drop_nulls())
            counts = counts.with_columns(told.select(round_count(pl.col("counted")).alias(column)).to_series())
        return counts

    def kept(self) -> pl.DataFrame:
        """The count behind every figure that was ever told: one row per figure."""
        now = pl.concat([pl.DataFrame(schema=TOLD), *self._now])
        return pl.concat([self.before.join(now, on="figure", how="anti"), now]).sort("figure")
