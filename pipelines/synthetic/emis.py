"""Writes made-up people as an EMIS bulk extract: one folder a practice, the suppliers' names, quotes and quirks."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from data_contracts.tables.history import CONTACT_KINDS
from pipelines.synthetic.gp_records import NO_VALUE, Entries
from pipelines.synthetic.identifiers import guids, nhs_numbers
from pipelines.synthetic.patient_records import cancelled, dates, patient_details, patient_numbers, undated
from pipelines.synthetic.population import Memberships, Population, at_practices, memberships
from pipelines.synthetic.world import Ints, read_table

PARENT_CODE_ID = 1_000_000


def columns_of(table: str) -> list[str]:
    """The columns of one EMIS table, in the order of version 8."""
    return str(read_table("emis_tables").filter(table=table)["columns"].item()).split("|")


def write_emis(population: Population, folder: Path, practices: Iterable[int], *, processing_id: int = 1) -> None:
    """One file per table and practice asked for, under ``folder/<practice code>/``."""
    members = memberships(population)
    tables = {
        **_people(population, members),
        **_observations(population, members),
        **_medicines(population, members),
        **_contacts(population, members),
    }
    for practice in practices:
        own = {name: table.filter(practice=practice).drop("practice") for name, table in tables.items()}
        _write_practice(population, practice, own | _places(population, practice), folder, processing_id)


def _write_practice(
    population: Population, practice: int, tables: dict[str, pl.DataFrame], folder: Path, processing_id: int
) -> None:
    """The fixed set of tables of one practice; those we have nothing for hold their header."""
    plan = population.plan
    code = plan.practices["practice_code"][practice]
    agreement = guids(plan.seed, "agreement", np.array([0]))[0]
    stamp = dt.datetime.combine(plan.anchor, dt.time(2, 30)).strftime("%Y%m%d%H%M%S")
    target = folder / code
    target.mkdir(parents=True, exist_ok=True)
    organisation = guids(plan.seed, "organisation", np.array([practice]))[0]
    for name in read_table("emis_tables")["table"]:
        filled = tables.get(name, pl.DataFrame())
        frame = _laid_out(name, filled, organisation, processing_id)
        file = target / f"{processing_id}_{name}_{stamp}_{agreement.strip('{}')}.csv"
        frame.write_csv(file, quote_style="always", line_terminator="\r\n", null_value="")


def _laid_out(name: str, filled: pl.DataFrame, organisation: str, processing_id: int) -> pl.DataFrame:
    """All columns of the table as text, in order; what was not filled is empty."""
    constants = {
        "OrganisationGuid": organisation,
        "Deleted": "false",
        "ProcessingId": str(processing_id),
        "IsConfidential": "false",
        "EffectiveDatePrecision": "YMD",
    }
    chosen = [
        pl.col(column).cast(pl.String)
        if column in filled.columns
        else pl.lit(constants.get(column, "")).alias(column)
        for column in columns_of(name)
    ]
    if not filled.height:
        return pl.DataFrame(schema=dict.fromkeys(columns_of(name), pl.String))
    return filled.select(chosen)


def _people(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Admin_Patient: one row per patient and practice, with dummies and sensitive patients among them."""
    people, plan = population.people, population.plan
    who, details = members.person, patient_details(population, members)
    frame = pl.DataFrame(
        {
            "practice": members.practice,
            "PatientGuid": guids(plan.seed, "patient", patient_numbers(population, members)),
            "UsualGpUserInRoleGuid": guids(plan.seed, "user", members.practice),
            "Sex": np.where(people.is_male[who], "M", "F"),
            "DateOfBirth": dates(people.birth_day[who]),
            "DateOfDeath": dates(details.death_day),
            "Title": np.where(people.is_male[who], "Mr", "Ms"),
            "GivenName": details.given,
            "Surname": details.surname,
            "DateOfRegistration": dates(members.registered_day),
            "NhsNumber": nhs_numbers(people.index[who], plan.seed),
            "PatientNumber": np.arange(1, members.count + 1),
            "PatientTypeDescription": np.where(members.is_temporary, " Temporary", " Regular"),
            "DummyType": np.where(details.is_dummy, "true", "false"),
            "NumberAndStreet": details.street,
            "Postcode": details.postcode,
            "PersonGuid": guids(plan.seed, "person", people.index[who]),
            "DateofDeactivation": dates(members.deregistered_day),
            "SpineSensitive": np.where(details.is_sensitive, "true", "false"),
            "IsConfidential": np.where(details.is_confidential, "true", "false"),
        }
    )
    return {"Admin_Patient": frame.rename({"DateofDeactivation": _deactivation()})}


def _deactivation() -> str:
    """How this version spells the deactivation date."""
    return next(column for column in columns_of("Admin_Patient") if column.lower() == "dateofdeactivation")


def _code_ids(population: Population) -> pl.Series:
    """EMIS's own code id of every concept in use."""
    return pl.Series(np.arange(len(population.coding.concept_ids)) + 1_000_001)


def _observations(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """CareRecord_Observation, blood pressures as children of one reading in either order; problems beside it."""
    record, found = at_practices(population, members, population.events)
    frame = _entry_frame(population, members, record, found, "observation")
    is_undated = undated(population, len(record))
    frame = frame.with_columns(
        EffectiveDate=pl.when(pl.Series(~is_undated)).then("EffectiveDate"),
        EffectiveDatePrecision=pl.when(pl.Series(is_undated)).then(pl.lit("U")).otherwise(pl.lit("YMD")),
        ObservationGuid=pl.col("guid"),
        Value=pl.Series(found.value).fill_nan(None).cast(pl.Float64).round(1).cast(pl.String).str.strip_suffix(".0"),
        NumericUnit=pl.Series(population.coding.units)
        .gather(found.code.astype(np.int64))
        .set(pl.Series(found.tenths == NO_VALUE), None),
        ObservationType=pl.when(pl.Series(~np.isnan(found.value)))
        .then(pl.lit("Value"))
        .otherwise(pl.lit("Observation")),
    )
    frame = _with_pressure_parents(population, frame, found)
    problems = _problem_codes(population)
    return {
        "CareRecord_Observation": frame,
        "CareRecord_Problem": frame.filter(pl.col("CodeId").is_in(problems.implode())).select(
            "practice",
            "ObservationGuid",
            "PatientGuid",
            ProblemStatusDescription=pl.lit("Active Problem"),
            SignificanceDescription=pl.lit("Significant Problem"),
        ),
    }


def _problem_codes(population: Population) -> pl.Series:
    """Code ids that stand for long-term conditions."""
    ids, coding = _code_ids(population), population.coding
    runs = [coding.codelists[name] for name in population.world.conditions.names]
    return ids.gather([row for first, number in runs for row in range(first, first + number)])


def _with_pressure_parents(population: Population, frame: pl.DataFrame, found: Entries) -> pl.DataFrame:
    """The frame with a parent row above each pair of pressures; some pairs come diastolic first."""
    coding = population.coding
    pair = [coding.first("systolic_bp"), coding.first("diastolic_bp")]
    is_pressure = pl.Series(np.isin(found.code, pair))
    key = ["PatientGuid", "EffectiveDate"]
    children = frame.filter(is_pressure)
    parents = children.unique(subset=key, keep="first", maintain_order=True)
    made = guids(population.plan.seed, "pressure", np.arange(parents.height) + (population.chunk.number << 40))
    parents = parents.with_columns(
        ObservationGuid=pl.Series(made),
        CodeId=pl.lit(PARENT_CODE_ID, dtype=pl.Int64),
        Value=pl.lit(None, dtype=pl.String),
        NumericUnit=pl.lit(None, dtype=pl.String),
        ObservationType=pl.lit("Observation"),
    )
    named = parents.select(*key, ParentObservationGuid="ObservationGuid")
    children = children.join(named, on=key, how="left", validate="m:1", maintain_order="left", nulls_equal=True)
    turned = children.with_columns(turn=pl.col("ObservationGuid").str.slice(1, 1) < "5")
    turned = turned.sort(
        "practice",
        "PatientGuid",
        "EffectiveDate",
        pl.col("CodeId") * pl.when("turn").then(-1).otherwise(1),
        maintain_order=True,
    )
    others = frame.filter(~is_pressure)
    return pl.concat([others, parents, turned.drop("turn")], how="diagonal")


def _entry_frame(
    population: Population, members: Memberships, record: Ints, found: Entries, kind: str
) -> pl.DataFrame:
    """What all kinds of entry share: guid, patient, dates, people, code."""
    plan = population.plan
    number = np.arange(len(record)) + (population.chunk.number << 40)
    patients = pl.Series(guids(plan.seed, "patient", patient_numbers(population, members)))
    users = pl.Series(guids(plan.seed, "user", members.practice))
    entered = found.day + found.delay.astype(np.int32)
    return pl.DataFrame(
        {
            "practice": members.practice[record],
            "guid": guids(plan.seed, kind, number),
            "PatientGuid": patients.gather(record),
            "EffectiveDate": dates(found.day),
            "EnteredDate": dates(entered),
            "EnteredTime": pl.Series(["09:15:00", "11:40:00", "14:05:00", "16:30:00"]).gather(number % 4),
            "ClinicianUserInRoleGuid": users.gather(record),
            "EnteredByUserInRoleGuid": users.gather(record),
            "CodeId": _code_ids(population).gather(found.code.astype(np.int64)),
        }
    )


def _medicines(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Prescribing_DrugRecord, one per patient and product, and Prescribing_IssueRecord, one per issue."""
    record, found = at_practices(population, members, population.medications)
    issues = _entry_frame(population, members, record, found, "issue").with_columns(
        IssueRecordGuid=pl.col("guid"),
        Dosage=pl.lit("As directed"),
        Quantity=pl.Series(found.value).cast(pl.Int64).cast(pl.String),
        QuantityUnit=pl.lit("unit"),
        CourseDurationInDays=pl.lit("28"),
        EstimatedNhsCost=pl.lit("1.50"),
        IsPrescribedAsContraceptive=pl.lit("false"),
        IsPrivatelyPrescribed=pl.lit("false"),
    )
    drugs = issues.unique(subset=["PatientGuid", "CodeId"], keep="first", maintain_order=True)
    number = np.arange(drugs.height) + (population.chunk.number << 40)
    drugs = drugs.with_columns(
        DrugRecordGuid=pl.Series(guids(population.plan.seed, "drug", number)),
        PrescriptionType=pl.lit("Repeat"),
        IsActive=pl.lit("true"),
    )
    parent = drugs.select("PatientGuid", "CodeId", "DrugRecordGuid")
    issues = issues.join(parent, on=["PatientGuid", "CodeId"], how="left", validate="m:1", maintain_order="left")
    return {"Prescribing_DrugRecord": drugs, "Prescribing_IssueRecord": issues}


def _contacts(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Consultations, and appointment slots kept, missed or cancelled; a cancelled slot has lost its patient."""
    record, found = at_practices(population, members, population.contacts)
    frame = _entry_frame(population, members, record, found, "contact")
    kind = pl.Series(found.code)
    consultations = frame.filter(kind == CONTACT_KINDS.index("consultation")).with_columns(
        ConsultationGuid=pl.col("guid"),
        ConsultationSourceTerm=pl.lit("GP Surgery"),
        Complete=pl.lit("true"),
    )
    missed = (kind == CONTACT_KINDS.index("appointment_missed")).filter(kind != CONTACT_KINDS.index("consultation"))
    slots = frame.filter(kind != CONTACT_KINDS.index("consultation"))
    is_cancelled = cancelled(population, missed)
    slots = slots.select(
        "practice",
        SlotGuid="guid",
        AppointmentDate="EffectiveDate",
        AppointmentStartTime="EnteredTime",
        PlannedDurationInMinutes=pl.lit("10"),
        PatientGuid=pl.when(~is_cancelled).then("PatientGuid").otherwise(pl.lit("")),
        DidNotAttend=pl.when(missed).then(pl.lit("true")).otherwise(pl.lit("false")),
        SessionGuid=pl.Series(guids(population.plan.seed, "session", slots["practice"].to_numpy())),
        BookedDate="EffectiveDate",
        SlotStatus=pl.when(is_cancelled)
        .then(pl.lit("Cancelled"))
        .when(missed)
        .then(pl.lit("DNA"))
        .otherwise(pl.lit("Left")),
        SlotType=pl.lit("Routine"),
    )
    return {"CareRecord_Consultation": consultations, "Appointment_Slot": slots}


def _places(population: Population, practice: int) -> dict[str, pl.DataFrame]:
    """Organisation, location, users, session, agreement and code tables of one practice."""
    plan = population.plan
    row = plan.practices.row(practice, named=True)
    own = {
        kind: guids(plan.seed, kind, np.array([practice]))[0]
        for kind in ("organisation", "location", "user", "session")
    }
    opened = "1974-04-01"
    return {
        "Admin_Organisation": pl.DataFrame(
            {
                "OrganisationGuid": own["organisation"],
                "CDB": str(20_000 + practice),
                "OrganisationName": row["practice_name"],
                "ODSCode": row["practice_code"],
                "OrganisationType": "General Practice",
                "OpenDate": opened,
                "MainLocationGuid": own["location"],
            }
        ),
        "Admin_Location": pl.DataFrame(
            {"LocationGuid": own["location"], "LocationName": row["practice_name"], "OpenDate": opened}
        ),
        "Admin_OrganisationLocation": pl.DataFrame({"LocationGuid": own["location"], "IsMainLocation": "true"}),
        "Admin_UserInRole": pl.DataFrame(
            {
                "UserInRoleGuid": own["user"],
                "Title": "Dr",
                "GivenName": "Sage",
                "Surname": "Madeup",
                "JobCategoryCode": "R0260",
                "JobCategoryName": "General Medical Practitioner",
                "ContractStartDate": opened,
            }
        ),
        "Appointment_Session": pl.DataFrame(
            {"AppointmentSessionGuid": own["session"], "Description": "Surgery", "LocationGuid": own["location"]}
        ),
        "Appointment_SessionUser": pl.DataFrame({"SessionGuid": own["session"], "UserInRoleGuid": own["user"]}),
        "Agreements_SharingOrganisation": pl.DataFrame(
            {"IsActivated": "true", "LastModifiedDate": plan.anchor.isoformat(), "Disabled": "false"}
        ),
        **_codes(population),
    }


def _codes(population: Population) -> dict[str, pl.DataFrame]:
    """The central code tables, whole in every practice's delivery."""
    coding, parent = population.coding, population.world.entry("parent_of_pressures")
    whole = pl.DataFrame(
        {
            "CodeId": _code_ids(population),
            "concept": coding.concept_ids,
            "Term": coding.terms,
            "drug": coding.is_medicine,
        }
    ).with_columns(pl.col("concept").cast(pl.String))
    above = pl.DataFrame(
        {"CodeId": PARENT_CODE_ID, "Term": parent["term"], "concept": str(parent["code"]), "drug": False}
    )
    clinical = pl.concat([above.with_columns(pl.col("CodeId").cast(pl.Int64)), whole.select(above.columns)])
    return {
        "Coding_ClinicalCode": clinical.filter(~pl.col("drug")).select("CodeId", "Term", SnomedCTConceptId="concept"),
        "Coding_DrugCode": whole.filter("drug").select("CodeId", "Term", DmdProductCodeId="concept"),
    }
