"""Small made-up weekly tables, an identity store and a workspace for tests of lists and releases."""

import datetime as dt
import random
from pathlib import Path

import polars as pl

from data_contracts.codelists import codes_of
from data_contracts.registry import CONTRACTS
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from pipelines.steps.lists import WeeklyTables

AS_OF = dt.date(2026, 11, 16)
PRACTICES = {"A81001": "QWO", "A81002": "QWO", "B82001": "QRL"}


def schema_of(table: str) -> dict[str, pl.DataType]:
    """Column types of a table, as its contract states them."""
    columns = CONTRACTS[table].to_schema().columns
    return {name: column.dtype.type for name, column in columns.items()}


def frame(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """The rows as a frame with the contract's columns and types; columns not given are null."""
    return pl.DataFrame(rows, schema=schema_of(table), orient="row")


def valid(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """The rows as a frame that has passed its contract."""
    made = frame(table, rows)
    CONTRACTS[table].validate(made, lazy=True)
    return made


def nhs_number_of(number: int) -> str | None:
    """A made-up NHS number in the 999 range, or None where the check digit would be 10."""
    stem = f"999{number:06d}"
    check = -sum(int(digit) * weight for digit, weight in zip(stem, range(10, 1, -1), strict=True)) % 11
    return None if check == 10 else f"{stem}{check}"


def nhs_numbers(count: int) -> list[str]:
    """The first made-up NHS numbers with a valid check digit."""
    found = (nhs_number_of(number) for number in range(count * 2))
    return [number for number in found if number][:count]


def weekly_rows(people: int, *, seed: int = 7) -> dict[str, list[dict[str, object]]]:
    """Rows of every weekly table for a made-up population spread over PRACTICES."""
    chance = random.Random(seed)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in WEEKLY_NAMES}
    for number in range(people):
        _add_person(rows, person_id=(number + 1) * 0x9E3779B97F4A7C15 % 2**63, chance=chance)
    rows["data_quality"] = [quality_row(practice) for practice in PRACTICES]
    ranked = sorted(rows["risk_scores"], key=lambda row: (-row["raw_score"], row["person_id"]))
    scores = {row["person_id"]: row for row in rows["cambridge_scores"]}
    members = {row["person_id"]: row for row in rows["people"]}
    for rank, row in enumerate(ranked[: max(1, people // 40)], start=1):
        person = members[row["person_id"]]
        rows["complex_care"].append(
            {
                "person_id": row["person_id"],
                "practice_code": person["practice_code"],
                "rank": rank,
                "ranked_by": "risk_avoidable_admission_12m",
                "score": row["raw_score"],
                "cambridge_score": scores[row["person_id"]]["cambridge_score"],
                "age_years": person["age_years"],
                "was_member": False,
                "is_held_over": False,
            }
        )
    for practice in PRACTICES:
        flagged = [row for row in rows["lifestyle_flags"] if row["flag_count"]]
        here = [row for row in flagged if members[row["person_id"]]["practice_code"] == practice]
        here.sort(key=lambda row: (-row["flag_count"], row["person_id"]))
        for rank, row in enumerate(here, start=1):
            rows["lifestyle_risk"].append(
                {
                    "person_id": row["person_id"],
                    "practice_code": practice,
                    "rank": rank,
                    "treatment_gaps": 0,
                    "flag_count": row["flag_count"],
                }
            )
    return rows


WEEKLY_NAMES = [
    "people",
    "conditions",
    "measurements",
    "person_features",
    "cambridge_scores",
    "lifestyle_flags",
    "risk_scores",
    "risk_reasons",
    "complex_care",
    "programme_records",
    "programme_states",
    "non_responders",
    "people_not_seen",
    "lifestyle_risk",
    "care_owed",
    "data_quality",
]


def quality_row(practice: str, verdict: str = "ok", measure: str = "days_since_delivery") -> dict[str, object]:
    """One row of the scorecard: a delivery eight days before the as-of date."""
    data_as_of = AS_OF - dt.timedelta(days=8)
    row = {"practice_code": practice, "feed": "emis", "measure": measure, "value": 8.0}
    return row | {"verdict": verdict, "data_as_of": data_as_of}


def _add_person(rows: dict[str, list[dict[str, object]]], *, person_id: int, chance: random.Random) -> None:
    practice = chance.choice(list(PRACTICES))
    age = chance.randint(16, 94)
    rows["people"].append(
        {
            "person_id": person_id,
            "practice_code": practice,
            "icb_code": PRACTICES[practice],
            "registered_date": dt.date(2015, 4, 1),
            "birth_date": dt.date(2026 - age, 1, 1 + person_id % 28),
            "age_years": age,
            "sex": chance.choice(["female", "male"]),
            "ethnic_group": chance.choice(["A", "H", "M", None]),
            "imd_decile": chance.choice([1, 3, 5, 8, 10, None]),
        }
    )
    rows["cambridge_scores"].append(
        {
            "person_id": person_id,
            "cambridge_score": round(chance.random() * 4, 2),
            "cambridge_mortality_score": 3.0,
            "condition_count": 2,
            "conditions": "copd|heart_failure",
        }
    )
    rows["conditions"].append(
        {
            "person_id": person_id,
            "condition": "heart_failure",
            "first_date": dt.date(2019, 3, 4),
            "latest_date": dt.date(2024, 1, 2),
            "is_unresolved": True,
        }
    )
    admissions = float(chance.randint(0, 4))
    rows["person_features"].append(
        {"person_id": person_id, "feature": "emergency_admissions_12m", "value": admissions}
    )
    risk = chance.random() / 2
    rows["risk_scores"].append(
        {
            "person_id": person_id,
            "raw_score": risk - 4,
            "risk_avoidable_admission_12m": risk,
            "model_version": "avoidable_admission_12m 1",
        }
    )
    parts = "age_years=1.20|emergency_admissions_12m=0.93|has_heart_failure=0.71|hiv=0.40"
    rows["risk_reasons"].append({"person_id": person_id, "reasons": parts})
    if chance.random() < 0.3:
        state = chance.choice(["did_not_respond", "declined", "up_to_date"])
        rows["programme_states"].append(gap_of(person_id, practice, state=state, is_gap=state == "did_not_respond"))
        rows["programme_records"].append(
            {"person_id": person_id, "programme": "bowel", "rule_number": 0, "first_due_date": dt.date(2024, 3, 12)}
            | {"doses": 0, "is_excluded": False, "is_done_elsewhere": False, "is_clear": False}
        )
        if state == "did_not_respond":
            rows["non_responders"].append(
                {
                    "person_id": person_id,
                    "practice_code": practice,
                    "rank": person_id,
                    "priority": 2000,
                    "gap_count": 1,
                    "gaps": "bowel",
                    "days_overdue": 979,
                    "answered_before": 0,
                    "asked_before": 1,
                }
            )
    # Not drawn, so that all else stays as it was.
    if person_id % 10 == 0:
        reasons = ["no_contact_24m|no_contact_12m", "homeless|no_contact_24m|no_contact_12m", "homeless"]
        rows["people_not_seen"].append(
            {
                "person_id": person_id,
                "practice_code": practice,
                "rank": person_id,
                "priority": 4,
                "reasons": reasons[person_id // 10 % 3],
                "registered_date": dt.date(2015, 4, 1),
                "last_seen_date": dt.date(2023, 2, 3),
                "not_seen_since": dt.date(2023, 2, 3),
                "last_trace_date": dt.date(2026, 5, 3),
                "last_trace": "an entry",
                "is_possible_ghost": False,
            }
        )
    pressure = chance.random() < 0.25
    rows["lifestyle_flags"].append(
        {
            "person_id": person_id,
            "has_raised_blood_pressure": pressure,
            "systolic_bp": 164.0 if pressure else 121.0,
            "diastolic_bp": 98.0 if pressure else 70.0,
            "blood_pressure_date": dt.date(2026, 5, 3),
            "is_on_statin": False,
            "is_on_blood_pressure_medicine": False,
            "has_hypertension": False,
            "has_cardiovascular_disease": False,
            "treatment_gaps": 0,
            "flag_count": int(pressure),
        }
    )


def gap_of(person_id: int, practice: str, **values: object) -> dict[str, object]:
    """One row of programme_states: an unanswered bowel screening kit, unless the values say otherwise."""
    usual = {
        "programme": "bowel",
        "event": "bowel screening kit",
        "state": "did_not_respond",
        "grade": "coded",
        "due_date": dt.date(2024, 3, 12),
        "days_overdue": 979,
        "invitations": 0,
        "is_covered": False,
        "is_gap": True,
    }
    return {"person_id": person_id, "practice_code": practice} | usual | values


def weekly_tables(rows: dict[str, list[dict[str, object]]]) -> WeeklyTables:
    """The rows as the tables that lists are made from, contracts checked."""
    names = [name for name in WEEKLY_NAMES if name not in ("cambridge_scores", "programme_records")]
    return WeeklyTables(**{name: valid(name, rows[name]).lazy() for name in names})


def write_workspace(home: Path, rows: dict[str, list[dict[str, object]]], lists: pl.DataFrame) -> Settings:
    """Settings of a workspace whose tables, identity zone, key and opt-out answer are written from the rows."""
    settings = Settings(home=home)
    people = valid("people", rows["people"])
    homes = people.select("person_id", "practice_code", "icb_code")
    waiting = [{"practice_code": practice, "role": "nurse", "listed": 0, "waiting": 12} for practice in PRACTICES]
    made = {"target_lists": lists, "list_capacity": valid("list_capacity", waiting)}
    for name in [*WEEKLY_NAMES, "list_leavers", "avoidable_admissions", *made]:
        table = made[name] if name in made else valid(name, rows.get(name, []))
        key = "practice_code" if name in ("data_quality", "list_capacity") else "person_id"
        for icb in homes["icb_code"].unique().sort():
            part = table.join(homes.filter(pl.col("icb_code") == icb).select(key), on=key, how="semi")
            _write(part, settings.tables / AS_OF.isoformat() / name / f"{icb}.parquet")
    for icb in homes["icb_code"].unique().sort():
        _write(
            frame("closed_practices", []), settings.tables / AS_OF.isoformat() / "closed_practices" / f"{icb}.parquet"
        )
    _write_identity(settings, people)
    _write_history(settings, people)
    build_tables(Warehouse(settings), AS_OF, upto="eligibility")
    settings.key_file.parent.mkdir(parents=True)
    settings.key_file.write_text(bytes(range(32)).hex() + "\n", encoding="ascii")
    return settings


def _write_identity(settings: Settings, people: pl.DataFrame) -> None:
    numbered = people.with_columns(nhs_number=pl.Series(nhs_numbers(people.height)))
    for (icb,), part in numbered.group_by("icb_code"):
        store = part.select(
            "nhs_number",
            "person_id",
            "practice_code",
            "birth_date",
            given_name=pl.lit("Zaphira"),
            surname=pl.lit("Quillfeather"),
            registered_date="registered_date",
        )
        _write(store, settings.identity / "people" / f"{icb}.parquet")
    allowed = people.select("person_id", answered_date=pl.lit(AS_OF - dt.timedelta(days=1)))
    _write(allowed, settings.identity / "national_opt_out.parquet")


def _write_history(settings: Settings, people: pl.DataFrame) -> None:
    practices = [
        {
            "practice_code": practice,
            "practice_name": f"{practice} Surgery",
            "pcn_code": "U00001",
            "icb_code": icb,
            "icb_name": f"{icb} Integrated Care Board",
            "status": "active",
        }
        for practice, icb in PRACTICES.items()
    ]
    _write(valid("practices", practices), settings.history / "practices.parquet")
    concept = codes_of("bmi")[0]
    for (icb,), part in people.group_by("icb_code"):
        events = [
            {
                "practice_code": row["practice_code"],
                "person_id": row["person_id"],
                "event_date": AS_OF - dt.timedelta(days=9),
                "entered_date": AS_OF - dt.timedelta(days=9),
                "concept_id": concept,
                "value": 24.0,
            }
            for row in part.rows(named=True)
        ]
        _write(valid("events", events), settings.history / "events" / f"{icb}.parquet")
        held = part.select("practice_code", "person_id", "registered_date", "birth_date", "sex").rows(named=True)
        registrations = [row | {"registration_type": "regular"} for row in held]
        _write(valid("registrations", registrations), settings.history / "registrations" / f"{icb}.parquet")


def _write(table: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
