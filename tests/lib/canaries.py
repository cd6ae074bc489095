"""Plants words that can stand nowhere else into the identifying and free-text columns of landed EMIS extracts."""

import csv
import io
from pathlib import Path

COLUMNS = {
    "Admin_Patient": (
        *("GivenName", "MiddleNames", "Surname", "PatientNumber", "HouseNameFlatNumber", "NumberAndStreet"),
        *("Village", "Town", "County", "Postcode", "ResidentialInstituteCode", "CarerName", "CarerRelation"),
        *("EmailAddress", "HomePhone", "MobilePhone", "ExternalUsualGP", "ContactComments"),
    ),
    "Admin_UserInRole": ("GivenName", "Surname"),
    "CareRecord_Observation": ("AssociatedText",),
    "CareRecord_Problem": ("Comment",),
    "CareRecord_Diary": ("AssociatedText",),
    "Prescribing_DrugRecord": ("Dosage",),
    "Prescribing_IssueRecord": ("Dosage", "PatientMessage", "PharmacyMessage", "PharmacyText"),
}
"""Where a word is planted that the row is loaded with."""
FAULTS = {
    "Admin_Patient": ("DateOfBirth", "NhsNumber"),
    "CareRecord_Observation": ("EffectiveDate", "CodeId", "Value"),
}
"""Where a word is planted that sends the row to quarantine."""


def plant(landing: Path) -> dict[str, str]:
    """Each word by table and column. The first record of a table takes the harmless ones, the second the faults."""
    words: dict[str, str] = {}
    for place, columns in enumerate((COLUMNS, FAULTS)):
        for table, names in columns.items():
            path = min(landing.glob(f"emis/*/*_{table}_*.csv"))
            heading, *rows = csv.reader(path.read_text("utf-8").splitlines())
            for name in names if len(rows) > place else ():
                word = f"Canary{len(words):02d}{name}"
                rows[place][heading.index(name)] = word
                words[f"{table}.{name}"] = word
            text = io.StringIO(newline="")
            csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([heading, *rows])
            path.write_text(text.getvalue(), "utf-8", newline="")
    return words
