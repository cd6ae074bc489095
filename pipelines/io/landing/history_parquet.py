"""History as an ICB's own extraction makes it: one practice's Parquet files, by NHS number, to staged history rows.

A file replaces what the practice's last file of that table gave. Rows are keyed by NHS number and nothing else: no
file can show which key a pseudonym was made with, so a person_id is never taken.
"""

import datetime as dt
from dataclasses import replace

import pandera.polars as pa
import polars as pl

from data_contracts.codelists import is_valid_sctid
from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.history import CHILDREN, DATES, GONE_KEYS, GONE_PEOPLE, RENEWED, Change
from pipelines.io.identity import PEOPLE, record_ids, valid_nhs_numbers
from pipelines.io.landing.conversion import are_readable, day_of, number_of, whole_of
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.practice_loading import PracticeLoading, columns_of
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded, Practice
from pipelines.io.landing.reading import TextTable, read_texts

NAME = "history_parquet"
CONTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "registrations": contracts.OwnRegistrations,
    "events": contracts.OwnEvents,
    "medications": contracts.OwnMedications,
    "contacts": contracts.OwnContacts,
    "spells": contracts.OwnSpells,
    "emergency_attendances": contracts.OwnAttendances,
}
"""What the rows of each table must meet, people first."""
HOSPITAL = ("spells", "emergency_attendances")
MADE_HERE = ("practice_code", "person_id", "record_id")
CODES = {"events": "concept_id", "medications": "product_id"}
GIVEN = {"practice_code": pl.String, "table": pl.String, "record_id": pl.Int64}
SHARED = {"given": GIVEN}
"""The keys of hospital rows that each practice's last files gave: they go when the next file comes."""


def load_delivery(delivery: Delivery, bench: Bench) -> Loaded:
    """The files of one practice and moment, staged as Parquet.

    Raises:
        LandingError: the practice is not listed, or its first delivery does not say who its people are.
    """
    practice = bench.practice(delivery.source, delivery)
    if practice is None:
        raise LandingError(expected="a practice of the national list", found=delivery.source, where="epraccur.csv")
    texts = {text.file.table: text for text in read_texts(delivery.files, con=bench.con, work=bench.work)}
    if practice.people.is_empty() and "registrations" not in texts:
        raise LandingError(
            expected="registrations in a practice's first delivery",
            found="none",
            where=f"landing/history/{delivery.source}",
        )
    loading = _Loading(delivery=delivery, bench=bench, practice=practice, texts=texts)
    for table, contract in CONTRACTS.items():
        loading.load(table, contract)
    return loading.result()


FEED = PracticeFeed(name=NAME, load=load_delivery, shared=SHARED)


class _Loading(PracticeLoading):
    """One delivery while it is being loaded: registrations first, then what is about these people."""

    def __init__(self, *, delivery: Delivery, bench: Bench, practice: Practice, texts: dict[str, TextTable]) -> None:
        super().__init__(feed=NAME, practice=practice, bench=bench)
        self.delivery, self.texts = delivery, texts
        self.good: dict[str, pl.DataFrame] = {}

    def load(self, table: str, contract: type[pa.DataFrameModel]) -> None:
        """Gives every row of one table its outcome: of a new file, else of those held from the last one."""
        read = [self.texts[table]] if table in self.texts else []

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            return self._type(table, self._with_ids(table, rows, load_feed(NAME).tables[table].names))

        self.good[table] = self.decide(table, contract, convert, read=read, is_whole=bool(read)).good
        if table == "registrations" and read:
            people = self.good[table].select(list(PEOPLE)).sort("record_id")
            self.practice = replace(self.practice, people=people)

    def _with_ids(self, table: str, rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """The rows with the pseudonyms of person and record; a row without a key is known by all that it says."""
        content = pl.concat_str([pl.col(f"text_{name}").fill_null("") for name in columns], separator="|")
        key = pl.coalesce("text_record_key", content)
        message = pl.concat_str(pl.lit(f"{NAME}|{self.practice.practice_code}|{table}"), key, separator="|")
        numbers = valid_nhs_numbers(rows["text_nhs_number"])
        records = record_ids(self.bench.con, rows.select(message).to_series(), self.bench.key)
        return self.bench.with_people(rows.with_columns(records.alias("record_id"), nhs_number=numbers))

    def _type(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows in the history table's types, with what the staging contract asks beside them."""
        own = pl.col("text_practice_code").str.strip_chars() == self.practice.practice_code
        values = _values(table, rows)
        typed = rows.with_columns(
            **values,
            practice_code=pl.lit(self.practice.practice_code),
            is_own_practice=own.fill_null(True),
            has_readable_values=are_readable({n: v for n, v in values.items() if f"text_{n}" in rows.columns}),
            has_check_digit=_has_check_digit(rows, CODES.get(table)),
            extract_date=pl.lit(dt.datetime.strptime(self.delivery.moment, "%Y%m%d").date()),
        ).with_columns(clinical_date=DATES[table])
        return self._add_area(typed) if table == "registrations" else self._add_person(typed)

    def _add_area(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The registrations with the LSOA of their postcode, where none is given."""
        postcode = pl.col("text_postcode").str.replace_all(" ", "", literal=True).str.to_uppercase()
        areas = self.bench.places.postcodes.rename({"lsoa_code": "postcode_lsoa"})
        joined = rows.with_columns(postcode=postcode).join(
            areas, on="postcode", how="left", validate="m:1", maintain_order="left"
        )
        return joined.with_columns(
            lsoa_code=pl.coalesce("lsoa_code", "postcode_lsoa"), given_name="text_given_name", surname="text_surname"
        )

    def _add_person(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the birth date of their person, and whether the practice has that person."""
        people = self.practice.people.group_by("person_id").agg(pl.col("birth_date").min())
        held = people.with_columns(person_state=pl.lit("held"))
        joined = rows.join(held, on="person_id", how="left", validate="m:1", maintain_order="left")
        return joined.with_columns(
            person_state=pl.when(pl.col("person_id").is_null()).then(pl.lit("held")).otherwise("person_state")
        )

    def result(self) -> Loaded:
        """What the files led to: of each table that came, the rows of the last file go and these come."""
        for table, rows in self.good.items():
            self.write(table, [rows.select(columns_of(table))])
        practice = replace(self.practice, applied_moment=self.delivery.moment, pending=pl.concat(self.pending))
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(text.count for text in self.texts.values()),
            changes=(self._gone(), Change(icb_code=practice.icb_code, staged=self.staged)),
            practices=(practice,),
            shared={"given": self._given()},
        )

    def _gone(self) -> Change:
        """What the last files of these tables gave, and all about people who are not registered any more."""
        code = self.practice.practice_code
        left = self.people_before.join(self.practice.people, on="person_id", how="anti")
        renewed = [table for table in CHILDREN if table in self.texts]
        old = self.delivery.shared["given"].filter(
            pl.col("practice_code") == code, pl.col("table").is_in([t for t in HOSPITAL if t in self.texts])
        )
        registered = self.people_before.select(table=pl.lit("registrations"), record_id="record_id")
        keys = [registered] if "registrations" in self.texts else []
        return Change(
            icb_code=self.practice.icb_code,
            gone_keys=pl.concat([pl.DataFrame(schema=GONE_KEYS), *keys, old.select(list(GONE_KEYS))]),
            gone_people=left.select(list(GONE_PEOPLE)).unique().sort("person_id"),
            renewed=pl.DataFrame(
                [{"table": table, "practice_code": code, "part": 0, "parts": 1} for table in renewed], schema=RENEWED
            ),
        )

    def _given(self) -> pl.DataFrame:
        """The keys of hospital rows that the last file of each practice gave."""
        code = self.practice.practice_code
        replaced = (pl.col("practice_code") == code) & pl.col("table").is_in(sorted(self.texts))
        new = [
            self.good[table].select("practice_code", pl.lit(table).alias("table"), "record_id") for table in HOSPITAL
        ]
        return pl.concat([self.delivery.shared["given"].filter(~replaced), *new]).unique().sort(list(GIVEN))


def _values(table: str, rows: pl.DataFrame) -> dict[str, pl.Expr]:
    """Each column of the history table by its type, null where the file does not have it."""
    values = {}
    for name, column in HISTORY[table].to_schema().columns.items():
        if name not in MADE_HERE:
            kind = column.dtype.type
            is_there = f"text_{name}" in rows.columns
            values[name] = _value(name, kind) if is_there else pl.lit(None, dtype=kind)
    return values


def _value(name: str, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Date:
        return day_of(name)
    if kind == pl.Float64:
        return number_of(name)
    if kind == pl.String:
        return pl.col(f"text_{name}").str.strip_chars().replace("", None)
    return whole_of(name).cast(kind)


def _has_check_digit(rows: pl.DataFrame, code: str | None) -> pl.Expr:
    """True where a code is none, or ends in its Verhoeff check digit."""
    if code is None:
        return pl.lit(True)
    texts = rows[f"text_{code}"].drop_nulls().str.strip_chars().unique()
    wrong = [text for text in texts if text.isdigit() and not is_valid_sctid(text)]
    return ~pl.col(f"text_{code}").str.strip_chars().is_in(wrong).fill_null(False)
