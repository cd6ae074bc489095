"""What an EMIS delivery says as a whole: whose it is, whether it may be used, whether it sends all again.

Nothing here loads a row; a delivery that cannot be trusted raises LandingError.
"""

from collections.abc import Mapping

import polars as pl

from data_contracts.codelists import codes_of
from pipelines.io.history import Change, history_path
from pipelines.io.landing.conversion import flag_of
from pipelines.io.landing.dissent import DISSENTS
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.protocol import APPLIED, Landing, Loaded, Practice
from pipelines.io.landing.reading import TextTable
from pipelines.io.landing.staging import UNDATED, Decided

Texts = Mapping[str, TextTable]
ABOUT_PATIENTS = (
    "Admin_Patient",
    "CareRecord_Observation",
    "Prescribing_IssueRecord",
    "CareRecord_Consultation",
    "Appointment_Slot",
)


def plain_guid(text: pl.Expr) -> pl.Expr:
    """A guid in upper case without its braces, as the supplier's files and custom files both have it."""
    return text.str.strip_chars("{} ").str.to_uppercase()


def organisation_of(texts: Texts, practice: Practice) -> str:
    """The guid of the practice's own organisation, which all its rows must carry.

    The guid is what stays: an ODS code that changes, or flips for a day, does not make another practice.

    Raises:
        LandingError: a first delivery is not whole, or the extract is another practice's.
    """
    where, known = f"landing/emis/{practice.practice_code}", practice.organisation_id
    needed = [name for name, table in load_feed("emis").tables.items() if table.is_needed and name not in texts]
    if known is None and needed:
        raise LandingError(expected="all tables of a first delivery", found=f"no {', '.join(needed)}", where=where)
    named = _organisations(texts)
    if known is not None and (named.is_empty() or known in named["guid"]):
        return known
    own = named.filter(pl.col("ods_code") == practice.practice_code)["guid"]
    if known is None and own.n_unique() == 1:
        return str(own[0])
    others = sorted(code[:12] for code in named["ods_code"].drop_nulls().unique())[:3]
    raise LandingError(
        expected=f"the extract of {practice.practice_code}, as its folder says",
        found=f"Admin_Organisation names {', '.join(others) or 'no practice'}",
        where=where,
    )


def _organisations(texts: Texts) -> pl.DataFrame:
    """One row per row of Admin_Organisation: guid, ods_code."""
    if "Admin_Organisation" not in texts:
        return pl.DataFrame(schema={"guid": pl.String, "ods_code": pl.String})
    rows = texts["Admin_Organisation"].rows
    named = rows.select(guid=plain_guid(pl.col("organisation_guid")), ods_code=pl.col("ods_code").str.strip_chars())
    return named.drop_nulls("guid")


def changed_code(texts: Texts, practice: Practice) -> str | None:
    """The ODS code that the extract now gives the practice's organisation, if it is another than the folder's."""
    named = _organisations(texts).filter(pl.col("guid") == practice.organisation_id)["ods_code"].drop_nulls()
    codes = sorted(code[:12] for code in named.unique() if code != practice.practice_code)
    return codes[0] if codes else None


def is_paused(texts: Texts, practice: Practice) -> bool:
    """True if the practice has paused or withdrawn its sharing agreement, or its flags cannot be read."""
    if "Agreements_SharingOrganisation" not in texts:
        return False
    rows = texts["Agreements_SharingOrganisation"].rows
    own = rows.filter(plain_guid(pl.col("organisation_guid")) == practice.organisation_id)
    texted = own.rename({name: f"text_{name}" for name in own.columns})
    return texted.filter(flag_of("disabled").fill_null(True) | flag_of("deleted").fill_null(True)).height > 0


def check_files(texts: Texts) -> None:
    """Passes if the files belong to one batch and none was cut off.

    Raises:
        LandingError: they do not, or a file ends in the middle of a record: what it lost never comes again.
    """
    feed = load_feed("emis")
    ranges = {(feed.match(text.file.path.name) or {}).get("range") for text in texts.values()}
    if len(ranges) > 1:
        where = next(iter(texts.values())).file.name
        raise LandingError(
            expected="one range of processing ids a delivery", found=f"{len(ranges)} of one moment", where=where
        )
    for text in texts.values():
        if _is_cut(text):
            raise LandingError(
                expected="a whole file",
                found=f"{text.count.records} records, the last of them cut off: a partial transfer",
                where=text.file.name,
            )


def _is_cut(text: TextTable) -> bool:
    if text.bad.filter(pl.col("line") == text.count.records).is_empty():
        return False
    with text.file.path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() != b"\n"


def sends_all_again(texts: Texts, practice: Practice) -> bool:
    """True if the delivery looks like all of the practice's records, not like the changes of a day."""
    rule = load_feed("emis").words["whole_delivery"]
    if not set(ABOUT_PATIENTS) <= set(texts) or practice.people.is_empty():
        return False
    tables = {name: texts[name].rows for name in ABOUT_PATIENTS}
    patients = tables["Admin_Patient"].select(guid=plain_guid(pl.col("patient_guid"))).drop_nulls().unique()
    rows = sum(table.height for table in tables.values())
    deleted = sum(
        table.filter(pl.col("deleted").str.to_lowercase().is_in(["true", "1"])).height for table in tables.values()
    )
    observed = tables["CareRecord_Observation"].select(guid=plain_guid(pl.col("patient_guid"))).drop_nulls()
    share = rule["least_share_of_people"]
    return (
        patients.height >= share * practice.people.height
        and (
            patients.height >= rule["least_patients"]
            or patients.height >= rule["least_share_kept"] * practice.people.height
        )
        and (observed.height >= rule["least_observations"] or observed.height >= patients.height)
        and deleted <= rule["most_deleted_share"] * rows
        and observed.join(patients, on="guid", how="anti").is_empty()
    )


def check_decided(table: str, decided: Decided, rows: int, *, where: str) -> None:
    """Passes unless so many rows break one rule that the file itself must be at fault: its headers are swapped.

    Raises:
        LandingError: they do.
    """
    rule = load_feed("emis").words["swapped_columns"]
    if rows < rule["least_rows"]:
        return
    broken = decided.pending.select(rule=pl.col("reasons").str.split("|")).drop_nulls().explode("rule")
    counted = broken.group_by("rule").agg(rows=pl.len().cast(pl.Int64)).filter(pl.col("rule").is_in(rule["rules"]))
    undated = decided.outcomes.filter(outcome=UNDATED)["records"].sum()
    dates = pl.DataFrame({"rule": ["date_before_birth_or_after_extract"], "rows": [undated]}, schema=counted.schema)
    worst = pl.concat([counted, dates]).sort("rows", "rule", descending=[True, False]).row(0, named=True)
    if worst["rows"] > rule["most_share"] * rows:
        raise LandingError(
            expected=f"columns of {table} under their own headers",
            found=f"{worst['rows']} of {rows} rows that break {worst['rule']}: swapped headers or another file",
            where=where,
        )


def check_dates_in_order(table: str, rows: pl.DataFrame, *, where: str) -> None:
    """Passes unless most entries that were not made on the day itself were made before it: dates are swapped.

    Raises:
        LandingError: they were.
    """
    rule = load_feed("emis").words["swapped_columns"]
    apart = rows.filter(pl.col("clinical_date") != pl.col("entered_date"))
    early = apart.filter(pl.col("entered_date") < pl.col("clinical_date"))
    if apart.height >= rule["least_rows"] and early.height > rule["most_share"] * apart.height:
        raise LandingError(
            expected=f"EffectiveDate and EnteredDate of {table} under their own headers",
            found=f"{early.height} of {apart.height} entries made before their clinical date: swapped headers",
            where=where,
        )


def check_beside_history(landing: Landing, loaded: Loaded) -> None:
    """Passes if what a delivery led to can stand beside what is held of this practice and of others.

    Raises:
        LandingError: the organisation is held under another practice code, or the delivery looks like all of the
            practice's records but lacks too many of those held.
    """
    practice = loaded.practices[0]
    states = landing.store.read(landing.store.state_path("emis_practices"), APPLIED)
    held = dict(states.select("organisation_id", "practice_code").drop_nulls().iter_rows())
    held |= {other.organisation_id: code for code, other in landing.touched.items() if other.organisation_id}
    if held.get(practice.organisation_id, practice.practice_code) != practice.practice_code:
        raise LandingError(
            expected=f"the organisation of {practice.practice_code}",
            found=f"that of {held[practice.organisation_id]}: another practice's extract, or a changed ODS code",
            where=f"landing/emis/{practice.practice_code}",
        )
    for change in loaded.changes:
        if change.renewed.height:
            landing.merge()
            _check_whole(landing, change, practice)


def _check_whole(landing: Landing, change: Change, practice: Practice) -> None:
    least: float = load_feed("emis").words["whole_delivery"]["least_share_kept"]
    for table in change.renewed["table"]:
        held = _held_ids(landing, table, practice)
        staged = [pl.read_parquet(change.staged[table], columns=["record_id"])] if table in change.staged else []
        sent = pl.concat([change.spared.filter(pl.col("table") == table).select("record_id"), *staged])
        kept = held.join(sent, on="record_id", how="semi").height
        if kept < least * held.height:
            raise LandingError(
                expected=f"either a day's changes or all {table} of {practice.practice_code}",
                found=f"what looks like all, but holds {kept} of the {held.height} {table} held: a truncated extract",
                where=f"landing/emis/{practice.practice_code}; ask for it to be sent again",
            )


def _held_ids(landing: Landing, table: str, practice: Practice) -> pl.DataFrame:
    """Record ids held in a table: open registrations, or what is about people that the delivery still has."""
    path = landing.store.switch.current(history_path(landing.store.settings, table, practice.icb_code))
    if not path.exists():
        return pl.DataFrame(schema={"record_id": pl.Int64})
    rows = pl.scan_parquet(path).filter(pl.col("practice_code") == practice.practice_code)
    if table == "registrations":
        return rows.filter(pl.col("deregistered_date").is_null()).select("record_id").collect()
    people = practice.people.lazy().select("person_id").unique()
    return rows.join(people, on="person_id", how="semi").select("record_id").collect()


def check_dissent_code(codes: pl.DataFrame, *, where: str) -> None:
    """Passes if the code table knows the code of Type 1 dissent: without it no opt-out of the practice is seen.

    Raises:
        LandingError: it does not.
    """
    dissent = codes_of(DISSENTS)
    if codes.filter(pl.col("target_id").is_in(dissent)).is_empty():
        raise LandingError(
            expected=f"the code of Type 1 dissent ({dissent[0]}) in Coding_ClinicalCode",
            found=f"{codes.height} codes, none of them that: opt-outs could not be seen",
            where=where,
        )
