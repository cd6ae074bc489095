"""Types the rows of each OMOP table for its staging contract. Pure: text frames in, typed frames out."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.codelists import is_valid_sctid
from pipelines.io.identity import valid_nhs_numbers
from pipelines.io.landing.conversion import are_days, day_of, number_of
from pipelines.io.landing.synthea_mappings import Mappings

CONCEPTS = {"concept": pl.Int64, "vocabulary": pl.String, "code": pl.String}
LINKS = {"concept": pl.Int64, "target": pl.Int64}
METHODS = {"field": pl.String, "value": pl.String, "admission_method": pl.String}
KEYS = {
    "person_key": ["person_source"],
    "admission_method": ["field", "value"],
    "person": ["person"],
    "observation_period": ["key", "person"],
    "death": ["person"],
    "visit_occurrence": ["key", "person", "concept", "start"],
    "condition_occurrence": ["key", "person", "concept", "date"],
    "procedure_occurrence": ["key", "person", "concept", "date"],
    "drug_exposure": ["key", "person", "concept", "date"],
    "measurement": ["key", "person", "concept", "date"],
    "observation": ["key", "person", "concept", "date"],
    "concept": ["concept"],
    "concept_relationship": ["concept", "target", "relationship"],
}
"""What makes a row of each table the same row again in one drop; its ids mean nothing in the next one.

Real files repeat ids for records that are not the same, so an id alone supersedes nothing.
"""


@dataclass(frozen=True)
class Vocabulary:
    """What the drop's concept ids mean.

    ``concepts``: one row per concept (concept, vocabulary, code). ``snomed``: one row per concept that is a SNOMED CT
    concept, or maps to one only (concept, sctid). ``medicines``: the same for dm+d products (concept, product).
    """

    concepts: pl.DataFrame
    snomed: pl.DataFrame
    medicines: pl.DataFrame

    def codes(self, *vocabularies: str) -> pl.DataFrame:
        """Concept and code of some vocabularies."""
        return self.concepts.filter(pl.col("vocabulary").is_in(vocabularies)).select("concept", "code")


@dataclass(frozen=True)
class Setting:
    """What the rows of one drop are read against.

    ``roster`` has one row per person held: person (OMOP's id), person_id, practice_code, icb_code, birth_date.
    """

    extract_date: dt.date
    words: dict[str, Any]
    mappings: Mappings
    vocabulary: Vocabulary
    roster: pl.DataFrame


def id_of(name: str) -> pl.Expr:
    """An id as text; one that was kept as a decimal number loses its zeros, so that 12.0 is 12."""
    return pl.col(f"text_{name}").str.strip_chars().str.replace(r"\.0+$", "").replace("", None)


def record_message(table: str, source: str) -> pl.Expr:
    """What a row's pseudonym is made of; null where the first part of the key is missing."""
    first, *others = [id_of(name) for name in KEYS[table]]
    parts = [pl.lit(f"omop|{source}|{table}"), first, *(other.fill_null("") for other in others)]
    return pl.concat_str(parts, separator="|")


def make_vocabulary(concepts: pl.DataFrame, links: pl.DataFrame, words: dict[str, Any]) -> Vocabulary:
    """The vocabulary of a drop from its concepts and from which of them map to which."""
    snomed = _reached(concepts, links, words["snomed_vocabularies"]).rename({"code": "sctid"})
    medicines = _reached(concepts, links, words["medicine_vocabularies"]).rename({"code": "product"})
    return Vocabulary(concepts=concepts, snomed=snomed, medicines=medicines)


def _reached(concepts: pl.DataFrame, links: pl.DataFrame, vocabularies: list[str]) -> pl.DataFrame:
    """The code of each concept of these vocabularies, and of each other one that maps to just one of them."""
    own = concepts.filter(pl.col("vocabulary").is_in(vocabularies)).select("concept", pl.col("code").cast(pl.Int64))
    to_own = links.join(own, left_on="target", right_on="concept", how="inner", validate="m:1")
    single = to_own.group_by("concept").agg(pl.col("code").first(), n=pl.col("code").n_unique()).filter(n=1)
    return pl.concat([own, single.drop("n").join(own, on="concept", how="anti")]).sort("concept")


def type_concepts(rows: pl.DataFrame, words: dict[str, Any]) -> pl.DataFrame:
    """One row per concept, for StagedConcepts; one of a vocabulary that nothing is looked up in is blank."""
    used = {name for key, names in words.items() if key.endswith("_vocabularies") for name in names}
    numeric = [*words["snomed_vocabularies"], *words["medicine_vocabularies"]]
    code = pl.col("text_code").str.strip_chars()
    ids = rows.filter(pl.col("text_vocabulary").is_in(numeric))["text_code"].drop_nulls().str.strip_chars().unique()
    wrong = [text for text in ids if not is_valid_sctid(text)]
    return rows.with_columns(
        concept=id_of("concept").cast(pl.Int64, strict=False),
        vocabulary="text_vocabulary",
        code=code,
        has_check_digit=~(pl.col("text_vocabulary").is_in(numeric) & code.is_in(wrong)).fill_null(False),
        is_blank=~pl.col("text_vocabulary").is_in(used).fill_null(False),
    )


def type_links(rows: pl.DataFrame, words: dict[str, Any]) -> pl.DataFrame:
    """One row per link between concepts, for StagedConceptLinks; all but those to a standard concept are blank."""
    concept, target = (id_of(name).cast(pl.Int64, strict=False) for name in ("concept", "target"))
    is_link = (pl.col("text_relationship") == words["maps_to"]) & pl.col("text_invalid").is_null()
    return rows.with_columns(
        concept=concept, target=target, is_blank=~is_link.fill_null(False) | (concept == target).fill_null(False)
    )


def type_methods(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per stated admission method, for StagedMethodRules."""
    return rows.with_columns(pl.col(f"text_{name}").str.strip_chars().alias(name) for name in METHODS)


def type_keys(rows: pl.DataFrame, practices: pl.DataFrame) -> pl.DataFrame:
    """One row per person's key, for StagedPersonKeys; ``person_id`` is added later.

    ``practices`` are those of the national list: practice_code, icb_code.
    """
    typed = rows.with_columns(
        person_source=pl.col("text_person_source").str.strip_chars(),
        nhs_number=valid_nhs_numbers(rows["text_nhs_number"]),
        practice_code=pl.col("text_practice_code").str.strip_chars().str.to_uppercase(),
        key_registered_date=day_of("registered_date"),
        key_deregistered_date=day_of("deregistered_date"),
        has_readable_dates=are_days("registered_date", "deregistered_date"),
        given_name="text_given_name",
        surname="text_surname",
        postcode=pl.col("text_postcode").str.replace_all(" ", "", literal=True).str.to_uppercase(),
    )
    return typed.join(practices, on="practice_code", how="left", validate="m:1", maintain_order="left")


def type_people(rows: pl.DataFrame, keys: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per person, for StagedOmopPeople but for ``has_period``; with what the key says of the person.

    A day of birth that is not stated is taken as the first of its month; a month is never made up.
    """
    stated = pl.concat_str(
        id_of("year").str.zfill(4),
        id_of("month").str.zfill(2),
        id_of("day").fill_null("1").str.zfill(2),
        separator="-",
    ).str.to_date("%Y-%m-%d", strict=False)
    typed = rows.with_columns(
        person=id_of("person"),
        person_source=pl.col("text_person_source").str.strip_chars(),
        birth_date=pl.coalesce(day_of("birth"), stated),
        sex=id_of("gender").replace_strict(setting.words["sex"], default=None, return_dtype=pl.String),
        has_readable_dates=are_days("birth"),
        extract_date=pl.lit(setting.extract_date),
    )
    return typed.join(keys, on="person_source", how="left", validate="m:1", maintain_order="left")


def type_periods(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per observation period, for StagedPeriods."""
    typed = rows.with_columns(
        start_date=day_of("start"), end_date=day_of("end"), has_readable_dates=are_days("start", "end")
    )
    return _with_person(typed, setting)


def is_sound_period() -> pl.Expr:
    """True for a typed period that its contract passes, as long as its person is held."""
    return pl.all_horizontal(
        pl.col("has_readable_dates"),
        pl.col("start_date").is_between(pl.col("birth_date"), pl.col("extract_date")),
        (pl.col("start_date") <= pl.col("end_date")).fill_null(True),
    ).fill_null(False)


def type_deaths(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per death, for StagedDeaths."""
    return _with_person(rows.with_columns(death_date=day_of("date"), has_readable_dates=are_days("date")), setting)


def make_registrations(people: pl.DataFrame, periods: pl.DataFrame, deaths: pl.DataFrame) -> pl.DataFrame:
    """One row per person and period, for the registrations table: earlier periods end as stated, the last is open.

    The end of the last period is the last contact or the day of the drop, and no sign of leaving: that is the key
    table's word, and so is the first day if it states one.
    """
    is_last = pl.col("start_date").rank("ordinal", descending=True).over("person") == 1
    dated = people.join(deaths.select("person", "death_date"), on="person", how="left", validate="1:1")
    about = dated.select("person", "sex", "lsoa_code", "death_date", "key_registered_date", "key_deregistered_date")
    joined = periods.sort("person", "start_date", "record_id").join(about, on="person", how="inner", validate="m:1")
    return joined.with_columns(
        is_last=is_last,
        registered_date=pl.when(is_last)
        .then(pl.coalesce("key_registered_date", "start_date"))
        .otherwise(pl.col("start_date")),
        deregistered_date=pl.when(is_last).then("key_deregistered_date").otherwise("end_date"),
        registration_type=pl.lit("regular"),
    )


def type_findings(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per condition or procedure, for StagedOmopEntries and the events table."""
    return _with_state(_add_snomed(_entries(rows, setting), setting))


def type_values(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per measurement or observation, for StagedOmopEntries and the events table.

    A LOINC code with a stated mapping gives a concept in the codelist's unit; a SNOMED CT concept keeps its value.
    """
    named = _add_snomed(_entries(rows, setting), setting)
    for name, vocabularies, source in (
        ("loinc", ["LOINC"], "concept"),
        ("ucum", ["UCUM"], "unit"),
        ("answer", setting.words["snomed_vocabularies"], "answer"),
    ):
        named = _add_code(named, setting, name=name, vocabularies=vocabularies, source=source)
    numbers = setting.mappings.observations.drop("codelist", "term").rename(
        {"loinc_code": "loinc", "concept_id": "measured_id", "unit": "mapped_unit"}
    )
    answers = setting.mappings.observation_values.select(loinc="loinc_code", answer="value", answered_id="concept_id")
    joined = (
        named.with_columns(units=pl.coalesce("ucum", "text_unit_source"))
        .join(numbers, on=["loinc", "units"], how="left", validate="m:1", maintain_order="left")
        .join(answers, on=["loinc", "answer"], how="left", validate="m:1", maintain_order="left")
    )
    number, scale = number_of("number"), pl.lit(10.0).pow(pl.col("decimals"))
    converted = ((number * pl.col("multiply_by") + pl.col("add")) * scale).round() / scale
    is_measured = pl.col("measured_id").is_not_null() & number.is_not_null()
    return _with_state(
        joined.with_columns(
            concept_id=pl.coalesce(pl.when(is_measured).then("measured_id"), "answered_id", "concept_id"),
            value=pl.when(is_measured).then(converted).otherwise(number),
            unit=pl.when(is_measured).then("mapped_unit").otherwise(pl.when(number.is_not_null()).then("units")),
            has_readable_numbers=pl.col("text_number").is_null() | number.is_not_null(),
        )
    )


def type_exposures(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """One row per drug exposure, for StagedOmopEntries: a medicine issued (``product_id``), or a dose of a vaccine.

    A dm+d or SNOMED CT code counts first, then RxNorm and CVX by the stated mappings.
    """
    named = _entries(rows, setting)
    for name, vocabularies in (("rxnorm", ["RxNorm"]), ("cvx", ["CVX"])):
        named = _add_code(named, setting, name=name, vocabularies=vocabularies, source="concept")
    medicines = setting.mappings.medicines.select(rxnorm="rxnorm_code", mapped_product="product_id")
    doses = setting.mappings.immunisations.select(cvx="cvx_code", concept_id="concept_id")
    joined = (
        _add(named, setting.vocabulary.medicines, "product")
        .join(medicines, on="rxnorm", how="left", validate="m:1", maintain_order="left")
        .join(doses, on="cvx", how="left", validate="m:1", maintain_order="left")
    )
    product = pl.coalesce("product", "mapped_product")
    return joined.with_columns(
        product_id=product,
        quantity=number_of("quantity"),
        has_readable_numbers=pl.col("text_quantity").is_null() | number_of("quantity").is_not_null(),
        code_state=pl.when(product.is_not_null() | pl.col("concept_id").is_not_null()).then(pl.lit("known")),
    )


def type_visits(
    rows: pl.DataFrame, setting: Setting, *, methods: pl.DataFrame, diagnoses: pl.DataFrame
) -> pl.DataFrame:
    """One row per visit, for StagedVisits and the table that ``kind`` names.

    ``methods`` are the stated admission methods, the drop's own first; ``diagnoses`` has visit and diagnosis_codes.
    """
    kind = id_of("concept").replace_strict(setting.words["visit_kinds"], default=None, return_dtype=pl.String)
    typed = _entries(rows, setting).with_columns(
        kind=kind,
        visit=id_of("key"),
        code_state=pl.when(kind.is_not_null()).then(pl.lit("known")),
        has_readable_dates=are_days("start", "end"),
        discharged_date=pl.when(kind == "spell").then(day_of("end")),
        contact_kind=pl.lit(setting.words["contact_kind"]),
        department_type=pl.lit(setting.words["department_type"]),
        procedure_codes=pl.lit(None, dtype=pl.String),
        discharge_method=pl.lit(None, dtype=pl.String),
    )
    joined = _add_method(typed, setting, methods).join(
        diagnoses, on="visit", how="left", validate="m:1", maintain_order="left"
    )
    return joined.with_columns(
        entered_date=pl.coalesce("discharged_date", "clinical_date"),
        has_method=(kind != "spell").fill_null(True) | pl.col("admission_method").is_not_null(),
    )


def _add_method(rows: pl.DataFrame, setting: Setting, methods: pl.DataFrame) -> pl.DataFrame:
    """The rows with admission method: by the first field that a stated method names, else by an emergency before."""
    admission = setting.words["admission"]
    found = []
    for field in admission["fields"]:
        stated = methods.filter(pl.col("field") == field).unique("value", keep="first", maintain_order=True)
        value = id_of("concept" if field == "visit_concept_id" else field)
        rows = rows.with_columns(value=value).join(
            stated.select("value", pl.col("admission_method").alias(f"by_{field}")),
            on="value",
            how="left",
            validate="m:1",
            maintain_order="left",
        )
        found.append(f"by_{field}")
    ended = rows.filter(pl.col("kind") == "attendance").select("text_person", day=day_of("end"))
    days = range(admission["days_after_emergency"] + 1)
    led = [ended.with_columns(clinical_date=pl.col("day").dt.offset_by(f"{day}d")).drop("day") for day in days]
    arrivals = pl.concat(led).unique().with_columns(by_arrival=pl.lit(admission["emergency_method"]))
    joined = rows.join(
        arrivals, on=["text_person", "clinical_date"], how="left", validate="m:1", maintain_order="left"
    )
    return joined.with_columns(admission_method=pl.coalesce(*found, "by_arrival"))


def diagnoses_of(conditions: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """ICD-10 codes of each visit, one row a visit, the primary diagnosis first, then in the order of the conditions.

    ``conditions`` are condition rows as text. An ICD-10 source code counts first, then the stated mapping.
    """
    keyed = conditions.select(
        visit=id_of("visit"),
        order=id_of("key").cast(pl.Int64, strict=False),
        is_primary=(id_of("status") == setting.words["primary_diagnosis"]).fill_null(False),
        text_concept="text_concept",
        text_source_concept="text_source_concept",
    ).drop_nulls("visit")
    coded = _add_code(
        keyed, setting, name="icd10", vocabularies=setting.words["icd10_vocabularies"], source="concept"
    )
    mapped = setting.mappings.diagnoses.filter(pl.col("coding") == "SNOMED CT").select(
        sctid=pl.col("code").cast(pl.Int64), mapped_icd10="icd10_code"
    )
    joined = _add(coded, setting.vocabulary.snomed, "sctid").join(
        mapped, on="sctid", how="left", validate="m:1", maintain_order="left"
    )
    code = pl.coalesce(pl.col("icd10").str.replace_all(".", "", literal=True), "mapped_icd10")
    return (
        joined.select("visit", "order", "is_primary", code=code)
        .drop_nulls("code")
        .sort("visit", "is_primary", "order", "code", descending=[False, True, False, False])
        .unique(["visit", "code"], keep="first", maintain_order=True)
        .group_by("visit", maintain_order=True)
        .agg(diagnosis_codes=pl.col("code").str.join("|"))
    )


def _entries(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The columns that every entry about a person has."""
    name = "start" if "text_start" in rows.columns else "date"
    typed = rows.with_columns(
        has_readable_dates=are_days(name),
        clinical_date=day_of(name),
        entered_date=day_of(name),
        value=pl.lit(None, dtype=pl.Float64),
        unit=pl.lit(None, dtype=pl.String),
        has_check_digit=pl.lit(True),
        has_readable_numbers=pl.lit(True),
    )
    return _with_person(typed, setting)


def _with_person(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The rows with the person whom they are about, if held."""
    typed = rows.with_columns(person=id_of("person"), extract_date=pl.lit(setting.extract_date))
    held = setting.roster.with_columns(person_state=pl.lit("held"))
    return typed.join(held, on="person", how="left", validate="m:1", maintain_order="left")


def _with_state(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(code_state=pl.when(pl.col("concept_id").is_not_null()).then(pl.lit("known")))


def _add_snomed(rows: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The rows with the SNOMED CT concept as it was recorded, else the standard one."""
    return _add(rows, setting.vocabulary.snomed, "sctid").rename({"sctid": "concept_id"})


def _add_code(
    rows: pl.DataFrame, setting: Setting, *, name: str, vocabularies: list[str], source: str
) -> pl.DataFrame:
    """The rows with the code of some vocabularies that a concept column, or its source concept, stands for."""
    codes = setting.vocabulary.codes(*vocabularies).rename({"code": name})
    return _add(rows, codes, name, columns=["source_concept", "concept"] if source == "concept" else [source])


def _add(rows: pl.DataFrame, codes: pl.DataFrame, name: str, *, columns: list[str] | None = None) -> pl.DataFrame:
    """The rows with what the first of some concept columns stands for that stands for anything."""
    tried = columns or ["source_concept", "concept"]
    for column in tried:
        named = codes.select("concept", pl.col(name).alias(f"{name}_of_{column}"))
        rows = rows.with_columns(concept=id_of(column).cast(pl.Int64, strict=False)).join(
            named, on="concept", how="left", validate="m:1", maintain_order="left"
        )
    parts = [f"{name}_of_{column}" for column in tried]
    return rows.with_columns(pl.coalesce(parts).alias(name)).drop("concept", *parts)
