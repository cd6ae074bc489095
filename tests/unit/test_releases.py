"""A release from tables to visible files: contents, refusals, crashes and verification."""

import datetime as dt
import fcntl
import hashlib
import json
import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openpyxl
import polars as pl
import pytest
import yaml
from openpyxl.worksheet.worksheet import Worksheet
from pydantic import ValidationError

from data_contracts.actions import load_actions
from data_contracts.codelists import codes_of
from data_contracts.registry import CONTRACTS
from data_contracts.sensitive import load_sensitive_sets
from data_contracts.tables.release import RELEASED
from pipelines.io.identity import IdentityError
from pipelines.io.releases import verify_release, write_release
from pipelines.io.releases.canary import find_identifiers
from pipelines.io.releases.diff import diff_releases
from pipelines.io.releases.manifest import contract_fingerprint
from pipelines.io.releases.options import ReleaseOptions, ReleaseRefusedError
from pipelines.io.releases.summary import _bars
from pipelines.io.releases.workbook import RISKY_STARTS, escape_cell
from pipelines.settings import Settings
from pipelines.steps.lists import build_target_lists
from tests.lib.release_frames import (
    AS_OF,
    PRACTICES,
    WEEKLY_NAMES,
    quality_row,
    valid,
    weekly_rows,
    weekly_tables,
    write_workspace,
)

PEOPLE = 3000
ROWS = weekly_rows(PEOPLE)
LISTS = build_target_lists(weekly_tables(ROWS), rules=load_actions(), previous=None)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A workspace with one release; tests of this fixture must not change it."""
    settings = write_workspace(tmp_path_factory.mktemp("whole"), ROWS, LISTS)
    write_release(settings, AS_OF)
    return settings


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """A workspace without a release, for tests that change it."""
    return write_workspace(tmp_path, ROWS, LISTS)


def contents(folder: Path) -> dict[str, str]:
    """Each file's name in the folder and its hash."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def numbers_of(release: Path, practice: str) -> list[str]:
    table = pl.read_csv(release / "practices" / practice / "target_list.csv", infer_schema=False)
    return [number.replace(" ", "") for number in table["NHS number"]]


def identity(settings: Settings) -> pl.DataFrame:
    return pl.read_parquet(settings.identity / "people" / "*.parquet")


def test_a_release_passes_its_independent_check(workspace: Settings) -> None:
    assert verify_release(workspace.releases / "latest") == []


def test_a_release_holds_a_folder_an_icb_and_a_list_a_practice(workspace: Settings) -> None:
    release = workspace.releases / AS_OF.isoformat()
    assert {folder.name for folder in (release / "icb").iterdir()} == set(PRACTICES.values())
    assert {folder.name for folder in (release / "practices").iterdir()} == set(PRACTICES)
    assert (workspace.releases / "latest").resolve() == release.resolve()


def test_icb_files_meet_their_contracts(workspace: Settings) -> None:
    for name, contract in RELEASED.items():
        for icb in set(PRACTICES.values()):
            contract.validate(pl.read_parquet(workspace.releases / "latest" / "icb" / icb / f"{name}.parquet"))


def test_nobody_is_told_to_be_homeless_in_an_icb_file(workspace: Settings) -> None:
    for icb in set(PRACTICES.values()):
        folder = workspace.releases / "latest" / "icb" / icb
        not_seen = pl.read_parquet(folder / "people_not_seen.parquet")
        assert set(not_seen["not_seen"]) == {"no_contact_12m|no_contact_24m"}
        assert set(not_seen["last_seen_month"]) == {"2023-02"}
        wide = pl.read_parquet(folder / "wide.parquet").drop_nulls("not_seen")
        assert sorted(wide["pseudonym"]) == sorted(not_seen["pseudonym"])


def test_no_identifier_stands_outside_the_identity_zone_and_the_practice_lists(workspace: Settings) -> None:
    store = identity(workspace)
    people = [*store["nhs_number"], *{"Zaphira", "Quillfeather"}]
    ids = [str(person) for person in store["person_id"]]
    release = workspace.releases / "latest"
    assert find_identifiers([release / "icb", release / "manifest.json"], people + ids) == {}
    assert find_identifiers([release / "practices"], ["Zaphira", "Quillfeather", *ids]) == {}
    assert len(find_identifiers([release / "practices"], people)) == 3 * len(PRACTICES)


def test_a_practice_sees_only_its_own_people(workspace: Settings) -> None:
    homes = dict(identity(workspace).select("nhs_number", "practice_code").rows())
    for practice in PRACTICES:
        found = numbers_of(workspace.releases / "latest", practice)
        assert found
        assert {homes[number] for number in found} == {practice}


def test_the_same_inputs_give_the_same_bytes(workspace: Settings, fresh: Settings) -> None:
    first = contents(workspace.releases / "latest")
    assert contents(write_release(fresh, AS_OF)) == first
    again = write_release(fresh, AS_OF)
    assert contents(again) == first
    assert len(list((fresh.releases / ".builds").iterdir())) == 1


def test_the_manifest_tells_hash_rows_and_data_age(workspace: Settings) -> None:
    release = workspace.releases / "latest"
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == {
        name: digest for name, digest in contents(release).items() if name != "manifest.json"
    }
    assert manifest["as_of_date"] == AS_OF.isoformat()
    assert set(manifest["data_until"].values()) == {"2026-11-07"}
    assert all(size >= 5 for size in manifest["smallest_group"].values())


def test_the_footer_of_a_cohort_file_says_its_date_data_and_versions(workspace: Settings) -> None:
    footer = pl.read_parquet_metadata(workspace.releases / "latest" / "icb" / "QWO" / "complex_care.parquet")
    assert footer["casefinder.as_of_date"] == AS_OF.isoformat()
    assert footer["casefinder.models"] == "avoidable_admission_12m 1"
    assert {"casefinder.contract", "casefinder.data_until", "casefinder.code_version"} <= set(footer)


def test_people_who_moved_away_since_are_left_out_of_the_list(fresh: Settings) -> None:
    path = fresh.identity / "people" / "QRL.parquet"
    store = pl.read_parquet(path)
    moved = LISTS.filter(pl.col("practice_code") == "B82001")["person_id"][0]
    store.with_columns(
        practice_code=pl.when(pl.col("person_id") == moved).then(pl.lit("A81001")).otherwise("practice_code")
    ).write_parquet(path)
    number = store.filter(pl.col("person_id") == moved)["nhs_number"][0]
    release = write_release(fresh, AS_OF)
    assert all(number not in numbers_of(release, practice) for practice in PRACTICES)


def test_a_type_1_opt_out_that_came_late_still_holds(fresh: Settings) -> None:
    opted_out = LISTS.filter(pl.col("practice_code") == "B82001")["person_id"][0]
    path = fresh.history / "events" / "QRL.parquet"
    events = pl.read_parquet(path)
    late = events.filter(pl.col("person_id") == opted_out).with_columns(
        concept_id=pl.lit(codes_of("type_1_opt_out")[0]), entered_date=pl.lit(AS_OF), event_date=None
    )
    pl.concat([events, late]).write_parquet(path)
    number = identity(fresh).filter(pl.col("person_id") == opted_out)["nhs_number"][0]
    whole = cohort_rows(write_release(fresh, AS_OF))
    assert number not in numbers_of(fresh.releases / "latest", "B82001")
    assert whole["QRL"] == cohort_members("QRL") - memberships(opted_out)


def test_a_type_1_opt_out_that_stayed_behind_in_another_icb_still_holds(fresh: Settings) -> None:
    opted_out = LISTS.filter(pl.col("practice_code") == "B82001")["person_id"][0]
    path = fresh.history / "events" / "QWO.parquet"
    events = pl.read_parquet(path)
    dissent = events.head(1).with_columns(
        person_id=pl.lit(opted_out), concept_id=pl.lit(codes_of("type_1_opt_out")[0])
    )
    pl.concat([events, dissent]).write_parquet(path)
    whole = cohort_rows(write_release(fresh, AS_OF))
    assert number_of(fresh, opted_out) not in numbers_of(fresh.releases / "latest", "B82001")
    assert whole["QRL"] == cohort_members("QRL") - memberships(opted_out)


@pytest.mark.parametrize(
    ("icb", "values"),
    [
        ("QWO", {"practice_code": "A81001", "registered_date": dt.date(2016, 1, 1)}),
        ("QWO", {"practice_code": "A81001", "death_date": dt.date(2026, 11, 1), "registration_type": "other"}),
        ("QRL", {"deregistered_date": dt.date(2026, 11, 1)}),
    ],
    ids=["moved to another ICB", "died, as another ICB knows", "left"],
)
def test_people_whose_registration_has_ended_since_are_left_out(
    fresh: Settings, icb: str, values: dict[str, object]
) -> None:
    gone = LISTS.filter(pl.col("practice_code") == "B82001")["person_id"][0]
    path, own = fresh.history / "registrations" / f"{icb}.parquet", pl.col("person_id") == gone
    held = pl.read_parquet(fresh.history / "registrations" / "QRL.parquet").filter(own)
    others = pl.read_parquet(path).filter(~own)
    changed = held.with_columns(pl.lit(value).alias(name) for name, value in values.items()).cast(others.schema)
    pl.concat([others, changed]).write_parquet(path)
    whole = cohort_rows(write_release(fresh, AS_OF))
    assert number_of(fresh, gone) not in numbers_of(fresh.releases / "latest", "B82001")
    assert whole["QRL"] == cohort_members("QRL") - memberships(gone)


def number_of(settings: Settings, person: int) -> str:
    return str(identity(settings).filter(pl.col("person_id") == person)["nhs_number"][0])


def test_what_a_week_holds_of_an_icb_without_people_is_not_released(fresh: Settings) -> None:
    for name in [*WEEKLY_NAMES, "target_lists", "list_leavers"]:
        part = fresh.tables / AS_OF.isoformat() / name / "QRL.parquet"
        part.with_stem("QZZ").write_bytes(part.read_bytes())
    store = fresh.identity / "people" / "QRL.parquet"
    store.with_stem("QZZ").write_bytes(store.read_bytes())
    release = write_release(fresh, AS_OF)
    assert {folder.name for folder in (release / "icb").iterdir()} == set(PRACTICES.values())


def test_a_file_that_breaks_its_contract_is_refused_without_its_values(fresh: Settings) -> None:
    path, number = week_part(fresh, "complex_care"), identity(fresh)["nhs_number"][0]
    pl.read_parquet(path).with_columns(ranked_by=pl.lit(number)).write_parquet(path)
    with pytest.raises(ReleaseRefusedError, match=r"complex_care .* contract: ranked_by breaks isin") as refused:
        write_release(fresh, AS_OF)
    assert number not in str(refused.value)


def test_people_whom_the_national_answer_does_not_name_leave_in_no_icb_file(fresh: Settings) -> None:
    listed = LISTS.filter(pl.col("practice_code") == "B82001")["person_id"][0]
    path = fresh.identity / "national_opt_out.parquet"
    pl.read_parquet(path).filter(pl.col("person_id") != listed).write_parquet(path)
    release = write_release(fresh, AS_OF)
    number = identity(fresh).filter(pl.col("person_id") == listed)["nhs_number"][0]
    assert number in numbers_of(release, "B82001")
    assert cohort_rows(release)["QRL"] == cohort_members("QRL") - memberships(listed)


def cohort_rows(release: Path) -> dict[str, int]:
    """Rows of complex care and lifestyle risk together, by ICB."""
    return {
        icb: sum(pl.read_parquet(release / "icb" / icb / f"{name}.parquet").height for name in FLAT)
        for icb in set(PRACTICES.values())
    }


FLAT = ["complex_care", "lifestyle_risk"]


def cohort_members(icb: str) -> int:
    return sum(PRACTICES[str(row["practice_code"])] == icb for name in FLAT for row in ROWS[name])


def memberships(person: int) -> int:
    return sum(row["person_id"] == person for name in FLAT for row in ROWS[name])


def drop_answer(settings: Settings) -> None:
    (settings.identity / "national_opt_out.parquet").unlink()


def change_answer(settings: Settings, *, days: int = 1, share: float = 1.0) -> None:
    path = settings.identity / "national_opt_out.parquet"
    answer = pl.read_parquet(path).with_columns(answered_date=pl.lit(AS_OF - dt.timedelta(days=days)))
    answer.head(int(answer.height * share)).write_parquet(path)


def empty(folder: Path) -> None:
    """Leaves no row in any file of the folder."""
    for path in folder.iterdir():
        pl.read_parquet(path).clear().write_parquet(path)


def week_part(settings: Settings, table: str) -> Path:
    return settings.tables / AS_OF.isoformat() / table / "QRL.parquet"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (drop_answer, "no national opt-out answer"),
        (lambda settings: change_answer(settings, days=8), "older than 7 days"),
        (lambda settings: change_answer(settings, share=0), "is empty"),
        (lambda settings: change_answer(settings, share=0.5), "short answer"),
        (lambda settings: settings.key_file.unlink(), "expected a key file"),
        (lambda settings: (settings.history / "events" / "QRL.parquet").unlink(), "expected events of every ICB"),
        (lambda settings: shutil.rmtree(settings.history / "registrations"), "nothing in .*registrations"),
        (lambda settings: (settings.identity / "people" / "QRL.parquet").unlink(), "identity store of QRL"),
        (lambda settings: empty(settings.identity / "people"), "has no approval"),
        (lambda settings: week_part(settings, "target_lists").unlink(), "target_lists of QRL is missing"),
    ],
    ids=[
        "no answer",
        "stale answer",
        "empty answer",
        "short answer",
        "no key",
        "no history",
        "no registrations",
        "no identity",
        "empty identity",
        "no list of an ICB",
    ],
)
def test_what_is_missing_stops_the_release_and_leaves_the_last_one(fresh: Settings, spoil: object, says: str) -> None:
    before = contents(write_release(fresh, AS_OF))
    spoil(fresh)
    with pytest.raises((ReleaseRefusedError, IdentityError, OSError), match=says):
        write_release(fresh, AS_OF)
    assert contents(fresh.releases / "latest") == before


def spoil_quality(settings: Settings, practice: str, verdict: str, measure: str) -> None:
    """Adds a row to the scorecard of a practice's ICB."""
    path = settings.tables / AS_OF.isoformat() / "data_quality" / f"{PRACTICES[practice]}.parquet"
    rows = pl.read_parquet(path)
    pl.concat([rows, pl.DataFrame([quality_row(practice, verdict, measure)], schema=rows.schema)]).write_parquet(path)


def test_a_stopped_practice_is_left_out_of_every_file_and_the_release_says_so(fresh: Settings) -> None:
    spoil_quality(fresh, "A81001", "stop", "list_size_difference")
    release = write_release(fresh, AS_OF)
    assert verify_release(release) == []
    assert {folder.name for folder in (release / "practices").iterdir()} == set(PRACTICES) - {"A81001"}
    for name in RELEASED:
        codes = pl.read_parquet(release / "icb" / "QWO" / f"{name}.parquet")["practice_code"].drop_nulls()
        assert set(codes) <= {"A81002"}, name
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    said = manifest["practices_with_a_warning"]["A81001"]
    assert said == {"verdict": "stop", "past": "list_size_difference", "data_as_of": "2026-11-08"}
    assert manifest["left_out"]["practice_stopped_for_data_quality"] > 0
    page = (release / "icb" / "QWO" / "quality.html").read_text("utf-8")
    assert "A81001" in page
    assert "left out of this week" in page


def test_a_list_of_a_practice_that_should_be_left_out_is_found(fresh: Settings) -> None:
    release = write_release(fresh, AS_OF)
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    manifest["practices_with_a_warning"] = {"A81001": {"verdict": "stop"}}
    (release / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert "practices/A81001 is there" in " ".join(verify_release(release))


def test_a_held_practice_keeps_its_list_with_its_date_on_every_row(fresh: Settings, workspace: Settings) -> None:
    spoil_quality(fresh, "A81001", "hold", "days_waiting")
    release = write_release(fresh, AS_OF)
    rows = pl.read_csv(release / "practices" / "A81001" / "target_list.csv", infer_schema=False)
    assert set(rows["Records known up to"]) == {"2026-11-08"}
    assert numbers_of(release, "A81001") == numbers_of(workspace.releases / "latest", "A81001")
    book = openpyxl.load_workbook(release / "practices" / "A81001" / "target_list.xlsx")
    cover = [cell.value for row in book["About this list"].iter_rows() for cell in row if cell.value]
    assert any("waits for a check" in str(text) for text in cover)
    assert "8 November 2026" in cover


def test_the_page_lists_the_same_people_and_verification_notices_if_not(fresh: Settings) -> None:
    release = write_release(fresh, AS_OF)
    page = release / "practices" / "A81001" / "target_list.html"
    text = page.read_text("utf-8")
    shown = re.findall(r'<th scope="row" class="number">([\d ]+)</th>', text)
    assert [number.replace(" ", "") for number in shown] == numbers_of(release, "A81001")
    page.write_text(text.replace(shown[0], shown[-1]), "utf-8")
    assert "practices/A81001: target_list.html and target_list.csv list different people" in verify_release(release)


def test_who_left_the_list_is_named_only_if_still_registered_here(fresh: Settings) -> None:
    listed = LISTS.filter(pl.col("practice_code") == "A81001")["person_id"]
    homes = dict(identity(fresh).select("person_id", "practice_code").rows())
    here = next(person for person, home in homes.items() if home == "A81001" and person not in listed)
    elsewhere = next(person for person, home in homes.items() if home == "B82001")
    path = fresh.tables / AS_OF.isoformat() / "list_leavers" / f"{PRACTICES['A81001']}.parquet"
    rows = [{"person_id": person, "reason": "others came first"} for person in (here, elsewhere)]
    valid("list_leavers", [row | {"practice_code": "A81001", "weeks_listed": 3} for row in rows]).write_parquet(path)
    release = write_release(fresh, AS_OF)
    book = openpyxl.load_workbook(release / "practices" / "A81001" / "target_list.xlsx")
    named = list(book["Left the list"].iter_rows(min_row=2, values_only=True))
    assert [(str(number).replace(" ", ""), *rest) for number, *rest in named] == [
        (number_of(fresh, here), 3, "others came first")
    ]
    assert verify_release(release) == []


def test_an_answer_of_seven_days_ago_is_fresh(fresh: Settings) -> None:
    change_answer(fresh, days=7)
    assert verify_release(write_release(fresh, AS_OF)) == []


def test_made_up_people_need_no_answer_when_the_options_say_so(fresh: Settings) -> None:
    drop_answer(fresh)
    options = ReleaseOptions(national_opt_out="none")
    assert verify_release(write_release(fresh, AS_OF, options=options)) == []


def test_a_week_without_tables_is_refused_with_what_to_run(fresh: Settings) -> None:
    change_answer(fresh, days=-6)
    with pytest.raises(ReleaseRefusedError, match="casefinder run --as-of 2026-11-23"):
        write_release(fresh, AS_OF + dt.timedelta(days=7))


@pytest.mark.parametrize("crash_at", [f"{AS_OF}-", f"{AS_OF}", "latest"])
def test_a_crash_at_any_rename_leaves_one_whole_release(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    before = contents(write_release(fresh, AS_OF))
    change_answer(fresh, days=2, share=0.99)
    real = os.rename

    def crash(source: str, target: str) -> None:
        name = Path(target).name
        if Path(target).is_relative_to(fresh.releases) and (name == crash_at or name[:-12] == crash_at):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", crash)
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            write_release(fresh, AS_OF)
    assert verify_release(fresh.releases / "latest") == []
    assert (contents(fresh.releases / "latest") == before) == (crash_at != "latest")
    assert contents(write_release(fresh, AS_OF)) != before


def test_whoever_reads_meanwhile_sees_one_whole_release_or_the_other(fresh: Settings) -> None:
    write_release(fresh, AS_OF)
    seen: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            root = (fresh.releases / "latest").resolve()
            manifest = json.loads((root / "manifest.json").read_bytes())
            wrong = [
                entry["path"]
                for entry in manifest["files"]
                if hashlib.sha256((root / entry["path"]).read_bytes()).hexdigest() != entry["sha256"]
            ]
            seen.append(f"{len(wrong)} of {root.name}")

    with ThreadPoolExecutor(max_workers=1) as pool:
        reader = pool.submit(read)
        for share in (0.99, 0.98):
            change_answer(fresh, days=2, share=share)
            write_release(fresh, AS_OF)
        ended.set()
        reader.result()
    assert {read.split()[0] for read in seen} == {"0"}
    assert len(set(seen)) > 1


def test_a_second_writer_is_told_to_wait(fresh: Settings) -> None:
    fresh.releases.mkdir()
    with (fresh.releases / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ReleaseRefusedError, match="another run is writing"):
            write_release(fresh, AS_OF)


def test_an_older_week_made_again_does_not_move_latest(fresh: Settings) -> None:
    later = AS_OF + dt.timedelta(days=7)
    (fresh.tables / later.isoformat()).symlink_to(fresh.tables / AS_OF.isoformat())
    change_answer(fresh, days=-6)
    write_release(fresh, later)
    write_release(fresh, AS_OF)
    assert (fresh.releases / "latest").resolve().name.startswith(later.isoformat())


def make_real(settings: Settings) -> None:
    """Takes one number of an ICB out of the range of made-up people; it is no valid NHS number either."""
    path = settings.identity / "people" / "QRL.parquet"
    store = pl.read_parquet(path)
    first = pl.col("nhs_number") == pl.col("nhs_number").min()
    store.with_columns(nhs_number=pl.when(first).then(pl.lit("0000000001")).otherwise("nhs_number")).write_parquet(
        path
    )


def approve(settings: Settings, **changes: object) -> None:
    """Records an approval of every output of QRL, as changed."""
    approved = {"fingerprint": "", "approved_by": ["Caldicott Guardian", "Senior information risk owner"]}
    outputs = {
        name: approved | {"fingerprint": contract_fingerprint(contract)} for name, contract in RELEASED.items()
    }
    usual = {"reference": "R1", "valid_from": "2026-04-01", "valid_until": AS_OF.isoformat(), "outputs": outputs}
    (settings.home / "approvals.yaml").write_text(yaml.safe_dump({"QRL": usual | changes}), encoding="utf-8")


def sign_sensitive_sets(settings: Settings) -> None:
    """Records a decision for each of the six sets, so that no reference set is needed."""
    signed = {"reviewer": "A. Guardian", "reason": "test", "decided_on": AS_OF, "expires_on": AS_OF}
    (settings.home / "sensitive_sets.yaml").write_text(
        yaml.safe_dump(dict.fromkeys(load_sensitive_sets(), signed)), encoding="utf-8"
    )


def test_real_people_need_an_approval_on_record(fresh: Settings) -> None:
    make_real(fresh)
    with pytest.raises(ReleaseRefusedError, match="QRL has no approval"):
        write_release(fresh, AS_OF)
    approve(fresh)
    sign_sensitive_sets(fresh)
    manifest = json.loads((write_release(fresh, AS_OF) / "manifest.json").read_text("utf-8"))
    assert manifest["approvals"] == {"QRL": "R1", "QWO": "none: made-up people"}


def test_real_peoples_sensitive_codes_must_be_known_whole(fresh: Settings) -> None:
    make_real(fresh)
    approve(fresh)
    with pytest.raises(ReleaseRefusedError, match=r"no reference set of gender, .*gender_recognition_act"):
        write_release(fresh, AS_OF)
    assert not (fresh.releases / "latest").exists()


@pytest.mark.parametrize(
    ("answered", "says"),
    [(-8, "older than 7 days on 2026-11-25"), (-7, None), (0, None), (1, "so its age cannot be told")],
)
def test_real_peoples_answer_is_fresh_on_the_day_of_disclosure(
    fresh: Settings, answered: int, says: str | None
) -> None:
    make_real(fresh)
    approve(fresh)
    sign_sensitive_sets(fresh)
    today = AS_OF + dt.timedelta(days=9)
    change_answer(fresh, days=-9 - answered)
    if says is None:
        assert verify_release(write_release(fresh, AS_OF, disclosed_on=today)) == []
    else:
        with pytest.raises(ReleaseRefusedError, match=says):
            write_release(fresh, AS_OF, disclosed_on=today)


def test_real_people_never_do_without_the_national_answer(fresh: Settings) -> None:
    make_real(fresh)
    approve(fresh)
    with pytest.raises(ReleaseRefusedError, match="for made-up people only"):
        write_release(fresh, AS_OF, options=ReleaseOptions(national_opt_out="none"))
    with pytest.raises(ValidationError):
        ReleaseOptions(answer_days=8)


def test_the_opt_out_ledger_is_exact_for_analysts_and_rounded_where_it_leaves(fresh: Settings) -> None:
    gone = ROWS["people"][:23]
    paused = pl.DataFrame({"practice_code": ["B82001"], "paused_from": [AS_OF]})
    paused.write_parquet(fresh.history / "paused_practices.parquet")
    here = [row["person_id"] for row in gone if row["practice_code"] != "B82001"]
    path = fresh.identity / "national_opt_out.parquet"
    pl.read_parquet(path).filter(~pl.col("person_id").is_in(here)).write_parquet(path)
    release = write_release(fresh, AS_OF)
    ledger = pl.concat(
        [
            pl.read_parquet(fresh.tables / AS_OF.isoformat() / "opt_out_ledger" / f"{icb}.parquet")
            for icb in ("QWO", "QRL")
        ]
    )
    CONTRACTS["opt_out_ledger"].validate(ledger)
    exact = dict(ledger.filter(stage="release").group_by("rule").agg(pl.col("people").sum()).rows())
    everyone = sum(row["practice_code"] == "B82001" for row in ROWS["people"])
    assert exact == {"sharing_paused": everyone, "national_opt_out": len(here)}
    assert not (release / "practices" / "B82001").exists()
    shown = pl.read_csv(release / "icb" / "QWO" / "opt_outs.csv")
    rounded = (len(here) + 2) // 5 * 5
    assert shown.drop_nulls("people").rows() == [("national_opt_out", rounded)]
    assert json.loads((release / "manifest.json").read_text("utf-8"))["left_out"]["national_opt_out"] == rounded
    assert verify_release(release) == []


def test_two_releases_never_differ_by_fewer_people_than_may_be_shown(fresh: Settings) -> None:
    path = fresh.identity / "national_opt_out.parquet"
    answer = pl.read_parquet(path)
    people = [row["person_id"] for row in ROWS["people"] if PRACTICES[row["practice_code"]] == "QWO"]
    told = []
    for gone in (12, 16, 19, 21):
        answer.filter(~pl.col("person_id").is_in(people[:gone])).write_parquet(path)
        release = write_release(fresh, AS_OF)
        told.append(pl.read_csv(release / "icb" / "QWO" / "opt_outs.csv").drop_nulls("people")["people"].to_list())
        assert verify_release(release) == []
    counts = pl.read_parquet(fresh.tables / AS_OF.isoformat() / "told_counts" / "QWO.parquet")
    CONTRACTS["told_counts"].validate(counts)
    assert told == [[10], [10], [10], [20]]
    assert counts.filter(figure="opt_outs|national_opt_out|people")["counted"].to_list() == [21]
    later = AS_OF + dt.timedelta(days=7)
    shutil.copytree(fresh.tables / AS_OF.isoformat(), fresh.tables / later.isoformat())
    (fresh.tables / later.isoformat() / "told_counts" / "QWO.parquet").unlink()
    answer.filter(~pl.col("person_id").is_in(people[:28])).write_parquet(path)
    change_answer(fresh, days=-7)
    next_week = write_release(fresh, later)
    assert pl.read_csv(next_week / "icb" / "QWO" / "opt_outs.csv").drop_nulls("people")["people"].to_list() == [20]


ONE = {"complex_care": {"fingerprint": contract_fingerprint(RELEASED["complex_care"]), "approved_by": ["one", "one"]}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"valid_until": "2026-11-15"}, "not on 2026-11-16"),
        ({"valid_from": "2026-11-17"}, "not on 2026-11-16"),
        ({"outputs": {}}, "2 people must approve the first use of complex_care"),
        ({"outputs": ONE}, "2 people must approve the first use of complex_care"),
        ({"outputs": {"complex_care": {"fingerprint": "old", "approved_by": ["one", "two"]}}}, "complex_care"),
        ({"valid_for": "ever"}, "cannot be read as approvals"),
    ],
    ids=["ended", "not begun", "no output", "one person twice", "older shape", "unknown entry"],
)
def test_an_approval_that_does_not_cover_the_release_stops_it(
    fresh: Settings, changes: dict[str, object], says: str
) -> None:
    make_real(fresh)
    approve(fresh, **changes)
    with pytest.raises(ReleaseRefusedError, match=says):
        write_release(fresh, AS_OF)
    assert not (fresh.releases / "latest").exists()


def test_a_diff_tells_who_joined_and_left(fresh: Settings) -> None:
    first = write_release(fresh, AS_OF).resolve()
    assert set(diff_releases(first, first)["change"]) == {"same"}
    path = fresh.tables / AS_OF.isoformat() / "target_lists" / "QRL.parquet"
    pl.read_parquet(path).filter(pl.col("rank") > 1).write_parquet(path)
    cohort = path.parents[1] / "complex_care" / "QRL.parquet"
    pl.read_parquet(cohort).head(-2).write_parquet(cohort)
    rows = {path: rest for path, *rest in diff_releases(first, write_release(fresh, AS_OF)).rows()}
    assert rows["icb/QRL/complex_care.parquet"][-2:] == [0, 2]
    assert rows["icb/QRL/tables.csv"][-2:] == [None, None]
    assert rows["practices/A81001/target_list.csv"][0] == "same"
    before, after = rows["practices/B82001/target_list.csv"][1:3]
    assert rows["practices/B82001/target_list.csv"] == ["changed", before, before - 1, 0, 1]
    assert after == before - 1


def test_only_whole_releases_are_compared(workspace: Settings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a whole release"):
        diff_releases(tmp_path, workspace.releases / "latest")


def page_of(workspace: Settings, practice: str = "A81001") -> openpyxl.Workbook:
    return openpyxl.load_workbook(workspace.releases / "latest" / "practices" / practice / "target_list.xlsx")


def list_sheet(book: openpyxl.Workbook) -> Worksheet:
    return book["Target list"]


def test_every_cell_of_a_workbook_is_text_or_a_number(workspace: Settings) -> None:
    for sheet in page_of(workspace):
        assert {cell.data_type for row in sheet for cell in row if cell.value is not None} <= {"s", "n"}
        assert not sheet._hyperlinks


def test_nhs_numbers_are_text_in_three_parts(workspace: Settings) -> None:
    sheet = list_sheet(page_of(workspace))
    cells = [row[1] for row in sheet.iter_rows(min_row=2)]
    assert all(cell.data_type == "s" and re.fullmatch(r"\d{3} \d{3} \d{4}", cell.value) for cell in cells)


def test_the_list_is_frozen_filtered_and_prints_on_a4_landscape(workspace: Settings) -> None:
    sheet = list_sheet(page_of(workspace))
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == f"A1:M{sheet.max_row}"
    assert (sheet.page_setup.paperSize, sheet.page_setup.orientation) == (9, "landscape")
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (None, 0)
    assert sheet.print_title_rows == "$1:$1"


def test_decisions_come_from_a_drop_down(workspace: Settings) -> None:
    (decision, day) = list_sheet(page_of(workspace)).data_validations.dataValidation
    assert decision.formula1.strip('"').split(",") == [decision.name for decision in load_actions().decisions]
    assert day.type == "date"


def test_the_cover_says_intended_use_capacity_and_dates(workspace: Settings) -> None:
    text = " ".join(str(cell.value) for row in page_of(workspace)["About this list"] for cell in row)
    rules = load_actions()
    for words in [rules.intended_use, *rules.not_for, "A81001 Surgery", "16 November 2026", "7 November 2026"]:
        assert words in text
    assert "5 places per 1,000 people" in text


def test_workbook_properties_hold_no_clock(workspace: Settings) -> None:
    assert page_of(workspace).properties.created.date() == AS_OF


@pytest.mark.parametrize("trigger", RISKY_STARTS, ids=[f"U+{ord(start):04X}" for start in RISKY_STARTS])
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000"], ids=["bare", "space", "hard space", "wide space"])
def test_no_text_can_run_in_a_csv_cell(trigger: str, before: str) -> None:
    hostile = f"{before}{trigger}cmd|' /C calc'!A0"
    assert escape_cell(hostile) == f"'{hostile}"


@pytest.mark.parametrize("harmless", ["999 123 4567", "a=b", "• bowel screening", "", "16", "it's"])
def test_harmless_text_stays_as_it_is(harmless: str) -> None:
    assert escape_cell(harmless) == harmless


def test_the_summary_is_whole_and_shows_only_safe_counts(workspace: Settings) -> None:
    page = (workspace.releases / "latest" / "icb" / "QWO" / "summary.html").read_text("utf-8")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    figures = [int(figure.replace(",", "")) for figure in re.findall(r'class="figure">([\d,]+)\+?<', page)]
    assert figures
    assert all(figure % 5 == 0 and figure >= 10 for figure in figures)
    assert page.count("<svg") >= 1


def test_large_round_counts_are_drawn_in_full() -> None:
    counts = pl.DataFrame({"group": ["nurse", "GP"], "value": [100_000, 10_000]})
    chart = _bars(counts, "Whom this week's places reach", "people")
    assert chart is not None
    assert {">100,000<", ">10,000<"} <= set(re.findall(r">[\d,e+]+<", chart.svg))
    assert "e+" not in chart.svg
