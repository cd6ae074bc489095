"""Where made-up people live and register: ICBs, networks, practices, small areas, and the chunks they are made in."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import norm

from pipelines.synthetic.world import Floats, World, day_number, stream

LSOAS_IN_ENGLAND = 33_755


@dataclass(frozen=True)
class Chunk:
    """One group of practices of one ICB, made in one go from its own random streams."""

    number: int
    icb_code: str
    first_practice: int
    last_practice: int


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before any person is made: places, sizes, chunks, seed, dates."""

    seed: int
    anchor: dt.date
    practices: pl.DataFrame
    lsoas: pl.DataFrame
    chunks: tuple[Chunk, ...]

    @property
    def anchor_day(self) -> int:
        """The first delivery's as-of date as a day number."""
        return day_number(self.anchor)


def plan(
    world: World, *, people: int, practices: int | None, seed: int, anchor: dt.date, icbs: int | None = None
) -> Plan:
    """The places of a population of about this many registered people, with the chunks it is made in."""
    count = practices or max(1, round(people / 9317))
    icb_count = icbs or max(1, round(people / world.number("places.people_per_icb")))
    if people < count or icb_count > count:
        raise ValueError(f"{people} people cannot fill {count} practices in {icb_count} ICBs; ask for fewer places")
    sizes = list_sizes(world, practices=count, people=people, seed=seed)
    table = _practices(world, sizes, seed=seed, icbs=icb_count)
    table, lsoas = _with_areas(world, table, seed=seed)
    return Plan(seed=seed, anchor=anchor, practices=table, lsoas=lsoas, chunks=_chunks(world, table))


def list_sizes(world: World, *, practices: int, people: int | None, seed: int) -> Floats:
    """List sizes that follow the published percentiles, in a mixed order, scaled to sum to the people asked for."""
    at = (np.arange(practices) + 0.5) / practices * 100
    sizes = np.exp(
        np.interp(at, world.column("list_sizes", "percentile"), np.log(world.column("list_sizes", "list_size")))
    )
    sizes = stream(seed, 0, "list sizes").permutation(sizes)
    return sizes if people is None else np.maximum(1, sizes * people / sizes.sum())


def _practices(world: World, sizes: Floats, *, seed: int, icbs: int) -> pl.DataFrame:
    """One row per practice: codes, ICB, network, size, leanings."""
    count = len(sizes)
    draw = stream(seed, 0, "practices")
    number = np.arange(count)
    icb = number * icbs // count
    network = number // int(world.number("places.practices_per_network"))
    codes = [f"Q{chr(90 - i // 26)}{chr(65 + i % 26)}" for i in range(icbs)]
    return pl.DataFrame(
        {
            "practice_code": [f"X{i + 10001:05d}" for i in number],
            "practice_name": [f"Made-up Practice {i + 1}" for i in number],
            "pcn_code": [f"U{90000 + n + 50 * i}" for n, i in zip(network, icb, strict=True)],
            "icb_code": [codes[i] for i in icb],
            "icb_name": [f"Made-up ICB {i + 1}" for i in icb],
            "list_size": sizes,
            "deprivation": draw.standard_normal(count),
            "log_emergency": draw.standard_normal(count) * world.number("places.practice_emergency_sd"),
            "type_1": draw.standard_normal(count) * world.number("opt_out.type_1_practice_sd"),
            "recording": draw.standard_normal(count) * world.number("recording.practice_sd"),
            "breast_round_day": draw.integers(0, 1096, count),
        }
    )


def _with_areas(world: World, practices: pl.DataFrame, *, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Practices with areas and fifth (0 the best off), and one row per LSOA with its deprivation rank and tenth."""
    draw = stream(seed, 0, "areas")
    each = np.maximum(3, np.round(practices["list_size"].to_numpy() / world.number("places.people_per_lsoa"))).astype(
        int
    )
    owner = np.repeat(np.arange(practices.height), each)
    weight = (practices["list_size"].to_numpy() / each)[owner]
    tie = world.number("places.practice_deprivation")
    latent = tie * norm.ppf(_places_of(practices["deprivation"].to_numpy(), practices["list_size"].to_numpy()))[owner]
    latent = latent + np.sqrt(1 - tie**2) * draw.standard_normal(len(owner))
    place = _places_of(latent, weight)
    lsoas = pl.DataFrame(
        {
            "lsoa_code": [f"E019{i:05d}" for i in range(len(owner))],
            "lsoa_name": [f"Made-up {i // 26 + 1:04d}{chr(65 + i % 26)}" for i in range(len(owner))],
            "imd_rank": np.clip(np.ceil(place * LSOAS_IN_ENGLAND), 1, LSOAS_IN_ENGLAND).astype(np.int64),
            "imd_decile": np.clip(np.ceil(place * 10), 1, 10).astype(np.int8),
        }
    )
    mean_tenth = np.bincount(owner, lsoas["imd_decile"].to_numpy().astype(np.float64)) / each
    fifth = np.argsort(np.argsort(-mean_tenth, kind="stable"), kind="stable") * 5 // practices.height
    first = np.concatenate([[0], np.cumsum(each)[:-1]])
    columns = {"first_lsoa": first, "lsoa_count": each, "deprivation_fifth": fifth}
    return practices.with_columns(pl.Series(name, values) for name, values in columns.items()), lsoas


def _places_of(values: Floats, weights: Floats) -> Floats:
    """Each value's place from 0 to 1 when all are lined up by size, weighted."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order]) - weights[order] / 2
    places = np.empty(len(values))
    places[order] = running / weights.sum()
    return places


def _chunks(world: World, practices: pl.DataFrame) -> tuple[Chunk, ...]:
    """Runs of neighbouring practices of one ICB, each of at most about the chunk size."""
    most = world.number("places.people_per_chunk")
    chunks: list[Chunk] = []
    start, held = 0, 0.0
    icbs, sizes = practices["icb_code"].to_list(), practices["list_size"].to_list()
    for row in range(practices.height):
        if row > start and (icbs[row] != icbs[start] or held + sizes[row] > most):
            chunks.append(Chunk(len(chunks) + 1, icbs[start], start, row))
            start, held = row, 0.0
        held += sizes[row]
    return (*chunks, Chunk(len(chunks) + 1, icbs[start], start, practices.height))
