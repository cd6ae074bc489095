"""Re-checks a release without any of the writer's code: its own hashing, reading, rules and NHS-number check."""
# Nothing from pipelines or data_contracts is imported here, on purpose: a fault in shared code would hide itself.

import csv
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ALWAYS_THERE = {
    "complex_care.parquet",
    "non_responders.parquet",
    "lifestyle_risk.parquet",
    "people_not_seen.parquet",
    "wide.parquet",
    "tables.csv",
    "coverage.csv",
    "opt_outs.csv",
    "capacity.csv",
    "care_owed.csv",
    "data_dictionary.csv",
    "summary.html",
    "quality.csv",
    "quality.html",
}
EXPECTED = {
    "complex_care": "pseudonym practice_code age_band sex deprivation_fifth rank ranked_by score "
    "belongs_probability risk_avoidable_admission_12m cambridge_score",
    "non_responders": "pseudonym practice_code age_band sex deprivation_fifth programme state grade due_month "
    "last_done_month invitations last_invited_month",
    "lifestyle_risk": "pseudonym practice_code age_band sex deprivation_fifth rank treatment_gaps flag_count "
    "is_current_smoker is_obese has_raised_blood_pressure has_non_diabetic_hyperglycaemia "
    "has_increasing_risk_drinking is_inactive has_poor_diet has_raised_cholesterol has_untreated_cardiovascular_risk",
    "people_not_seen": "pseudonym practice_code age_band sex deprivation_fifth not_seen last_seen_month "
    "last_trace_month is_possible_ghost",
    "wide": "pseudonym practice_code age_band sex deprivation_fifth is_on_the_list complex_care_rank "
    "risk_avoidable_admission_12m overdue declined lifestyle_flag_count not_seen",
}
QUASI_IDENTIFIERS = ["practice_code", "age_band", "sex", "deprivation_fifth"]
SMALLEST_GROUP = 5
PSEUDONYM = r"^[b-df-hj-np-t]{32}$"
TEN_DIGITS = re.compile(r"(?<![\d.])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\d.])")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}")
POSTCODE = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")
COUNT = re.compile(r"""class="(?:figure|count|[^"]*cell--numeric[^"]*)"[^>]*>\s*([\d,]+)\+?\s*<""")
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def verify_release(path: Path) -> list[str]:
    """What is wrong with a release folder, a sentence each with counts and names; empty when all holds."""
    manifest_path = path / "manifest.json"
    if not manifest_path.is_file():
        return [f"no manifest.json in {path}: not a whole release"]
    manifest = json.loads(manifest_path.read_text("utf-8"))
    found = [*_files(path, manifest), *_shape(path)]
    for folder in sorted((path / "icb").iterdir()) if (path / "icb").is_dir() else []:
        found += [f"icb/{folder.name}: {problem}" for problem in _icb(folder)]
    for folder in sorted((path / "practices").iterdir()) if (path / "practices").is_dir() else []:
        found += [f"practices/{folder.name}: {problem}" for problem in _practice(folder, manifest)]
    return [*found, *_stopped(path, manifest), *_shared_people(path)]


def _files(root: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Every file is listed, and is there with the bytes, hash and rows that the manifest says."""
    listed = {entry["path"]: entry for entry in manifest["files"]}
    present = {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()} - {"manifest.json"}
    for name in sorted(present - listed.keys()):
        yield f"{name} is not in the manifest"
    for name in sorted(listed.keys() - present):
        yield f"{name} is in the manifest but not in the folder"
    for name in sorted(present & listed.keys()):
        content = (root / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != listed[name]["sha256"] or len(content) != listed[name]["bytes"]:
            yield f"{name} has changed: its bytes are not those in the manifest"
        elif (rows := _rows(root / name)) != listed[name]["rows"]:
            yield f"{name} holds {rows} rows, the manifest says {listed[name]['rows']}"


def _rows(file: Path) -> int | None:
    """Rows of data in a file of any kind that a release holds; None for a page."""
    if file.suffix == ".parquet":
        return int(pq.ParquetFile(file).metadata.num_rows)
    if file.suffix == ".csv":
        return len(_csv_rows(file)) - 1
    if file.suffix == ".xlsx":
        return len(workbook_rows(file)) - 1
    return None


def _shape(root: Path) -> Iterator[str]:
    """The folders hold what a release holds, and nothing else."""
    for folder in sorted(root.iterdir()):
        if folder.name not in {"icb", "practices", "manifest.json"}:
            yield f"{folder.name} does not belong in a release"
    for folder in sorted((root / "icb").glob("*")):
        missing = ALWAYS_THERE - {file.name for file in folder.iterdir()}
        if missing:
            yield f"icb/{folder.name} lacks {', '.join(sorted(missing))}"


def _icb(folder: Path) -> Iterator[str]:
    """Problems of one ICB's files: columns, identifiers, dates, shared combinations, small counts."""
    for name, columns in EXPECTED.items():
        file = folder / f"{name}.parquet"
        if file.is_file():
            table = pq.read_table(file)
            if table.column_names != columns.split():
                yield f"{name}.parquet has other columns than its contract"
            else:
                yield from (f"{name}.parquet {problem}" for problem in _cohort(table))
    checks: dict[str, Callable[[list[list[str]]], Iterator[str]]] = {
        "tables.csv": _counts,
        "coverage.csv": _covered,
        "opt_outs.csv": partial(_rounded, name="opt_outs.csv", columns=("people",)),
        "capacity.csv": partial(_rounded, name="capacity.csv", columns=("listed", "waiting")),
        "care_owed.csv": partial(_rounded, name="care_owed.csv", columns=("people",)),
    }
    for name, check in checks.items():
        if (folder / name).is_file():
            yield from check(_csv_rows(folder / name))
    for page in ("summary.html", "quality.html"):
        if (folder / page).is_file():
            yield from _page(page, (folder / page).read_text("utf-8"))


def _cohort(table: pa.Table) -> Iterator[str]:
    """Problems of one cohort file."""
    is_right = pc.match_substring_regex(table["pseudonym"], PSEUDONYM)
    wrong = table.num_rows - (pc.sum(is_right).as_py() or 0)
    if wrong:
        yield f"holds {wrong} pseudonyms of another form"
    for name, column in zip(table.column_names, table.columns, strict=True):
        yield from (f"{problem} in {name}" for problem in _column(column))
    smallest = smallest_combination(table)
    if smallest is not None and smallest < SMALLEST_GROUP:
        yield f"has a combination of {', '.join(QUASI_IDENTIFIERS)} that only {smallest} people share"


def _column(column: pa.ChunkedArray) -> Iterator[str]:
    """Identifier-like values of one column; counts, never the values."""
    if pa.types.is_temporal(column.type):
        yield f"{column.type} values, finer than a month,"
        return
    texts = pc.cast(pc.unique(column).drop_null(), pa.string())
    values = texts.filter(pc.match_substring_regex(texts, "[0-9]")).to_pylist()
    for what, count in identifier_like(values).items():
        yield f"{count} values that look like {what}"


def identifier_like(texts: list[str]) -> dict[str, int]:
    """Kind of identifier to how many of the texts hold one; kinds that none holds are left out."""
    kinds = {
        "an NHS number": lambda text: any(is_nhs_number(found) for found in TEN_DIGITS.findall(text)),
        "a date": lambda text: bool(DAY.search(text)),
        "a postcode": lambda text: bool(POSTCODE.search(text)),
    }
    counts = {what: sum(map(looks, texts)) for what, looks in kinds.items()}
    return {what: count for what, count in counts.items() if count}


def is_nhs_number(text: str) -> bool:
    """True if the ten digits end in their modulus-11 check digit."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    remainder = sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return len(digits) == 10 and (11 - remainder) % 11 == digits[9]


def smallest_combination(table: pa.Table) -> int | None:
    """The fewest people who share what is shown of their quasi-identifiers; None if nothing is shown."""
    is_shown = reduce(pc.or_, (pc.is_valid(table[name]) for name in QUASI_IDENTIFIERS))
    groups = table.filter(is_shown).group_by(QUASI_IDENTIFIERS).aggregate([("pseudonym", "count_distinct")])
    smallest: int | None = pc.min(groups["pseudonym_count_distinct"]).as_py()
    return smallest


def _counts(rows: list[list[str]]) -> Iterator[str]:
    """Problems of the table of counts: a count below 10 or not rounded, a total that is not the sum of its parts."""
    counts = {(grouping, group, cohort): people for grouping, group, cohort, people, _ in rows[1:]}
    exact = sum(bool(people) and (int(people) % 5 != 0 or int(people) < 10) for people in counts.values())
    if exact:
        yield f"tables.csv shows {exact} counts that are not rounded to 5 or are below 10"
    sums: dict[tuple[str, str], int] = {}
    for (grouping, group, cohort), people in counts.items():
        if group != "total":
            sums[grouping, cohort] = sums.get((grouping, cohort), 0) + int(people or 0)
    wrong = sum(int(counts[grouping, "total", cohort] or 0) != parts for (grouping, cohort), parts in sums.items())
    if wrong:
        yield f"tables.csv holds {wrong} totals that are not the sum of the parts shown"


def _covered(rows: list[list[str]]) -> Iterator[str]:
    """Problems of the coverage table: a count below 10 or not rounded, a percentage of what is hidden."""
    counts = [(row[4], row[5], row[6]) for row in rows[1:]]
    exact = sum(
        int(count) % 5 != 0 or int(count) < 10 for due, covered, _ in counts for count in (due, covered) if count
    )
    if exact:
        yield f"coverage.csv shows {exact} counts that are not rounded to 5 or are below 10"
    wrong = sum(bool(percent) and not (due and covered) for due, covered, percent in counts)
    if wrong:
        yield f"coverage.csv shows {wrong} percentages of counts that are hidden"


def _rounded(rows: list[list[str]], *, name: str, columns: tuple[str, ...]) -> Iterator[str]:
    """Problems of a table of counts: a count below 10 or not rounded."""
    places = [rows[0].index(column) for column in columns]
    counts = [int(row[place]) for row in rows[1:] for place in places if row[place]]
    exact = sum(count % 5 != 0 or count < 10 for count in counts)
    if exact:
        yield f"{name} shows {exact} counts that are not rounded to 5 or are below 10"


def _page(name: str, page: str) -> Iterator[str]:
    """Problems of a page: identifiers, addresses outside it, counts that were not rounded."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    for what, count in identifier_like([text]).items():
        yield f"{name} holds {count} passage that looks like {what}"
    if _reaches_out(page):
        yield f"{name} loads something from elsewhere or runs a script"
    exact = [count for count in COUNT.findall(page) if (value := int(count.replace(",", ""))) % 5 or 0 < value < 10]
    if exact:
        yield f"{name} shows {len(exact)} counts that are not rounded to 5 or are below 10"


def _practice(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Problems of one practice's files: heading, numbers, formulas, agreement of workbook and CSV."""
    book, sheet, page = (folder / f"target_list.{kind}" for kind in ("xlsx", "csv", "html"))
    if not all(file.is_file() for file in (book, sheet, page)):
        yield "lacks target_list.xlsx, target_list.csv or target_list.html"
        return
    if holds_formula(book):
        yield "target_list.xlsx holds a formula, a link or a macro"
    heading, *rows = _csv_rows(sheet)
    place = heading.index("NHS number")
    bad = sum(not is_nhs_number(row[place]) for row in rows)
    if bad:
        yield f"target_list.csv holds {bad} NHS numbers with a wrong check digit"
    live = sum(
        cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        for row in rows
        for cell in row
    )
    if live:
        yield f"target_list.csv holds {live} cells that a spreadsheet would run"
    if {row[0] for row in rows} - {manifest["as_of_date"]}:
        yield "target_list.csv is of another date"
    if [row[place] for row in rows] != [row[1] for row in workbook_rows(book)[1:]]:
        yield "target_list.xlsx and target_list.csv list different people"
    yield from _list_page(page.read_text("utf-8"), [row[place] for row in rows])


def _list_page(page: str, numbers: list[str]) -> Iterator[str]:
    """Problems of a practice's page: other people than in the CSV, or anything from elsewhere."""
    if numbers != re.findall(r'class="number">(\d{3} \d{3} \d{4})<', page):
        yield "target_list.html and target_list.csv list different people"
    if _reaches_out(page):
        yield "target_list.html loads something from elsewhere or runs a script"


def _reaches_out(page: str) -> bool:
    """True if a page loads something from elsewhere or runs a script."""
    return "<script" in page or re.search(r"""(?:src|href)=["'](?:https?:)?//""", page) is not None


def _stopped(root: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Lists of practices that the manifest says are left out."""
    for practice, standing in sorted(manifest.get("practices_with_a_warning", {}).items()):
        if standing["verdict"] == "stop" and (root / "practices" / practice).exists():
            yield f"practices/{practice} is there, although the manifest says that the practice is left out"


def _shared_people(root: Path) -> list[str]:
    """A person on the lists of two practices."""
    seen: dict[str, str] = {}
    shared = 0
    for file in sorted(root.glob("practices/*/target_list.csv")):
        heading, *rows = _csv_rows(file)
        for row in rows:
            number = row[heading.index("NHS number")]
            shared += seen.setdefault(number, file.parent.name) != file.parent.name
    return [f"{shared} people are on the lists of two practices"] if shared else []


def _csv_rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.reader(handle))


def workbook_rows(file: Path) -> list[list[str]]:
    """The target-list sheet's rows as text, heading first; read as plain XML."""
    with zipfile.ZipFile(file) as book:
        shared = [
            "".join(part.text or "" for part in item.iter(f"{SHEET}t"))
            for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314
        ]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet2.xml"))  # noqa: S314
    return [[_cell(cell, shared) for cell in row] for row in sheet.iter(f"{SHEET}row")]


def _cell(cell: ElementTree.Element, shared: list[str]) -> str:
    value = cell.find(f"{SHEET}v")
    text = "" if value is None else value.text or ""
    return shared[int(text)] if cell.get("t") == "s" else text


def holds_formula(file: Path) -> bool:
    """True if any cell of the workbook is a formula, or the file holds a link or a macro."""
    with zipfile.ZipFile(file) as book:
        names = book.namelist()
        sheets = [book.read(name) for name in names if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    outside = any("externalLink" in name or "vbaProject" in name for name in names)
    return outside or any(b"<f>" in sheet or b"<f " in sheet or b"<hyperlink" in sheet for sheet in sheets)
