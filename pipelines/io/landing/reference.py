"""Reference files: practices with their network and ICB, areas and their deprivation, postcodes, the CTV3 map."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from data_contracts.tables.history import ListSizes, Lsoas, Practices
from pipelines.io.landing.conversion import compact_date_of, flag_of, whole_of, word_of
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.places import CTV3_CODES, LIST_SIZES, POSTCODES, Places
from pipelines.io.landing.protocol import Bench, Landing, Stage
from pipelines.io.landing.quarantine import QUARANTINE, quarantine_path
from pipelines.io.landing.reading import FileCount, TextTable, read_text
from pipelines.io.landing.staging import OUTCOME, Decided, decide, gather
from pipelines.io.landing.systmone_rows import have_check_digits

MEMBERSHIP = ("pcn_code", "pcn_joined_date", "pcn_left_date")
DIRECTORIES = ("postcodes", "nhs_postcodes")
"""Tables of postcodes; where both have one, the first counts."""


@dataclass(frozen=True)
class LoadedPlaces:
    """Places after the reference files, with what became of their records."""

    places: Places
    pending: pl.DataFrame
    outcomes: pl.DataFrame
    files: tuple[FileCount, ...]


@dataclass(frozen=True)
class ReferenceFeed:
    """The reference files: all that lie in landing are read together whenever one of them is new."""

    name: str = "reference"
    stage: Stage = "places"

    def take(self, landing: Landing) -> None:
        """Loads or refuses what is new, and hands the places to the feeds that follow."""
        new = [file for file in landing.new if file.feed == self.name]
        if not new:
            return
        landing.tell("reference files")
        known = [file for file in landing.known if file.feed == self.name]
        try:
            loaded = landing.run(load_places, known, work=landing.store.work(self.name, "places"))
        except LandingError as error:
            landing.register.refuse(new, source=self.name, reason=str(error))
            return
        landing.register.account(loaded.files, loaded.outcomes, practice_code=None)
        landing.store.write(loaded.pending, quarantine_path(landing.store.settings, self.name, self.name))
        landing.store.write_places(loaded.places)
        landing.places = loaded.places


FEED = ReferenceFeed()


def load_places(files: list[LandedFile], bench: Bench) -> LoadedPlaces:
    """Places by all the reference files that lie in landing; what no file covers stays as held.

    Raises:
        LandingError: a file is empty, unreadable or lacks a required column.
    """
    tables = [file.table for file in files]
    twice = sorted({table for table in tables if tables.count(table) > 1})
    if twice:
        raise LandingError(expected="one file a table", found=f"two of {', '.join(twice)}", where="landing/reference")
    texts = {file.table: read_text(file, con=bench.con, work=bench.work) for file in files}
    decided = {table: _decide(table, text) for table, text in texts.items()}
    pending = [
        part.pending.select(
            feed=pl.lit("reference"),
            practice_code=pl.lit(None, dtype=pl.String),
            table=pl.lit(table),
            **{name: pl.col(name) for name in part.pending.columns},
        )
        for table, part in decided.items()
    ]
    return LoadedPlaces(
        places=_places({table: part.good for table, part in decided.items()}, bench.places),
        pending=pl.concat([pl.DataFrame(schema=QUARANTINE), *pending]),
        outcomes=pl.concat([pl.DataFrame(schema=OUTCOME), *(part.outcomes for part in decided.values())]),
        files=tuple(text.count for text in texts.values()),
    )


def _decide(table: str, text: TextTable) -> Decided:
    columns = load_feed("reference").tables[table].names
    gathered = gather([text], pending=pl.DataFrame(schema=QUARANTINE), columns=columns)
    convert, contract = STEPS[table]
    rows = convert(gathered.rows).with_columns(is_deleted=False)
    if "is_blank" not in rows.columns:
        rows = rows.with_columns(is_blank=False)
    return decide(rows, gathered, contract=contract, columns=columns)


def _key(name: str) -> pl.Expr:
    """A number for each distinct code, by which repeated rows find each other."""
    return pl.col(name).rank("dense").cast(pl.Int64).alias("record_id")


def _texts(*names: str) -> list[pl.Expr]:
    return [pl.col(f"text_{name}").str.strip_chars().replace("", None).alias(name) for name in names]


def _practices(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        *_texts("practice_code", "practice_name", "icb_code"),
        status=word_of("status", load_feed("reference").words["practice_statuses"]),
        closed_date=compact_date_of("closed_date"),
        has_readable_dates=pl.col("text_closed_date").is_null() | compact_date_of("closed_date").is_not_null(),
    ).with_columns(_key("practice_code"))


def _partners(rows: pl.DataFrame) -> pl.DataFrame:
    """Current memberships win over ended ones, later over earlier: that is the processing order."""
    ended = whole_of("left_date").fill_null(99_999_999) * 100_000_000
    typed = rows.with_columns(
        *_texts("practice_code", "pcn_code", "sub_icb_name"),
        pcn_joined_date=compact_date_of("joined_date"),
        pcn_left_date=compact_date_of("left_date"),
    )
    return typed.with_columns(
        _key("practice_code"), processing_id=ended + whole_of("joined_date").fill_null(0).clip(0, 99_999_999)
    )


def _lsoas(rows: pl.DataFrame) -> pl.DataFrame:
    decile = whole_of("imd_decile").clip(-1, 99).cast(pl.Int8).alias("imd_decile")
    return rows.with_columns(*_texts("lsoa_code"), decile).with_columns(_key("lsoa_code"))


def _successors(rows: pl.DataFrame) -> pl.DataFrame:
    typed = rows.with_columns(*_texts("lsoa_code", "new_lsoa_code"))
    return typed.with_columns(pl.struct("lsoa_code", "new_lsoa_code").rank("dense").cast(pl.Int64).alias("record_id"))


def _postcodes(rows: pl.DataFrame) -> pl.DataFrame:
    squeezed = pl.col("text_postcode").str.replace_all(" ", "", literal=True).str.to_uppercase().alias("postcode")
    return rows.with_columns(squeezed, *_texts("lsoa_code")).with_columns(_key("postcode"))


def _list_sizes(rows: pl.DataFrame) -> pl.DataFrame:
    """The row of each practice for all sexes and ages; the rows for one sex are blank."""
    everyone = load_feed("reference").words["everyone"]
    is_whole = (pl.col("text_sex") == everyone) & (pl.col("text_age") == everyone)
    typed = rows.with_columns(
        *_texts("practice_code"),
        registered_people=whole_of("registered_people"),
        counted_date=pl.col("text_counted_date").str.to_titlecase().str.to_date("%d%b%Y", strict=False),
        is_blank=~is_whole.fill_null(False),
    )
    return typed.with_columns(
        record_id=pl.when("is_blank").then(-pl.col("line").cast(pl.Int64)).otherwise(_key("practice_code"))
    )


def _ctv3_codes(rows: pl.DataFrame) -> pl.DataFrame:
    """Assured maps win over others, those of a code's preferred term over others': that is the processing order."""
    concept = whole_of("snomed_code")
    is_none = pl.col("text_snomed_code").is_null() | pl.col("text_snomed_code").str.starts_with("_")
    typed = rows.with_columns(
        *_texts("ctv3_code"),
        concept_id=pl.when(flag_of("is_active").fill_null(False)).then(concept),
        is_readable_target=is_none | concept.is_not_null(),
    )
    return typed.with_columns(
        _key("ctv3_code"),
        has_check_digit=have_check_digits(typed["concept_id"]),
        processing_id=4 * typed["concept_id"].is_not_null().cast(pl.Int64)
        + 2 * flag_of("is_assured").fill_null(False).cast(pl.Int64)
        + (pl.col("text_term_type") == "P").fill_null(False).cast(pl.Int64),
    )


STEPS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], type[pa.DataFrameModel]]] = {
    "epraccur": (_practices, contracts.StagedPractices),
    "epcncorepartnerdetails": (_partners, contracts.StagedPartners),
    "imd2019": (_lsoas, contracts.StagedLsoas),
    "imd2025": (_lsoas, contracts.StagedLsoas),
    "lsoa11_lsoa21": (_successors, contracts.StagedSuccessors),
    "postcodes": (_postcodes, contracts.StagedPostcodes),
    "nhs_postcodes": (_postcodes, contracts.StagedPostcodes),
    "gp-reg-pat-prac-all": (_list_sizes, contracts.StagedListSizes),
    "ctv3sctmap2_uk": (_ctv3_codes, contracts.StagedCodeMap),
}


def _places(good: dict[str, pl.DataFrame], held: Places) -> Places:
    places = held
    if "epraccur" in good:
        listed = good["epraccur"].select("practice_code", "practice_name", "icb_code", "status", "closed_date")
        places = replace(places, practices=_name(listed, good.get("epcncorepartnerdetails"), held.practices))
    editions = [
        good[table].select(
            "lsoa_code", "imd_decile", imd_edition=pl.lit(load_feed("reference").tables[table].edition)
        )
        for table in ("imd2025", "imd2019")
        if table in good
    ]
    if editions:
        editions += _succeeding(good)
        lsoas = pl.concat(editions).unique("lsoa_code", keep="first", maintain_order=True).sort("lsoa_code")
        places = replace(places, lsoas=lsoas)
    directories = [good[table].select(list(POSTCODES)) for table in DIRECTORIES if table in good]
    if directories:
        postcodes = pl.concat(directories).unique("postcode", keep="first", maintain_order=True)
        places = replace(places, postcodes=postcodes.sort("postcode"))
    if "gp-reg-pat-prac-all" in good:
        places = replace(
            places, list_sizes=good["gp-reg-pat-prac-all"].select(list(LIST_SIZES)).sort("practice_code")
        )
    if "ctv3sctmap2_uk" in good:
        codes = good["ctv3sctmap2_uk"].select(list(CTV3_CODES)).drop_nulls().sort("ctv3_code")
        places = replace(places, ctv3_codes=codes)
    Practices.validate(places.practices)
    Lsoas.validate(places.lsoas)
    ListSizes.validate(places.list_sizes)
    return places


def _succeeding(good: dict[str, pl.DataFrame]) -> list[pl.DataFrame]:
    """The 2019 deciles by LSOA of 2021: that of the LSOAs of 2011 that it succeeds, where they agree."""
    if not {"imd2019", "lsoa11_lsoa21"} <= set(good):
        return []
    joined = good["lsoa11_lsoa21"].join(good["imd2019"].select("lsoa_code", "imd_decile"), on="lsoa_code")
    agreed = joined.group_by("new_lsoa_code").agg(
        pl.col("imd_decile").first(), has_one=pl.col("imd_decile").n_unique() == 1
    )
    edition = pl.lit(load_feed("reference").tables["imd2019"].edition)
    return [
        agreed.filter("has_one")
        .select("imd_decile", lsoa_code="new_lsoa_code", imd_edition=edition)
        .select("lsoa_code", "imd_decile", "imd_edition")
    ]


def _name(listed: pl.DataFrame, partners: pl.DataFrame | None, held: pl.DataFrame) -> pl.DataFrame:
    """The practices with their network, and with the ICB's name as its sub-ICB locations carry it."""
    if partners is None:
        pcns = held.select("practice_code", *MEMBERSHIP)
        names = held.select("icb_code", "icb_name").unique("icb_code", keep="first", maintain_order=True)
    else:
        pcns = partners.select("practice_code", *MEMBERSHIP)
        named = listed.join(partners, on="practice_code").with_columns(
            icb_name=pl.col("sub_icb_name").str.replace(r"\s+-\s+\w+$", "")
        )
        counted = named.drop_nulls("icb_name").group_by("icb_code", "icb_name").len()
        names = counted.sort(["len", "icb_name"], descending=[True, False]).unique(
            "icb_code", keep="first", maintain_order=True
        )
    return (
        listed.join(pcns, on="practice_code", how="left", validate="1:1")
        .join(names, on="icb_code", how="left", validate="m:1")
        .select(list(Practices.to_schema().columns))
        .sort("practice_code")
    )
