"""Grades an ingestion of planted defects against its answer key and against the ingestion of the clean extracts."""

from dataclasses import dataclass, field

import duckdb
import polars as pl
import polars.selectors as cs

from pipelines.io.identity import load_key, person_ids, record_ids
from pipelines.io.landing.systmone_rows import PARTS, ROOM
from pipelines.io.ledger import NOT_LOADED, prove, read_ledger
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from tests.lib.defects.planting import UNDATED, Defect, Key
from tests.lib.workspaces import AS_OF

GP_TABLES = ("registrations", "events", "medications", "contacts")
STAYS = {"HES_APC": ("spells", "admitted_date"), "HES_AE": ("emergency_attendances", "arrived_date")}


@dataclass
class Score:
    """How an ingestion did: defects that their rule caught, those that it did not, and what else was touched."""

    caught: list[Defect] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether every defect was caught by its rule and nothing else was touched."""
        return not self.missed and not self.touched

    def __str__(self) -> str:
        kinds = len({defect.kind for defect in self.caught})
        total = len(self.caught) + len(self.missed)
        return (
            f"planted defects: {len(self.caught)} of {total} caught by the rule meant for them, of {kinds} kinds; "
            f"{len(self.touched)} other rows touched"
        )


@dataclass
class Grader:
    """The two workspaces: ``clean`` without defects, ``marred`` with those of the key."""

    clean: Settings
    marred: Settings
    key: Key

    def grade(self) -> Score:
        """Compares records, files, history row for row."""
        prove(read_ledger(self.marred.home))
        score = Score()
        held, before = held_records(self.marred), held_records(self.clean)
        self._grade_records(score, held, before)
        self._grade_files(score)
        self._grade_history(score)
        self._grade_stays(score)
        self._grade_mended(score)
        self._grade_week(score)
        return score

    def _grade_records(
        self, score: Score, held: dict[tuple[str, int], str], before: dict[tuple[str, int], str]
    ) -> None:
        """Each defect's record is held by its rule; no other record is held that was not held before."""
        expected = {
            (defect.file, defect.line): defect.rule for defect in self.key.defects if defect.outcome == "quarantined"
        }
        for defect in self.key.defects:
            reasons = held.get((defect.file, defect.line), "").split("|")
            if defect.outcome == "quarantined":
                _judge(score, defect, is_caught=defect.rule in reasons, found="|".join(reasons))
        for place, rule in (expected | self.key.follows).items():
            if rule not in held.get(place, "").split("|"):
                score.touched += [] if place in expected else [f"{place} does not follow: {held.get(place)}"]
        others = {place: reasons for place, reasons in held.items() if before.get(place) != reasons}
        extra = set(others) - set(expected) - set(self.key.follows)
        score.touched += [f"{file} record {line} held: {others[file, line]}" for file, line in sorted(extra)]
        freed = set(before) - set(held) - set(expected)
        score.touched += [f"{file} record {line} no longer held" for file, line in sorted(freed)]

    def _grade_files(self, score: Score) -> None:
        """Records that are superseded or blank, and files that are refused, held or unchanged."""
        ledger, before = read_ledger(self.marred.home), read_ledger(self.clean.home)
        wanted = {
            outcome: _by_file(self.key.defects, outcome)
            for outcome in ("superseded", "blank", "refused", "held", "unchanged")
        }
        rows = {row["file"]: row for row in ledger.iter_rows(named=True)}
        clean = {row["file"]: row for row in before.iter_rows(named=True)}
        for outcome in ("superseded", "blank"):
            for file in {*clean, *wanted[outcome]}:
                defects = wanted[outcome].get(file, [])
                found = rows[file][outcome] - clean[file][outcome] if rows[file]["status"] == "loaded" else 0
                for number, defect in enumerate(defects):
                    _judge(score, defect, is_caught=number < found, found=f"{found} {outcome}")
                if found > len(defects):
                    score.touched.append(f"{file}: {found - len(defects)} more {outcome}")
        for outcome in ("refused", "held", "unchanged"):
            for file, defects in wanted[outcome].items():
                row = rows.get(file, {"status": "not seen", "reason": ""})
                says = defects[0].rule in str(row["reason"] or "")
                for defect in defects:
                    _judge(
                        score,
                        defect,
                        is_caught=row["status"] == outcome and says,
                        found=f"{row['status']}: {row['reason']}",
                    )
        turned_away = {file for file, row in rows.items() if row["status"] in NOT_LOADED}
        planted = {*wanted["refused"], *wanted["held"], *self.key.waits}
        score.touched += [
            f"{file} {rows[file]['status']}: {rows[file]['reason']}" for file in sorted(turned_away - planted)
        ]

    def _grade_history(self, score: Score) -> None:
        """History holds the same rows but for those that the key names."""
        ids = self._record_ids()
        for table in GP_TABLES:
            clean, marred = (_table(settings, table) for settings in (self.clean, self.marred))
            lost = set(clean.join(marred, on=clean.columns, how="anti", nulls_equal=True)["record_id"])
            new = set(marred.join(clean, on=clean.columns, how="anti", nulls_equal=True)["record_id"])
            names = {
                name: {ids[one] for one in getattr(self.key, name) if one[0] == table}
                for name in ("lost", "changed", "added")
            }
            for what, found, wanted in (
                ("lost", lost, names["lost"] | names["changed"]),
                ("new", new, names["changed"] | names["added"]),
            ):
                score.touched += [f"{table}: {len(found - wanted)} rows {what} that should not be"] * bool(
                    found - wanted
                )
                score.touched += [f"{table}: {len(wanted - found)} rows not {what} that should be"] * bool(
                    wanted - found
                )

    def _grade_stays(self, score: Score) -> None:
        """Hospital tables hold the same rows but for those that the key names."""
        key = load_key(self.marred)
        for source, (table, day) in STAYS.items():
            named = sorted(stay for stay in self.key.lost_stays if stay[0] == source)
            people = person_ids([number for _, number, _ in named], key)
            wanted = {(person, date) for person, (_, _, date) in zip(people, named, strict=True)}
            clean, marred = (_table(settings, table) for settings in (self.clean, self.marred))
            lost = clean.join(marred, on=clean.columns, how="anti", nulls_equal=True)
            new = marred.join(clean, on=clean.columns, how="anti", nulls_equal=True)
            found = set(lost.select("person_id", pl.col(day).cast(pl.String)).iter_rows())
            score.touched += [f"{table}: {len(found ^ wanted)} rows lost or kept that should not be"] * (
                found != wanted
            )
            score.touched += [f"{table}: {new.height} new rows"] * bool(new.height)

    def _grade_mended(self, score: Score) -> None:
        """What is loaded all the same means what the key says."""
        mended = Mended(self.clean, self.marred)
        for defect in self.key.defects:
            if defect.outcome == "mended":
                _judge(score, defect, is_caught=mended.holds(defect), found="something else")

    def _grade_week(self, score: Score) -> None:
        """People and measurements of the week are the same but for people whom a defect takes out or touches."""
        secret, marred_people = load_key(self.marred), self.key.marred_people
        for table, people, left_out in (
            # An ethnic group is an entry of the record like any other, so that of a marred person may differ.
            ("people", self.key.lost_people, ["ethnic_group"]),
            ("people", self.key.lost_people | marred_people, []),
            ("measurements", self.key.lost_people | marred_people, []),
        ):
            others = ~pl.col("person_id").is_in(person_ids(sorted(people), secret).implode())
            clean, marred = (
                _week(settings, table).filter(others).drop(left_out) for settings in (self.clean, self.marred)
            )
            differ = pl.concat([clean, marred]).filter(~pl.struct(pl.all()).is_duplicated())
            score.touched += [f"{table} of the week: {differ.height} rows differ"] * bool(differ.height)

    def _record_ids(self) -> dict[tuple[str, str], int]:
        """The pseudonym of each record that the key names."""
        named = sorted(self.key.lost | self.key.changed | self.key.added)
        return dict(zip(named, pseudonyms(self.marred, [message for _, message in named]), strict=True))


@dataclass
class Mended:
    """Looks up what became of records that are loaded although something was wrong with them."""

    clean: Settings
    marred: Settings

    def holds(self, defect: Defect) -> bool:
        """Whether history and the week say what the key says of one defect."""
        if defect.rule == UNDATED:
            return self._dates(defect.about) == [None]
        if defect.rule == "read by name":
            return read_ledger(self.marred.home).filter(file=defect.file)["status"].to_list() == ["loaded"]
        if defect.rule.startswith("told: "):
            row = read_ledger(self.marred.home).filter(file=defect.file).row(0, named=True)
            return row["status"] == "loaded" and defect.rule.removeprefix("told: ") in str(row["reason"])
        person = person_ids([defect.about], load_key(self.marred))[0]
        if defect.rule == "all of the patient goes":
            return all(_table(self.marred, table).filter(person_id=person).is_empty() for table in GP_TABLES)
        if defect.rule == "the person counts once":
            rows = _week(self.marred, "people").filter(person_id=person)
            return rows.height == 1 and rows.equals(_week(self.clean, "people").filter(person_id=person))
        measure, says = defect.rule.split(": ")
        return self._says(person, measure, says)

    def _dates(self, record: str) -> list[object]:
        found = pseudonyms(self.marred, [record])[0]
        return _table(self.marred, "events").filter(record_id=found)["event_date"].to_list()

    def _says(self, person: int, measure: str, says: str) -> bool:
        """Whether the week's value of a measure is the one without the defect, a stated one, or none."""
        if _week(self.marred, "people").filter(person_id=person).is_empty():
            return False
        if measure == "smoking_current":
            return _week(self.marred, "conditions").filter(person_id=person, condition=measure).is_empty()
        found, before = (
            _week(settings, "measurements").filter(person_id=person, measure=measure)["value"].to_list()
            for settings in (self.marred, self.clean)
        )
        if says == "no value":
            return found == []
        wanted = before if says == "the same value" else [float(says)]
        return len(wanted) == 1 and len(found) == 1 and abs(found[0] - wanted[0]) < 0.001 * abs(wanted[0])


def pseudonyms(settings: Settings, messages: list[str]) -> list[int]:
    """The record ids of the suppliers' records; of a table of SystmOne's they tell the table too."""
    with duckdb.connect() as con:
        ids = record_ids(con, pl.Series(messages, dtype=pl.String), load_key(settings))
    tables = pl.Series(messages, dtype=pl.String).str.split("|").list.get(1, null_on_oob=True)
    named = pl.DataFrame({"id": ids, "table": tables}).with_columns(
        part=pl.col("table").replace_strict(PARTS | {"SRPatientRegistration": 0}, default=None, return_dtype=pl.Int64)
    )
    parted = pl.col("id") // ROOM * ROOM + pl.col("part")
    return named.select(pl.coalesce(parted, "id")).to_series().to_list()


def _judge(score: Score, defect: Defect, *, is_caught: bool, found: str) -> None:
    if is_caught:
        score.caught.append(defect)
    else:
        score.missed.append(f"{defect.kind} ({defect.file}, record {defect.line}): {defect.rule}; found {found}")


def _by_file(defects: list[Defect], outcome: str) -> dict[str, list[Defect]]:
    files: dict[str, list[Defect]] = {}
    for defect in defects:
        if defect.outcome == outcome:
            files.setdefault(defect.file, []).append(defect)
    return files


def held_records(settings: Settings) -> dict[tuple[str, int], str]:
    """File and record number to the reasons of every record in quarantine."""
    names = read_ledger(settings.home).filter(pl.col("status") == "loaded").select("sha256", "practice_code", "file")
    paths = sorted((settings.identity / "quarantine").glob("*/*.parquet"))
    held = pl.concat([pl.read_parquet(path) for path in paths])
    joined = held.join(names, on=["sha256", "practice_code"], how="left", nulls_equal=True)
    return {(row["file"], row["line"]): row["reasons"] for row in joined.iter_rows(named=True)}


def _table(settings: Settings, table: str) -> pl.DataFrame:
    paths = sorted((settings.history / table).glob("*.parquet"))
    return pl.concat([pl.read_parquet(path) for path in paths])


def _week(settings: Settings, table: str) -> pl.DataFrame:
    """A table of the week without the last digits of its numbers: a deviation adds up readings in any order."""
    return Warehouse(settings).read(table, AS_OF).with_columns(cs.float().round(9)).collect()
