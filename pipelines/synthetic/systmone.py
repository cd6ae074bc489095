"""Writes made-up people as a SystmOne extract: a folder a practice and moment, the zip parts, names and quirks."""

import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from data_contracts.tables.history import CONTACT_KINDS
from pipelines.synthetic.gp_records import NO_VALUE, Entries
from pipelines.synthetic.identifiers import nhs_numbers
from pipelines.synthetic.patient_records import (
    PatientDetails,
    cancelled,
    dates,
    patient_details,
    patient_numbers,
    undated,
)
from pipelines.synthetic.population import Memberships, Population, at_practices, memberships
from pipelines.synthetic.world import Flags, Ints, read_table

BESIDE_THE_ARCHIVE = ("SRManifest", "SRMapping", "SRMappingGroup")
PART_BYTES = 1_000_000
ANOTHER_ORGANISATION = "RMADE"
VACCINES = ("flu_vaccination_done", "mmr_vaccination_done")
DISSENT = "XaZ89"
FINISHED, MISSED, CANCELLED = 70_001, 70_002, 70_003
STATUSES = {FINISHED: "Finished", MISSED: "Did Not Attend", CANCELLED: "Cancelled by Patient"}
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def columns_of(table: str) -> list[str]:
    """The columns of one SystmOne table, in the order of version 93."""
    return str(read_table("systmone_tables").filter(table=table)["columns"].item()).split("|")


def write_systmone(population: Population, folder: Path, practices: Iterable[int]) -> None:
    """One bulk extract per practice asked for, under ``folder/<practice code>/<moment>/``.

    A person kept out by a flag that the format has not (spine sensitive, confidential) is left out whole.
    """
    members = memberships(population)
    details = patient_details(population, members)
    tables = {
        **_people(population, members, details),
        **_coded(population, members),
        **_medicines(population, members),
        **_contacts(population, members),
    }
    hidden = pl.Series(patient_numbers(population, members)[details.is_sensitive | details.is_confidential])
    for practice in practices:
        code = population.plan.practices["practice_code"][practice]
        own = {
            name: _own(table.filter(practice=practice), code, hidden) for name, table in tables.items()
        } | _references(population, practice)
        _write_extract(population, own, folder / code)


def _own(table: pl.DataFrame, code: str, hidden: pl.Series) -> pl.DataFrame:
    """The rows of one practice, with its code in every column that names an organisation."""
    shown = table.filter(~pl.col("patient").is_in(hidden.implode())).with_columns(
        IDOrganisationVisibleTo=pl.lit(code), IDOrganisation=pl.lit(code), IDOrganisationDoneAt=pl.lit(code)
    )
    if "IDOrganisationRegisteredAt" in shown.columns:
        return shown.with_columns(pl.col("IDOrganisationRegisteredAt").fill_null(code))
    return shown.with_columns(IDOrganisationRegisteredAt=pl.lit(code))


def _write_extract(population: Population, tables: dict[str, pl.DataFrame], folder: Path) -> None:
    """The set: a cut archive, and beside it the manifest and the mapping."""
    anchor = population.plan.anchor
    target = folder / f"{anchor:%Y%m%d}_0230"
    target.mkdir(parents=True, exist_ok=True)
    inside = [name for name in read_table("systmone_tables")["table"] if name not in BESIDE_THE_ARCHIVE]
    tables["SRManifest"] = pl.DataFrame(
        {
            "FileName": inside,
            "IsDelta": "N",
            "IsReference": ["Y" if name in ("SRCtv3ToSnomed", "SRConfiguredListOption") else "N" for name in inside],
            "DateExtractTo": f"{anchor:%Y%m%d}_0230",
        }
    )
    _write_archive({f"{name}.csv": _csv(name, tables) for name in inside}, target / "SRExtract.zip")
    for name in BESIDE_THE_ARCHIVE:
        (target / f"{name}.csv").write_bytes(_csv(name, tables))


def _csv(name: str, tables: dict[str, pl.DataFrame]) -> bytes:
    """All columns of the table as text, in order, in the supplier's code page; what was not filled is empty."""
    filled = tables.get(name, pl.DataFrame())
    columns = columns_of(name)
    frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    if filled.height:
        constants = {"RemovedData": "0"}
        frame = filled.select(
            pl.col(column).cast(pl.String)
            if column in filled.columns
            else pl.lit(constants.get(column, "")).alias(column)
            for column in columns
        )
    text = frame.write_csv(quote_style="always", line_terminator="\r\n", null_value="")
    return text.encode("cp1252")


def _write_archive(files: dict[str, bytes], archive: Path) -> None:
    """A zip archive with a fixed date, cut into parts where it is longer than one."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(entry, content, compresslevel=1)
        begin = opened.start_dir
    content = whole.getvalue()
    if begin <= PART_BYTES:
        archive.write_bytes(content)
    else:
        _write_parts(content, begin, archive)


def _write_parts(content: bytes, begin: int, archive: Path) -> None:
    """The archive cut as zip tools do it: its directory names a part, and a place there, for each entry."""
    body = b"PK\7\x08" + content[:begin]
    directory = bytearray(content[begin:])
    pieces = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
    at = 0
    while directory[at : at + 4] == b"PK\1\2":
        (place,) = struct.unpack_from("<L", directory, at + 42)
        struct.pack_into("<H", directory, at + 34, (place + 4) // PART_BYTES)
        struct.pack_into("<L", directory, at + 42, (place + 4) % PART_BYTES)
        at += 46 + sum(struct.unpack_from("<3H", directory, at + 28))
    last = len(pieces) - 1
    struct.pack_into("<2H", directory, at + 4, last, last)
    struct.pack_into("<L", directory, at + 16, len(pieces[last]))
    for number, piece in enumerate(pieces[:-1], start=1):
        archive.with_suffix(f".z{number:02d}").write_bytes(piece)
    archive.write_bytes(pieces[last] + directory)


def _moment(days: pl.Series, time: str | pl.Series = "09:15:00") -> pl.Series:
    """Dates with a time, as the supplier writes them."""
    frame = pl.DataFrame({"day": days.dt.strftime("%d %b %Y"), "time": time})
    return frame.select(pl.format("{} {}", "day", "time")).to_series()


def _people(population: Population, members: Memberships, details: PatientDetails) -> dict[str, pl.DataFrame]:
    """Patients, their registration and their homes: an earlier home and one for letters only beside the present."""
    people, who = population.people, members.person
    number = patient_numbers(population, members)
    base = pl.DataFrame({"practice": members.practice, "patient": number, "RowIdentifier": number + 1})
    patients = base.with_columns(
        Title=pl.Series(np.where(people.is_male[who], "Mr", "Ms")),
        FirstName=details.given,
        Surname=details.surname,
        NHSNumber=nhs_numbers(people.index[who], population.plan.seed),
        DateBirth=_moment(dates(people.birth_day[who]), "00:00"),
        DateDeath=_moment(dates(details.death_day), "00:00"),
        Gender=pl.Series(np.where(people.is_male[who], "M", "F")),
        TestPatient=pl.Series(np.where(details.is_dummy, "TRUE", "FALSE")),
        SpineMatched=pl.lit("TRUE"),
    )
    registrations = base.with_columns(
        DateEventRecorded=_moment(dates(members.registered_day)),
        DateRegistration=_moment(dates(members.registered_day)),
        DateDeRegistration=_moment(dates(members.deregistered_day)),
        RegistrationStatus=pl.Series(np.where(members.is_temporary, "Temporary Resident", "GMS, Contraception")),
        IDPatient=number + 1,
    )
    home = base.with_columns(
        RowIdentifier=pl.Series(number * 3 + 1),
        DateEvent=_moment(dates(members.registered_day)),
        NameOfBuilding=pl.when(pl.col("patient") % 50 == 0).then(pl.lit("Café Rosé")),
        NameOfRoad=details.street,
        FullPostCode=details.postcode,
        AddressType=pl.lit("0"),
        IDPatient=number + 1,
    )
    letters = home.filter(pl.col("patient") % 29 == 0).with_columns(
        pl.col("RowIdentifier") + 1, FullPostCode=pl.lit("ZZ99 9ZZ"), AddressType=pl.lit("3")
    )
    earlier = home.filter(pl.col("patient") % 11 == 0).with_columns(
        pl.col("RowIdentifier") + 2,
        FullPostCode=pl.lit("ZZ99 9ZZ"),
        DateTo="DateEvent",
        DateEvent=pl.lit("01 Apr 1974 00:00:00"),
    )
    return {
        "SRPatient": patients,
        "SRPatientRegistration": registrations,
        "SRPatientAddressHistory": pl.concat([home, letters, earlier], how="diagonal"),
    }


def _entry_frame(population: Population, members: Memberships, record: Ints, found: Entries) -> pl.DataFrame:
    """What all kinds of entry share: key, patient, dates."""
    number = np.arange(len(record)) + (population.chunk.number << 40)
    patients = patient_numbers(population, members)[record]
    times = pl.Series(["09:15:00", "11:40:00", "14:05:00", "16:30:00"]).gather(number % 4)
    return pl.DataFrame(
        {
            "practice": members.practice[record],
            "patient": patients,
            "number": number,
            "RowIdentifier": number * 4 + 1,
            "IDPatient": patients + 1,
            "DateEvent": _moment(dates(found.day), times),
            "DateEventRecorded": _moment(dates(found.day + found.delay.astype(np.int32)), times),
        }
    )


def _ctv3(population: Population) -> pl.Series:
    """A CTV3 code for every concept in use: made up, but for the dissent."""
    coding = population.coding
    codes = pl.Series([f"zz{place:03d}" for place in range(len(coding.concept_ids))])
    return codes.scatter(coding.first("type_1_opt_out"), DISSENT)


def _is_vaccine(population: Population, found: Entries) -> Flags:
    runs = [population.coding.codelists[name] for name in VACCINES]
    return np.isin(found.code, [row for first, number in runs for row in range(first, first + number)])


def _coded(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Coded entries and immunisations; some carry only CTV3, some are another organisation's, some are local."""
    record, found = at_practices(population, members, population.events)
    code = found.code.astype(np.int64)
    has_value = pl.Series(found.tenths != NO_VALUE)
    frame = _entry_frame(population, members, record, found).with_columns(
        DateEvent=pl.when(pl.Series(~undated(population, len(record)))).then("DateEvent"),
        CTV3Code=_ctv3(population).gather(code),
        CTV3Text=pl.Series(population.coding.terms).gather(code),
        SNOMEDCode=pl.Series(population.coding.concept_ids).cast(pl.String).gather(code),
        IsNumeric=pl.when(has_value).then(pl.lit("TRUE")).otherwise(pl.lit("FALSE")),
        NumericValue=pl.when(has_value).then(pl.Series(found.value).fill_nan(0.0).round(1)).otherwise(0.0),
        NumericUnit=pl.Series(population.coding.units).gather(code).set(~has_value, None),
        is_vaccine=pl.Series(_is_vaccine(population, found)),
    )
    frame = frame.with_columns(
        SNOMEDCode=pl.when(pl.col("number") % 10 == 0)
        .then(pl.lit("-1"))
        .when(pl.col("number") % 10 == 5)
        .then(pl.lit(""))
        .otherwise("SNOMEDCode")
    )
    vaccines = frame.filter("is_vaccine").rename({"CTV3Code": "ImmsReadCode", "SNOMEDCode": "ImmsSNOMEDCode"})
    codes = frame.filter(~pl.col("is_vaccine"))
    elsewhere = codes.filter(pl.col("number") % 97 == 0).with_columns(
        pl.col("RowIdentifier") + 1, IDOrganisationRegisteredAt=pl.lit(ANOTHER_ORGANISATION)
    )
    local = codes.filter(pl.col("number") % 499 == 0).with_columns(
        pl.col("RowIdentifier") + 2, CTV3Code=pl.lit("Ymade"), CTV3Text=pl.lit("Local"), SNOMEDCode=pl.lit("-1")
    )
    return {"SRCode": pl.concat([codes, elsewhere, local], how="diagonal"), "SRImmunisation": vaccines}


def _medicines(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Issues; some were made by a hospital."""
    record, found = at_practices(population, members, population.medications)
    issues = _entry_frame(population, members, record, found).with_columns(
        IDMultiLexDMD=pl.Series(population.coding.concept_ids).gather(found.code.astype(np.int64)),
        NameOfMedication=pl.Series(population.coding.terms).gather(found.code.astype(np.int64)),
        DateMedicationStart="DateEvent",
        DateMedicationEnd="DateEvent",
        MedicationDosage=pl.lit("As directed"),
        MedicationQuantity=pl.format("{} tablet(s)", pl.Series(found.value).cast(pl.Int64)),
        IsRepeatMedication=pl.lit("TRUE"),
        IsOtherMedication=pl.lit("FALSE"),
        IsDentalMedication=pl.lit("FALSE"),
        IsHospitalMedication=pl.lit("FALSE"),
    )
    hospital = issues.filter(pl.col("number") % 97 == 0).with_columns(
        pl.col("RowIdentifier") + 1, IsHospitalMedication=pl.lit("TRUE")
    )
    return {"SRPrimaryCareMedication": pl.concat([issues, hospital])}


def _contacts(population: Population, members: Memberships) -> dict[str, pl.DataFrame]:
    """Consultations with administrative events among them, appointments by status, and text-only visits."""
    record, found = at_practices(population, members, population.contacts)
    frame = _entry_frame(population, members, record, found)
    kind = pl.Series(found.code)
    is_consultation = kind == CONTACT_KINDS.index("consultation")
    events = frame.filter(is_consultation).with_columns(
        ContactMethod=pl.lit("Face to face"), EventIncomplete=pl.lit("FALSE"), ClinicalEvent=pl.lit("TRUE")
    )
    administrative = events.filter(pl.col("number") % 13 == 0).with_columns(
        pl.col("RowIdentifier") + 1, ClinicalEvent=pl.lit("FALSE")
    )
    is_missed = (kind == CONTACT_KINDS.index("appointment_missed")).filter(~is_consultation)
    is_cancelled = cancelled(population, is_missed)
    booked = frame.filter(~is_consultation).with_columns(
        DateStart="DateEvent",
        DateEnd="DateEvent",
        DateAppointmentBooked="DateEvent",
        DateAppointmentCancelled=pl.when(is_cancelled).then("DateEvent"),
        AppointmentStatus=pl.when(is_cancelled).then(CANCELLED).when(is_missed).then(MISSED).otherwise(FINISHED),
        TelephoneAppointment=pl.lit("FALSE"),
    )
    notes = events.filter(pl.col("number") % 211 == 0).with_columns(
        IDPatient=pl.lit(-1, dtype=pl.Int64), DateBooked="DateEvent", CurrentStatus=pl.lit("Visited")
    )
    return {"SREvent": pl.concat([events, administrative]), "SRAppointment": booked, "SRVisit": notes}


def _references(population: Population, practice: int) -> dict[str, pl.DataFrame]:
    """The organisation, the map of codes and the words behind numbers."""
    row = population.plan.practices.row(practice, named=True)
    codes = _ctv3(population)
    is_medicine = pl.Series(population.coding.is_medicine)
    mapping = pl.DataFrame({"Ctv3Code": codes, "SnomedCode": population.coding.concept_ids}).filter(~is_medicine)
    return {
        "SROrganisation": pl.DataFrame(
            {"RowIdentifier": practice + 1, "Name": row["practice_name"], "ID": row["practice_code"]}
        ),
        "SRCtv3ToSnomed": mapping.unique("Ctv3Code", keep="first", maintain_order=True).with_row_index(
            "RowIdentifier", offset=1
        ),
        "SRMapping": pl.DataFrame(
            {"RowIdentifier": list(STATUSES), "IdMappingGroup": "1", "Mapping": list(STATUSES.values())}
        ),
        "SRMappingGroup": pl.DataFrame({"RowIdentifier": ["1"], "MappingGroup": ["Appointment status"]}),
    }
