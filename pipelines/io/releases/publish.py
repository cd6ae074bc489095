"""Writes one release aside, syncs it and makes it visible by one rename; a crash leaves the old one whole."""

import datetime as dt
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pandera.errors import SchemaError

from data_contracts.actions import Actions, load_actions
from data_contracts.tables.release import RELEASED
from data_contracts.tables.weekly import RELEASE_RULES
from pipelines.io.durable import hold_lock, sync
from pipelines.io.identity import load_key, people_path
from pipelines.io.releases.approvals import are_made_up, check_approval
from pipelines.io.releases.files import cohort_files, cohorts_of, write_parquet
from pipelines.io.releases.gate import (
    Allowed,
    check_not_from_later,
    decide_allowed,
    eligibility_now,
    icb_codes,
    read_national_answer,
)
from pipelines.io.releases.list_page import write_list_page
from pipelines.io.releases.manifest import (
    FileEntry,
    ReleaseFacts,
    contract_fingerprint,
    data_dictionary,
    describe_file,
    write_manifest,
)
from pipelines.io.releases.options import ReleaseOptions, ReleaseRefusedError, code_version
from pipelines.io.releases.pseudonyms import pseudonyms, recipient_key
from pipelines.io.releases.quality import QualityWeek, write_quality
from pipelines.io.releases.summary import IcbWeek, write_summary
from pipelines.io.releases.workbook import PracticeList, printable_leavers, printable_rows, write_csv, write_workbook
from pipelines.io.target_lists import read_slots
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from pipelines.steps.aggregates import CohortTables, count_cohorts, count_owed, safe_capacity
from pipelines.steps.coverage import count_coverage
from pipelines.steps.disclosure import (
    Told,
    mask_rare,
    quasi_identifiers,
    reportable_not_seen,
    reportable_states,
    smallest_group,
)
from pipelines.steps.lists import share_places
from pipelines.steps.quality import publishable, stand, stopped

LEAVING = [
    *("people", "target_lists", "complex_care", "programme_states", "people_not_seen", "lifestyle_risk"),
    *("lifestyle_flags", "risk_scores"),
]
"""The tables of which rows about people leave in an ICB's files."""
TABLES = [
    *LEAVING,
    *("list_leavers", "programme_records", "non_responders", "care_owed", "list_capacity", "avoidable_admissions"),
]
NEEDED = {
    "programme_records": ["person_id", "programme", "rule_number", "doses"],
    "risk_scores": ["person_id", "risk_avoidable_admission_12m", "model_version"],
}
"""The columns that are read of tables that hold many more."""
WAITING = "A later delivery of these records waits for a check, so this list rests on what was known before it."
COUNTED = [
    *("people", "target_lists", "complex_care", "programme_states", "non_responders", "people_not_seen"),
    "lifestyle_risk",
]
YEAR = dt.timedelta(days=365)
WEEK = dt.timedelta(days=7)


def write_release(
    settings: Settings, as_of: dt.date, *, options: ReleaseOptions | None = None, disclosed_on: dt.date | None = None
) -> Path:
    """The folder of the release of one week: releases/DATE, whole and visible, with releases/latest moved to it.

    The same inputs give the same bytes. Readers see the old release or the new one, never a mixture.
    ``disclosed_on`` is the day it leaves, by which the national opt-out answer must be fresh; default: the as-of
    date, which is also the day for made-up people.

    Raises:
        ReleaseRefusedError: tables or the opt-out answer are missing or stale; nothing changes then.
    """
    options = options or ReleaseOptions()
    busy = f"another run is writing a release in {settings.releases}; wait until it ends, then run again"
    with hold_lock(settings.releases / ".lock", ReleaseRefusedError(busy)):
        aside = settings.releases / f".writing-{as_of.isoformat()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        writer = _Writer(settings, as_of, options, aside, disclosed_on=disclosed_on or as_of)
        manifest = writer.write()
        writer.write_beside()
        sync_tree(aside)
        name = describe_file(aside, manifest, rows=None).sha256[:12]
        return make_visible(settings.releases, aside, as_of=as_of, name=name)


def renew_release(settings: Settings, as_of: dt.date, *, leaves_on: dt.date) -> Path:
    """The folder of the week's release, written anew by what is known on the day that it leaves.

    Who opted out, died or moved away since is left out; if nobody did, the bytes are those that were there.

    Raises:
        ReleaseRefusedError: the week is over, a later one is out, or what ``write_release`` raises.
    """
    if not as_of <= leaves_on <= as_of + WEEK:
        raise ReleaseRefusedError(
            f"the release of {as_of} may leave until {as_of + WEEK}, not on {leaves_on}; run a later week first"
        )
    later = max((path.name for path in settings.releases.glob("????-??-??")), default="")
    if later > as_of.isoformat():
        raise ReleaseRefusedError(f"the release of {later} is out, so that of {as_of} no longer leaves")
    return write_release(settings, as_of, disclosed_on=leaves_on)


@dataclass(frozen=True)
class _Icb:
    """One ICB's part of a release, read and gated."""

    code: str
    tables: dict[str, pl.DataFrame]
    allowed: Allowed
    practices: pl.DataFrame
    entered: pl.DataFrame
    """One row per practice: practice_code, data_until."""
    scorecard: pl.DataFrame
    """The week's data_quality."""
    standing: pl.DataFrame
    """One row per practice: how its data stand, what stand returns."""
    slots: pl.DataFrame | None
    """What read_slots returns."""
    told: Told


class _Writer:
    """Writes every file of one release into a folder and keeps their entries for the manifest."""

    def __init__(
        self, settings: Settings, as_of: dt.date, options: ReleaseOptions, root: Path, *, disclosed_on: dt.date
    ) -> None:
        self.settings, self.as_of, self.options, self.root = settings, as_of, options, root
        self.disclosed_on = disclosed_on
        self.week = Warehouse(settings)
        self.rules = load_actions()
        self.files: list[FileEntry] = []
        self.groups: dict[str, int | None] = {}
        self.until: dict[str, str | None] = {}
        self.models: set[str] = set()
        self.approvals: dict[str, str] = {}
        self.standing: dict[str, dict[str, str | None]] = {}
        self.ledgers: dict[str, pl.DataFrame] = {}
        self.left_out: dict[str, pl.DataFrame] = {}
        self.told: dict[str, Told] = {}
        self.pool = ThreadPoolExecutor(max_workers=1)
        """Writes practices' lists while the cohorts are worked out: a list is Python's work, a cohort is not."""
        self.lists: list[Future[list[FileEntry]]] = []

    def write(self) -> Path:
        """Writes all files, the manifest last, and returns the manifest's path."""
        key = load_key(self.settings)
        codes = self._icb_codes()
        answer = self._national_answer(codes)
        with eligibility_now(self.settings) as now, self.pool:
            for code in self.week.in_turn():
                # Nothing of one ICB but its lists is held while the next is read.
                self._write_all(self._read(code, answer, now), key=key)
        for written in self.lists:
            self.files += written.result()
        self._check_sensitive_sets(codes)
        return write_manifest(self.root, self.files, self._facts())

    def write_beside(self) -> None:
        """Writes beside the week's tables what does not leave: exact opt-outs, and the counts behind the figures."""
        for code, ledger in self.ledgers.items():
            self.week.write("opt_out_ledger", self.as_of, code, ledger)
            self.week.write("told_counts", self.as_of, code, self.told[code].kept())

    def _check_sensitive_sets(self, codes: list[str]) -> None:
        """Real people's sensitive codes must be known whole, set by set, or left in by a signed decision."""
        missing = self.week.sensitive.missing_on(self.as_of)
        if missing and not all(are_made_up(self.settings, code) for code in codes):
            raise ReleaseRefusedError(
                f"sensitive codes are known only in part: no reference set of {', '.join(missing)} in "
                f"{self.week.sensitive.folder}, and no decision that holds in {self.week.sensitive.decisions}; "
                "see docs/opt-outs.md"
            )

    def _national_answer(self, codes: list[str]) -> pl.DataFrame | None:
        """The national answer, fresh on the day of disclosure; only made-up people may do without."""
        is_made_up = all(are_made_up(self.settings, code) for code in codes)
        if self.options.national_opt_out == "none" and not is_made_up:
            raise ReleaseRefusedError('national_opt_out: "none" is for made-up people only; expected "required"')
        if is_made_up:
            return read_national_answer(self.settings, day=self.as_of, options=self.options)
        answer = read_national_answer(self.settings, day=self.disclosed_on, options=self.options)
        check_not_from_later(self.settings, day=self.disclosed_on)
        return answer

    def _icb_codes(self) -> list[str]:
        """The ICBs of which people are held; what a week holds of others is left from before they were moved."""
        folder = self.settings.tables / self.as_of.isoformat() / "target_lists"
        if not any(folder.glob("*.parquet")):
            raise ReleaseRefusedError(
                f"no target lists for {self.as_of}: expected {folder}/<icb_code>.parquet; "
                f"run `casefinder run --as-of {self.as_of}` first"
            )
        return icb_codes(self.settings)

    def _table(self, name: str, code: str) -> pl.DataFrame:
        path = self.settings.tables / self.as_of.isoformat() / name / f"{code}.parquet"
        if not path.is_file():
            raise ReleaseRefusedError(f"{name} of {code} is missing: expected {path}; run the week again")
        return pl.read_parquet(path, columns=NEEDED.get(name))

    def _read(self, code: str, answer: pl.DataFrame | None, now: Warehouse) -> _Icb:
        self.approvals[code] = check_approval(self.settings, icb=code, as_of=self.as_of)
        tables = {name: self._table(name, code) for name in TABLES}
        scorecard = self._table("data_quality", code)
        standing = stand(scorecard.lazy())
        allowed = decide_allowed(
            self.week, now, answer, as_of=self.as_of, icb=code, stopped=stopped(standing), options=self.options
        )
        practices = pl.read_parquet(self.settings.history / "practices.parquet").filter(pl.col("icb_code") == code)
        self.models |= set(tables["risk_scores"]["model_version"].drop_nulls().unique())
        self.ledgers[code] = allowed.ledger
        self._note_standing(standing)
        entered = read_entered(self.settings, code, as_of=self.as_of)
        self.told[code] = self._told_before(code)
        slots = read_slots(self.week, as_of=self.as_of, icb=code)
        return _Icb(code, tables, allowed, practices, entered, scorecard, standing, slots, self.told[code])

    def _told_before(self, code: str) -> Told:
        """What the ICB was told last: by a release of this week, else by that of the latest week before."""
        own = self.week.path("told_counts", self.as_of, code)
        path = own if own.exists() else self.week.previous_path("told_counts", self.as_of, code)
        return Told(pl.read_parquet(path)) if path else Told()

    def _note_standing(self, standing: pl.DataFrame) -> None:
        """Keeps for the manifest what is not as it should be, practice by practice."""
        for row in standing.filter(pl.col("verdict") != "ok").to_dicts():
            day = row["data_as_of"]
            self.standing[row["practice_code"]] = {
                "verdict": row["verdict"],
                "past": row["past"],
                "data_as_of": day.isoformat() if day else None,
            }

    def _write_all(self, icb: _Icb, *, key: bytes) -> None:
        folder = self.root / "icb" / icb.code
        folder.mkdir(parents=True)
        self._write_practices(icb)
        self._write_cohorts(icb, folder, key=key)
        self._write_pages(icb, folder)

    def _write_cohorts(self, icb: _Icb, folder: Path, *, key: bytes) -> None:
        reportable = {name: icb.tables[name] for name in LEAVING} | {
            "programme_states": reportable_states(icb.tables["programme_states"]),
            "people_not_seen": reportable_not_seen(icb.tables["people_not_seen"], self.rules.not_seen.told),
        }
        may_leave = {
            name: rows.join(icb.allowed.icb_files, on="person_id", how="semi") for name, rows in reportable.items()
        }
        cohorts = [cohort["person_id"] for cohort in cohorts_of(may_leave).values()]
        cohorts.append(pl.concat(cohorts))
        masked = mask_rare(quasi_identifiers(may_leave["people"]), cohorts, smallest=self.options.smallest_group)
        names = pseudonyms(
            cohorts[-1], key=recipient_key(key, icb_code=icb.code, scheme=self.options.pseudonym_scheme)
        )
        made = cohort_files(may_leave, masked=masked, names=names)
        for name, frame in made.items():
            _check_contract(name, frame)
            path = folder / f"{name}.parquet"
            write_parquet(frame, path, as_of=self.as_of, facts=self._footer(name, icb))
            self._add(path, rows=frame.height)
        self.groups[icb.code] = min(
            filter(None, (smallest_group(frame.unique("pseudonym")) for frame in made.values())), default=None
        )

    def _footer(self, name: str, icb: _Icb) -> dict[str, str]:
        """What a cohort file says of itself: what it holds, whose, from which data and which versions."""
        until = icb.entered["data_until"].max()
        return {
            "casefinder.cohort": name,
            "casefinder.icb": icb.code,
            "casefinder.contract": contract_fingerprint(RELEASED[name]),
            "casefinder.data_until": until.isoformat() if isinstance(until, dt.date) else "not known",
            "casefinder.models": ", ".join(sorted(icb.tables["risk_scores"]["model_version"].drop_nulls().unique())),
            "casefinder.code_version": code_version(),
        }

    def _write_pages(self, icb: _Icb, folder: Path) -> None:
        dictionary = folder / "data_dictionary.csv"
        words = data_dictionary()
        dictionary.write_bytes(words.write_csv().encode("utf-8"))
        self._add(dictionary, rows=words.height)
        until = icb.entered["data_until"].max()
        self.until[icb.code] = until.isoformat() if isinstance(until, dt.date) else None
        names = icb.practices["icb_name"].drop_nulls()
        admitted = icb.tables["avoidable_admissions"].filter(
            pl.col("admitted_date").is_between(self.as_of - YEAR, self.as_of, closed="left")
        )
        tables = CohortTables(
            practices=icb.practices,
            avoidable_admissions=admitted,
            **{name: icb.tables[name] for name in COUNTED},
        )
        told = icb.told
        counts = count_cohorts(tables, rules=self.rules, told=told)
        (folder / "tables.csv").write_bytes(counts.write_csv().encode("utf-8"))
        self._add(folder / "tables.csv", rows=counts.height)
        coverage = count_coverage(tables, icb.tables["programme_records"], rules=self.rules, told=told)
        (folder / "coverage.csv").write_bytes(coverage.write_csv().encode("utf-8"))
        self._add(folder / "coverage.csv", rows=coverage.height)
        capacity = safe_capacity(icb.tables["list_capacity"], told=told)
        for name, frame in {
            "capacity": capacity,
            "care_owed": count_owed(icb.tables["care_owed"], told=told),
        }.items():
            (folder / f"{name}.csv").write_bytes(frame.write_csv().encode("utf-8"))
            self._add(folder / f"{name}.csv", rows=frame.height)
        left_out = count_left_out(icb.allowed.ledger, told=told)
        self.left_out[icb.code] = left_out
        (folder / "opt_outs.csv").write_bytes(left_out.write_csv().encode("utf-8"))
        self._add(folder / "opt_outs.csv", rows=left_out.height)
        places = self._places(icb)
        week = IcbWeek(
            icb_name=names[0] if len(names) else icb.code,
            as_of=self.as_of,
            data_until=until if isinstance(until, dt.date) else None,
            model_versions=tuple(sorted(icb.tables["risk_scores"]["model_version"].drop_nulls().unique())),
            tables=tables,
            counts=counts,
            coverage=coverage,
            places=int(places["places"].sum()),
            capacity=capacity,
            told=told,
            standing=icb.standing,
            twentieths=self._twentieths(icb),
        )
        write_summary(week, folder / "summary.html", rules=self.rules)
        self._add(folder / "summary.html", rows=None)
        self._write_quality(icb, folder, week.icb_name)

    def _twentieths(self, icb: _Icb) -> pl.DataFrame | None:
        """What the judgement of the model that scored the week says of each twentieth of risk; None without one."""
        versions = icb.tables["risk_scores"]["model_version"].drop_nulls().unique()
        path = self.settings.models / str(versions[0]) / "evaluation.csv" if len(versions) else None
        if path is None or not path.is_file():
            return None
        judged = pl.read_csv(path, schema_overrides={"cut": pl.Float64})
        return judged.filter(pl.col("group") == "twentieth").select(risk="cut", observed="value")

    def _write_quality(self, icb: _Icb, folder: Path, icb_name: str) -> None:
        scorecard = publishable(icb.scorecard, told=icb.told)
        (folder / "quality.csv").write_bytes(scorecard.write_csv().encode("utf-8"))
        self._add(folder / "quality.csv", rows=scorecard.height)
        names = dict(icb.practices.select("practice_code", "practice_name").iter_rows())
        write_quality(QualityWeek(icb_name, self.as_of, scorecard, names), folder / "quality.html")
        self._add(folder / "quality.html", rows=None)

    def _write_practices(self, icb: _Icb) -> None:
        allowed = icb.tables["target_lists"].join(icb.allowed.practice_lists, on="person_id", how="semi")
        numbers = _nhs_numbers(self.settings, icb.code)
        listed = allowed.join(numbers, on=["person_id", "practice_code"], how="inner", validate="1:1")
        places = self._places(icb)
        pair = ["person_id", "practice_code"]
        leavers, people = icb.tables["list_leavers"], icb.tables["people"].select(pair)
        still_here = leavers.join(people, on=pair, how="semi").join(
            icb.allowed.practice_lists, on="person_id", how="semi"
        )
        named = still_here.join(numbers, on=pair, how="inner", validate="1:1")
        registered = dict(icb.tables["people"].group_by("practice_code").len().iter_rows())
        for (practice,), rows in listed.sort("practice_code", "rank").group_by("practice_code", maintain_order=True):
            here = pl.col("practice_code") == practice
            left = named.filter(here)
            gone = leavers.filter(here).height - left.height
            facts = {"registered": registered[practice], "gone": gone}
            sheet = self._practice_list(icb, str(practice), rows, places, left=left, **facts)
            self.lists.append(self.pool.submit(write_practice, self.root, sheet, rules=self.rules))

    def _places(self, icb: _Icb) -> pl.DataFrame:
        """One row per practice, team and cohort: the places of the week."""
        return share_places(icb.tables["people"].lazy(), icb.slots, rules=self.rules)

    def _practice_list(
        self,
        icb: _Icb,
        practice: str,
        rows: pl.DataFrame,
        places: pl.DataFrame,
        *,
        left: pl.DataFrame,
        registered: int,
        gone: int,
    ) -> PracticeList:
        here = pl.col("practice_code") == practice
        names = icb.practices.filter(here)["practice_name"]
        until = icb.entered.filter(here)["data_until"]
        standing = icb.standing.filter(here)
        return PracticeList(
            practice_code=practice,
            practice_name=names[0] if len(names) else "Practice",
            as_of=self.as_of,
            data_until=until[0] if len(until) else None,
            data_as_of=standing["data_as_of"][0] if standing.height else None,
            notices=(WAITING,) if "days_waiting" in str(standing["past"].first()).split("|") else (),
            registered=registered,
            places=int(places.filter(here)["places"].sum()),
            states_capacity=icb.slots is not None and practice in icb.slots["practice_code"],
            rows=printable_rows(rows, rules=self.rules),
            left=printable_leavers(left),
            gone=gone,
        )

    def _add(self, path: Path, *, rows: int | None) -> None:
        self.files.append(describe_file(self.root, path, rows=rows))

    def _facts(self) -> ReleaseFacts:
        return ReleaseFacts(
            as_of_date=self.as_of.isoformat(),
            code_version=code_version(),
            model_versions=sorted(self.models),
            pseudonym_scheme=self.options.pseudonym_scheme,
            national_opt_out=self.options.national_opt_out,
            approvals=self.approvals,
            data_until=self.until,
            smallest_group=self.groups,
            left_out=dict(sum_left_out(list(self.left_out.values())).rows()),
            practices_with_a_warning=self.standing,
        )


def write_practice(root: Path, sheet: PracticeList, *, rules: Actions) -> list[FileEntry]:
    """The entries of one practice's files after writing them: workbook, CSV and page."""
    folder = root / "practices" / sheet.practice_code
    folder.mkdir(parents=True, mode=0o700)
    write_workbook(sheet, folder / "target_list.xlsx", rules=rules)
    write_csv(sheet, folder / "target_list.csv")
    write_list_page(sheet, folder / "target_list.html", rules=rules)
    rows = {"xlsx": sheet.rows.height, "csv": sheet.rows.height, "html": None}
    return [describe_file(root, folder / f"target_list.{kind}", rows=count) for kind, count in rows.items()]


def count_left_out(ledger: pl.DataFrame, *, told: Told) -> pl.DataFrame:
    """One row per rule: how many people of an ICB it left out, hidden at 7 or fewer, else rounded to 5."""
    rules = pl.DataFrame({"rule": RELEASE_RULES})
    counted = ledger.group_by("rule").agg(pl.col("people").sum())
    counts = rules.join(counted, on="rule", how="left", maintain_order="left").select(
        "rule", pl.col("people").fill_null(0)
    )
    return told.safe(counts, "opt_outs", ["rule"], "people")


def sum_left_out(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One row per rule: the people left out in all ICBs, as sums of what each is told; null where all is hidden."""
    shown = pl.when(pl.col("people").is_not_null().any()).then(pl.col("people").sum())
    return pl.concat(parts).group_by("rule", maintain_order=True).agg(shown)


def _check_contract(name: str, frame: pl.DataFrame) -> None:
    """Returns if the contract holds. Pandera's own message quotes values, so it goes no further.

    Raises:
        ReleaseRefusedError: it does not.
    """
    try:
        RELEASED[name].validate(frame)
    except SchemaError as error:
        broken = f"{error.schema.name} breaks {getattr(error.check, 'name', error.check)}"
        raise ReleaseRefusedError(
            f"{name} of the release does not meet its contract: {broken}; see data_contracts/tables/release.py"
        ) from None


def _nhs_numbers(settings: Settings, icb: str) -> pl.DataFrame:
    """One row per person registered at a practice of the ICB now: person_id, practice_code, nhs_number."""
    store = pl.scan_parquet(people_path(settings, icb))
    return store.select("person_id", "practice_code", "nhs_number").unique().collect()


def read_entered(settings: Settings, icb: str, *, as_of: dt.date) -> pl.DataFrame:
    """One row per practice: the day of the latest entry in its records before the as-of date."""
    return (
        pl.scan_parquet(settings.history / "events" / f"{icb}.parquet")
        .filter(pl.col("entered_date") < as_of)
        .group_by("practice_code")
        .agg(data_until=pl.col("entered_date").max())
        .sort("practice_code")
        .collect()
    )


def sync_tree(root: Path) -> None:
    """Returns once every file and folder under the root is on disk."""
    for path in [*root.rglob("*"), root]:
        sync(path)


def make_visible(releases: Path, aside: Path, *, as_of: dt.date, name: str) -> Path:
    """The visible folder: a link, switched by one rename, to the build that was written aside.

    Builds are named by their content. The build that was visible before stays, so that its readers can finish;
    older ones of the same date go.
    """
    date = as_of.isoformat()
    builds = releases / ".builds"
    builds.mkdir(exist_ok=True)
    build = builds / f"{date}-{name}"
    if build.exists():
        shutil.rmtree(aside)
    else:
        aside.rename(build)
    visible = releases / date
    before = visible.resolve() if visible.is_symlink() else None
    _link(visible, Path(".builds") / build.name)
    latest = max(path.name for path in releases.iterdir() if _is_date(path.name))
    _link(releases / "latest", Path(latest))
    sync(builds)
    sync(releases)
    for old in builds.glob(f"{date}-*"):
        if old not in (build, before):
            shutil.rmtree(old)
    return visible


def _link(link: Path, target: Path) -> None:
    """Points the link at the target by one rename, so that it always points somewhere whole."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target, target_is_directory=True)
    new.replace(link)


def _is_date(name: str) -> bool:
    try:
        dt.date.fromisoformat(name)
    except ValueError:
        return False
    return True
