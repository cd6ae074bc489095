"""One round over the hospital tables of a delivery: every record typed, its person found, its outcome decided."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.identity import record_ids, valid_nhs_numbers
from pipelines.io.landing import hospital_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.hospital_known import Known
from pipelines.io.landing.hospital_rows import Convert, Words
from pipelines.io.landing.protocol import Bench, Delivery
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import FileCount, TextTable, read_texts
from pipelines.io.landing.staging import OUTCOME, Gathered, decide, gather, tally

BATCH = 1_000_000
"""About how many records are typed at a time; all versions of a record, and all parts of a stay, go together."""


@dataclass
class Round:
    """A delivery on its way: what is known so far, and what became of the records taken so far."""

    delivery: Delivery
    bench: Bench
    known: Known
    counts: list[FileCount] = field(default_factory=list)
    outcomes: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=OUTCOME)])
    held: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=QUARANTINE)])
    kept: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def words(self) -> Words:
        """The words of the feed's contract."""
        return load_feed("hospital").words

    @property
    def pending(self) -> pl.DataFrame:
        """All records that are held with a reason now."""
        return pl.concat([*self.held, *self.kept.values()])

    def take_person_keys(self) -> None:
        """Learns which person a pseudonym stands for."""
        for gathered, rows in self.read("PERSON_KEYS", key="pseudonym"):
            pseudonyms = self.ids(rows, pl.lit("person"), hospital_rows.text_of("pseudonym", self.words))
            numbers = valid_nhs_numbers(rows["text_nhs_number"])
            typed = self.bench.with_people(rows.with_columns(pseudonyms, nhs_number=numbers))
            self.known.add("person_keys", self.decide("PERSON_KEYS", typed, gathered, contracts.StagedPseudonyms))

    def take_deletions(self, log: str, table: str) -> None:
        """Learns which records were deleted since, up to which import."""
        for gathered, rows in self.read(log, key="record_key"):
            typed = hospital_rows.type_deletions(rows, self.words)
            typed = typed.with_columns(self.ids(typed, pl.lit(table), pl.col("record_key")), table=pl.lit(table))
            self.decide(log, typed, gathered, contracts.StagedDeletions)
            self.known.add("deletions", typed.filter("is_deleted").drop_nulls("record_id"))

    def take_records(self, table: str, convert: Convert, contract: type[pa.DataFrameModel]) -> Iterator[pl.DataFrame]:
        """The good records of one table, batch by batch: with person, practice, ICB and the day each reached us.

        Raises:
            LandingError: the file would replace a year by less than was held of it.
        """
        years = self.known["years"]
        for gathered, rows in self.read(table, key="record_key"):
            typed = self._with_person(convert(rows, self.words))
            typed = typed.with_columns(
                self.ids(typed, pl.lit(table), pl.col("record_key")),
                table=pl.lit(table),
                source=pl.lit(self.words["sources"][table]),
                year=hospital_rows.activity_year(),
                financial_year=pl.col("text_financial_year") if "text_financial_year" in rows.columns else None,
            )
            is_old = self._is_old(typed)
            self.account("superseded", typed.filter(is_old), gathered)
            typed = typed.filter(~is_old)
            typed = typed.with_columns(is_deleted=self.is_deleted(typed, table, "record_id"))
            typed = typed.join(years, on=["table", "year"], how="left", validate="m:1", maintain_order="left")
            typed = typed.with_columns(entered_date=hospital_rows.known_date(typed, self.words))
            good = self.decide(table, typed, gathered, contract)
            self._part_from_others(typed)
            self.known.add("years", good.with_columns(first_extract_date="extract_date"))
            yield good

    def has(self, table: str) -> bool:
        """True if the delivery has a file of this table."""
        return any(file.table == table for file in self.delivery.files)

    def read(self, table: str, *, key: str) -> Iterator[tuple[Gathered, pl.DataFrame]]:
        """The records of a table, held ones that are tried again included, in batches that no ``key`` is split by."""
        own = self.delivery.pending.filter(pl.col("table") == table)
        files = [file for file in self.delivery.files if file.table == table]
        read = read_texts(files, con=self.bench.con, work=self.bench.work)
        self.counts += [text.count for text in read]
        columns = _text_columns(table, read, own)
        whole = gather([_widened(text, columns) for text in read], pending=own, columns=columns)
        days = whole.files.select("file_no", extract_date=pl.col("moment").str.to_date("%Y%m%d"))
        self._take_refresh(table, whole, days, len(files))
        self.kept[table] = self._named(whole.kept, table)
        batches = 1 + whole.rows.height // BATCH
        for number in range(batches):
            is_own = (pl.col(f"text_{key}").hash() % batches).fill_null(0) == number
            rows = whole.rows if batches == 1 else whole.rows.filter(is_own)
            bad = whole.bad if number == 0 else whole.bad.clear()
            part = replace(whole, rows=rows, bad=bad, kept=self.kept[table].select(whole.kept.columns))
            yield part, rows.join(days, on="file_no", how="left", validate="m:1", maintain_order="left")

    def decide(
        self, table: str, typed: pl.DataFrame, gathered: Gathered, contract: type[pa.DataFrameModel]
    ) -> pl.DataFrame:
        """Decides each record's outcome, an older import giving way to a newer one; returns the good ones."""
        flags = [pl.lit(False).alias(name) for name in ("is_deleted", "is_blank") if name not in typed.columns]
        order = [pl.col("version").alias("processing_id")] if "version" in typed.columns else []
        columns = [name.removeprefix("text_") for name in gathered.rows.columns if name.startswith("text_")]
        decided = decide(typed.with_columns(*flags, *order), gathered, contract=contract, columns=columns)
        self.outcomes.append(decided.outcomes)
        pending, place = self._named(decided.pending, table), ["sha256", "line"]
        self.held.append(pending.join(self.kept[table], on=place, how="anti", maintain_order="left"))
        self.kept[table] = pending.join(self.kept[table], on=place, how="semi", maintain_order="left")
        return decided.good

    def _named(self, pending: pl.DataFrame, table: str) -> pl.DataFrame:
        names = {"feed": pl.lit("hospital"), "practice_code": pl.lit(None, pl.String), "table": pl.lit(table)}
        return pending.with_columns(**names).select(list(QUARANTINE))

    def ids(self, rows: pl.DataFrame, *parts: pl.Expr) -> pl.Series:
        """The pseudonyms of what the parts say together; null where one of them is."""
        messages = rows.select(pl.concat_str(parts, separator="|").alias("message"))
        distinct = messages.drop_nulls().unique()
        hashed = distinct.with_columns(
            record_ids(self.bench.con, distinct["message"], self.bench.key).alias("record_id")
        )
        return messages.join(hashed, on="message", how="left", validate="m:1", maintain_order="left")["record_id"]

    def is_deleted(self, rows: pl.DataFrame, table: str, name: str) -> pl.Series:
        """True for rows whose record was deleted in this import or a later one."""
        gone = self.known["deletions"].filter(pl.col("table") == table)
        gone = gone.select(pl.col("record_id").alias(name), gone_version="version")
        joined = rows.select(name, "version").join(gone, on=name, how="left", validate="m:1", maintain_order="left")
        return joined.select((pl.col("gone_version") >= pl.col("version")).fill_null(False)).to_series()

    def account(self, outcome: str, rows: pl.DataFrame, gathered: Gathered) -> None:
        """Counts the outcome of rows that ``decide`` is not asked about."""
        named = rows.select("file_no").join(gathered.files, on="file_no", how="left", validate="m:1")
        self.outcomes.append(tally(named, outcome))

    def _with_person(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the person, by NHS number or pseudonym, and the practice where the person is registered."""
        words = self.words
        numbers = valid_nhs_numbers(rows.select(hospital_rows.text_of("nhs_number", words)).to_series())
        pseudonym = hospital_rows.told_pseudonym(rows, words)
        keys = self.known["person_keys"].rename({"record_id": "pseudonym_id", "person_id": "keyed_id"})
        found = (
            self.bench.with_people(rows.with_columns(nhs_number=numbers))
            .with_columns(
                self.ids(rows, pl.lit("person"), pseudonym).alias("pseudonym_id"),
                has_person_key=numbers.is_not_null() | rows.select(pseudonym.is_not_null()).to_series(),
                is_identity_withheld=hospital_rows.is_withheld_identity(rows, words),
            )
            .join(keys, on="pseudonym_id", how="left", validate="m:1", maintain_order="left")
        )
        found = found.with_columns(person_id=pl.coalesce("person_id", "keyed_id"))
        joined = found.join(self.bench.roster, on="person_id", how="left", validate="m:1", maintain_order="left")
        is_held = pl.col("practice_code").is_not_null() | ~pl.col("has_person_key")
        return joined.with_columns(person_state=pl.when(is_held).then(pl.lit("held")))

    def _is_old(self, rows: pl.DataFrame) -> pl.Series:
        """True for rows of which a newer version is held, or whose year has been refreshed since."""
        held = self.delivery.shared["held"].select("record_id", held_version="version")
        joined = (
            rows.select("record_id", "version", "table", pl.col("financial_year").cast(pl.String))
            .join(held, on="record_id", how="left", validate="m:1", maintain_order="left")
            .join(
                self.known.refreshed,
                on=["table", "financial_year"],
                how="left",
                validate="m:1",
                maintain_order="left",
            )
        )
        newest = pl.max_horizontal("held_version", "refreshed")
        return joined.select((pl.col("version") < newest).fill_null(False)).to_series()

    def _take_refresh(self, table: str, whole: Gathered, days: pl.DataFrame, files: int) -> None:
        """Learns that files replace what was held of their financial years, unless they hold much less of them."""
        if "text_financial_year" not in whole.rows.columns or not files:
            return
        newest = whole.rows.filter(pl.col("file_no") >= whole.files.height - files).join(days, on="file_no")
        version = pl.col("extract_date").max().to_physical().cast(pl.Int64)
        by_year = newest.drop_nulls("text_financial_year").group_by(financial_year="text_financial_year")
        years = by_year.agg(records=pl.len().cast(pl.Int64), version=version)
        years = years.with_columns(table=pl.lit(table)).sort("financial_year")
        before = self.known["refreshes"].join(years, on=["table", "financial_year"], how="inner", suffix="_now")
        before = before.filter(pl.col("version") < pl.col("version_now"))
        short = before.filter(pl.col("records_now") < pl.col("records") * self.words["least_share_of_refresh"])
        for year in short.sort("financial_year").iter_rows(named=True):
            raise LandingError(
                expected=f"at least {self.words['least_share_of_refresh']:.0%} of the {year['records']} records of "
                f"the year {year['financial_year']} that the extract before had",
                found=f"{year['records_now']}",
                where=table,
            )
        self.known.add("refreshes", years)

    def _part_from_others(self, typed: pl.DataFrame) -> None:
        """What was held of a record goes if its person is withheld now, or is not the one it was."""
        states = typed.drop_nulls(["record_id", "version"])
        self.known.add("deletions", states.filter("is_identity_withheld"))
        self.known.add("replaced", states.filter(pl.col("person_state").is_null() | ~pl.col("has_person_key")))


def _text_columns(table: str, read: list[TextTable], pending: pl.DataFrame) -> list[str]:
    """The contract's columns, and the numbered ones of the files and of held rows."""
    contract = load_feed("hospital").tables[table]
    found = {name for text in read for name in text.rows.columns if name[:-3] in contract.numbered}
    held = pending["raw"].drop_nulls()
    for name in contract.numbered:
        found |= set(held.str.extract_all(rf"{name}_\d\d").explode(empty_as_null=True).drop_nulls().unique())
    return [*contract.names, *sorted(found)]


def _widened(text: TextTable, columns: list[str]) -> TextTable:
    missing = [name for name in columns if name not in text.rows.columns]
    return replace(text, held=text.held.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing))
