"""Makes a population chunk by chunk and writes it as extracts, as history, and with its truth beside it."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, groupby
from math import floor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeVar, get_args

import polars as pl

from pipelines.io.progress import tell
from pipelines.synthetic.emis import write_emis
from pipelines.synthetic.history import HistoryFiles, history_tables, write_places
from pipelines.synthetic.hospital import admitted_episodes, attendances, write_pipes
from pipelines.synthetic.places import Chunk, Plan, plan
from pipelines.synthetic.population import Population, make_population
from pipelines.synthetic.reference import list_sizes, not_opted_out, write_list_sizes, write_reference, write_reply
from pipelines.synthetic.sus import sus_tables, write_sus
from pipelines.synthetic.systmone import write_systmone
from pipelines.synthetic.truth import truth_frame
from pipelines.synthetic.world import load_world

Format = Literal["emis", "systmone", "hospital", "sus", "reference", "opt_out", "history"]
Each = TypeVar("Each")
FORMATS: tuple[Format, ...] = get_args(Format)
MARK = "made_up.txt"
"""Says of a workspace that nobody in it is real; made-up people are never written among others."""
PROCESSES = 2
"""ICBs that are made at the same time where each has files of its own."""


@dataclass
class _Output:
    """Where one call writes, and what it has gathered over the chunks so far."""

    out: Path
    formats: frozenset[str]
    plan: Plan
    with_truth: bool = True
    is_slice: bool = False
    systmone_share: float = 0.25
    is_first: bool = True
    replies: list[pl.Series] = field(default_factory=list)
    sizes: list[pl.DataFrame] = field(default_factory=list)

    @property
    def landing(self) -> Path:
        """The landing folder."""
        return self.out / "landing"

    def practices(self, supplier: str, chunk: Chunk) -> list[int]:
        """The practices of a chunk that use a supplier's system: all of them if only that one is asked for."""
        if supplier not in self.formats:
            return []
        both = {"emis", "systmone"} <= self.formats
        share = self.systmone_share if both else float("systmone" in self.formats)
        places = range(chunk.first_practice, chunk.last_practice)
        is_systmone = [floor((place + 1) * share) > floor(place * share) for place in places]
        return [place for place, found in zip(places, is_systmone, strict=True) if found == (supplier == "systmone")]


def write_extracts(
    *,
    people: int,
    practices: int | None,
    seed: int,
    as_of: dt.date,
    formats: Collection[Format],
    out: Path,
    icbs: int | None = None,
    only: Collection[str] | None = None,
    with_truth: bool = True,
    systmone_share: float = 0.25,
) -> Plan:
    """The plan of the population that was made, after writing it under ``out``.

    ``formats``: history goes to ``out/history``, the others (hospital is HES) to ``out/landing``; the true risks to
    ``out/truth/<icb>.parquet``, by NHS number, or by person_id where only history is asked for. With both emis and
    systmone, ``systmone_share`` of the practices use SystmOne and the others EMIS. ``only`` names the ICBs
    that are written, each as it would be among all, beside those that lie there from before; default: all.

    Raises:
        ValueError: an unknown format or ICB, more people than there are places or numbers for, or a folder with
            records that were not made up here.
    """
    unknown = set(formats) - set(FORMATS)
    if unknown or not formats:
        raise ValueError(f"formats {sorted(unknown)} are unknown; choose among {', '.join(FORMATS)}")
    made = plan(load_world(), people=people, practices=practices, seed=seed, anchor=as_of, icbs=icbs)
    planned = made.practices["icb_code"].unique().sort()
    if strangers := sorted(set(only or ()) - set(planned)):
        raise ValueError(f"expected ICBs among {', '.join(planned)}; found {', '.join(strangers)}")
    _mark(out)
    output = _Output(
        out=out,
        formats=frozenset(formats),
        plan=made,
        with_truth=with_truth,
        is_slice=only is not None,
        systmone_share=systmone_share,
    )
    of_icb = groupby(made.chunks, key=lambda chunk: chunk.icb_code)
    icb_chunks = [list(chunks) for code, chunks in of_icb if only is None or code in only]
    if output.formats == {"history"} and len(icb_chunks) > 1:
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            # All are made before any is kept: what is kept would be sent along with those still to be made.
            found = list(_telling(pool.map(partial(_sizes_of_history, output), icb_chunks), made, icb_chunks))
        output.sizes = [size for sizes in found for size in sizes]
    else:
        for chunks in _telling(icb_chunks, made, icb_chunks):
            _write_icb(output, chunks)
    _write_whole(output)
    return made


def _telling(each: Iterable[Each], plan: Plan, icb_chunks: list[list[Chunk]]) -> Iterator[Each]:
    """Something of each ICB in turn, telling how many people are done after it."""
    listed = plan.practices["list_size"]
    sizes = [round(listed[chunks[0].first_practice : chunks[-1].last_practice].sum()) for chunks in icb_chunks]
    for done, one in zip(accumulate(sizes), each, strict=True):
        yield one
        tell(done, sum(sizes))


def _mark(out: Path) -> None:
    """Marks a workspace as one of made-up people.

    Raises:
        ValueError: it holds records already, and no mark.
    """
    mark = out / MARK
    if not mark.exists() and any(
        file.is_file() for name in ("landing", "history") for file in (out / name).rglob("*")
    ):
        raise ValueError(
            f"expected an empty workspace, or one of made-up people ({MARK}); found records in {out}: "
            "made-up people are never written among others; name another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text("Everybody in this workspace is made up.\n", encoding="utf-8")


def _write_icb(output: _Output, chunks: list[Chunk]) -> None:
    """The chunks of one ICB in every format asked for, and the truth of its people."""
    world, icb_code = load_world(), chunks[0].icb_code
    files = HistoryFiles(output.out / "history", icb_code)
    truths: list[pl.DataFrame] = []
    for chunk in chunks:
        population = make_population(world, output.plan, chunk)
        _write_chunk(population, output, files)
        if output.with_truth:
            by_nhs_number = output.formats != {"history"}
            truths.append(truth_frame(population, output.plan.anchor, by_nhs_number=by_nhs_number))
    files.close()
    if output.with_truth:
        _write_truth(truths, output.out / "truth" / f"{icb_code}.parquet")


def _sizes_of_history(output: _Output, chunks: list[Chunk]) -> list[pl.DataFrame]:
    """The list sizes of one ICB, after writing its history in a process of its own."""
    _write_icb(output, chunks)
    return output.sizes


def _write_chunk(population: Population, output: _Output, files: HistoryFiles) -> None:
    """One chunk in every format asked for."""
    if "history" in output.formats:
        for name, table in history_tables(population):
            files.add(name, table)
    for supplier, write in (("emis", write_emis), ("systmone", write_systmone)):
        if practices := output.practices(supplier, population.chunk):
            write(population, output.landing / supplier, practices)
    if output.formats & {"hospital", "sus"}:
        _write_hospital(population, output)
    if "opt_out" in output.formats:
        output.replies.append(not_opted_out(population))
    if output.formats & {"history", "reference"}:
        output.sizes.append(list_sizes(population))
    output.is_first = False


def _write_hospital(population: Population, output: _Output) -> None:
    """One chunk's stays and attendances, as HES, as Unified SUS, or as both."""
    stamp = f"{output.plan.anchor:%Y%m%d}"
    folder = output.landing / "hospital"
    episodes, visits = admitted_episodes(population), attendances(population)
    if "hospital" in output.formats:
        write_pipes(episodes, folder / f"HES_APC_{stamp}.txt", is_first=output.is_first)
        write_pipes(visits, folder / f"HES_AE_{stamp}.txt", is_first=output.is_first)
    if "sus" in output.formats:
        write_sus(sus_tables(episodes, visits), folder, stamp, is_first=output.is_first)


def _write_whole(output: _Output) -> None:
    """What is written once for all chunks."""
    if "history" in output.formats:
        write_places(output.plan, pl.concat(output.sizes), output.out / "history", beside=output.is_slice)
    if "reference" in output.formats:
        write_reference(output.plan, output.landing / "reference")
        write_list_sizes(pl.concat(output.sizes), output.plan, output.landing / "reference")
    if "opt_out" in output.formats:
        write_reply(output.replies, output.plan, output.landing / "national_opt_out")


def _write_truth(truths: list[pl.DataFrame], file: Path) -> None:
    """The true risks of one ICB, never in landing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.concat(truths).write_parquet(file, compression="zstd")
