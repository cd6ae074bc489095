"""Puts in plain words why a person is on a list and what to do; every text comes from actions.yaml."""

import string
from dataclasses import dataclass

import polars as pl

from data_contracts.actions import Actions, Flag, Phrase
from data_contracts.clinical.definitions import not_seen_titles, owed_titles

WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_BLANKS = ["count", "value", "second", "date", "title"]


@dataclass(frozen=True)
class ReasonTables:
    """The chosen people's rows of each table that a reason can come from."""

    chosen: pl.DataFrame
    complex_care: pl.DataFrame
    risk_scores: pl.DataFrame
    risk_reasons: pl.DataFrame
    care_owed: pl.DataFrame
    person_features: pl.DataFrame
    conditions: pl.DataFrame
    measurements: pl.DataFrame
    programme_states: pl.DataFrame
    non_responders: pl.DataFrame
    people_not_seen: pl.DataFrame
    lifestyle_flags: pl.DataFrame


def word_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per chosen person: reasons in plain words with dates, strongest first, joined by |."""
    rows = pl.concat(
        [
            _added_reasons(tables, rules=rules),
            _score_reasons(tables, rules=rules),
            _part_reasons(tables, rules=rules),
            _owed_reasons(tables, rules=rules),
            _gap_reasons(tables, rules=rules),
            _not_seen_reasons(tables, rules=rules),
            *[
                _flag_reasons(tables, name, flag)
                for name, flag in rules.flags.items()
                if not rules.is_sensitive(name)
            ],
        ],
        how="diagonal",
    )
    return (
        _fill(rows)
        .sort("person_id", "section", "place", "reason")
        .unique(["person_id", "reason"], keep="first", maintain_order=True)
        .group_by("person_id", maintain_order=True)
        .agg(reasons=pl.col("reason").str.join("|"))
    )


def suggest_actions(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per chosen person: the cohort's action, then what to offer for each gap and flag."""
    main = {cohort.name: cohort.action for cohort in rules.cohorts}
    offers = pl.concat([_programme_offers(tables, rules=rules), _flag_offers(tables, rules=rules)])
    also = (
        offers.sort("person_id", "place")
        .group_by("person_id", maintain_order=True)
        .agg(also=pl.col("action").unique(maintain_order=True).str.join("; "))
    )
    lead = pl.col("place_from").replace_strict(main, return_dtype=pl.String)
    rest = pl.concat_str(pl.lit(". Also "), "also")
    return tables.chosen.join(also, on="person_id", how="left", validate="1:1").select(
        "person_id", suggested_action=pl.concat_str(lead, rest.fill_null(""))
    )


def _added_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person whose place comes from the practice's own wish."""
    return tables.chosen.filter(pl.col("place_from") == "added_by_practice").select(
        "person_id", text=pl.lit(rules.added_text), section=pl.lit(0), place=pl.lit(0)
    )


def _score_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person in complex care: the score that ranked the person, a risk as people in 100."""
    risks = tables.risk_scores.select("person_id", risk="risk_avoidable_admission_12m")
    by_risk = pl.col("ranked_by") == "risk_avoidable_admission_12m"
    value = pl.when(by_risk).then("risk").otherwise("score") * pl.col("scale")
    return (
        tables.complex_care.join(risks, on="person_id", how="left", validate="1:1")
        .join(_phrases(rules.scores), left_on="ranked_by", right_on="name", how="inner", validate="m:1")
        .select(
            "person_id",
            "text",
            "one",
            value=_scaled(value, pl.col("scale")),
            section=pl.lit(1),
            place=pl.lit(0),
        )
    )


def _owed_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person in complex care: how the things owed stand, those that are missing first."""
    titles = owed_titles()
    words = pl.lit(None, dtype=pl.String)
    fills = {
        "title": pl.col("thing").replace_strict(titles, return_dtype=pl.String),
        "since": _long_date(pl.col("since_date")),
        "latest": _long_date(pl.col("latest_date")),
    }
    for state, sentence in rules.owed.states.items():
        words = pl.when(pl.col("state") == state).then(worded(sentence, fills)).otherwise(words)
    order = pl.col("state").replace_strict({"missing": 0, "due_for_review": 1}, default=2, return_dtype=pl.Int8)
    said = (
        tables.care_owed.with_columns(said=words, order=order)
        .drop_nulls("said")
        .sort("person_id", "order", pl.col("thing").replace_strict(list(titles), list(range(len(titles)))))
        .group_by("person_id", maintain_order=True)
        .agg(things=pl.col("said").str.join("; "))
    )
    text = worded(rules.owed.text, {"things": pl.col("things")})
    return said.select("person_id", text=text, section=pl.lit(2), place=pl.lit(len(titles) + 100))


def _not_seen_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person who was not seen: how, but nothing of the person's circumstances."""
    words, titles = rules.not_seen, not_seen_titles()
    told = {name: titles[name] for name in words.told}
    said = (
        pl.col("reasons").str.split("|").list.eval(pl.element().replace_strict(told, default=None)).list.drop_nulls()
    )
    text = (
        pl.when(said.list.len() > 0)
        .then(worded(words.text, {"reasons": said.list.join("; ")}))
        .when(pl.col("place_from") == "people_not_seen")
        .then(pl.lit(words.otherwise))
    )
    places = tables.chosen.select("person_id", "place_from")
    rows = tables.people_not_seen.join(places, on="person_id", how="inner", validate="1:1")
    return rows.select("person_id", text=text, section=pl.lit(3), place=pl.lit(1))


def _scaled(value: pl.Expr, scale: pl.Expr) -> pl.Expr:
    """People in 100 as a whole number, at least 1; other scores to two decimals."""
    return pl.when(scale != 1).then(value.round(0).clip(lower_bound=1)).otherwise(value.round(2))


def _part_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person in complex care and leading part of the learned score that has a text."""
    parts = _score_parts(tables, rules=rules).with_columns(bare=pl.col("name").str.replace("^has_", ""))
    values = tables.person_features.select("person_id", name="feature", known="value")
    dates = _dates(tables)
    return (
        parts.join(_part_phrases(rules), on="bare", how="inner", validate="m:1")
        .join(values, on=["person_id", "name"], how="left", validate="m:1")
        .join(dates, on=["person_id", "bare"], how="left", validate="m:1")
        .with_columns(value=pl.coalesce("known", "measured"))
        .filter(pl.int_range(pl.len()).over("person_id") < rules.shown_score_parts)
        .select("person_id", "text", "one", "falls", "undated", "title", "value", "date", "place", section=pl.lit(2))
    )


def _score_parts(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person in complex care and part of the score, in the model's order, sensitive ones left out."""
    members = tables.complex_care.select("person_id")
    parts = (
        tables.risk_reasons.join(members, on="person_id", how="semi")
        .drop_nulls("reasons")
        .select("person_id", part=pl.col("reasons").str.split("|"))
        .explode("part")
        .with_columns(
            name=pl.col("part").str.extract(r"^([^=]+)="),
            points=pl.col("part").str.extract(r"=(.+)$").cast(pl.Float64),
        )
        .filter(pl.col("points") > 0)
        .with_columns(place=pl.int_range(pl.len(), dtype=pl.Int32).over("person_id"))
    )
    hidden = [name for name in parts["name"].unique() if rules.is_sensitive(name)]
    return parts.filter(~pl.col("name").is_in(hidden)).select("person_id", "name", "place")


def _part_phrases(rules: Actions) -> pl.DataFrame:
    """One row per feature or condition that may be named, with its text."""
    conditions = {
        name: Phrase(text=rules.condition_text, undated=rules.condition_text_undated)
        for name in rules.conditions
        if name not in rules.features
    }
    return _phrases(rules.features | conditions).select(
        "text",
        "one",
        "falls",
        "undated",
        bare="name",
        title=pl.col("name").replace_strict(rules.conditions, default=None),
    )


def _phrases(phrases: dict[str, Phrase]) -> pl.DataFrame:
    """One row per phrase: name, text, one, falls, undated, scale."""
    schema = dict.fromkeys(["text", "one", "falls", "undated", "name"], pl.String) | {"scale": pl.Float64}
    return pl.DataFrame([phrase.model_dump() | {"name": name} for name, phrase in phrases.items()], schema=schema)


def _dates(tables: ReasonTables) -> pl.DataFrame:
    """One row per person and condition or measure: its date, and the measured value."""
    conditions = tables.conditions.select(
        "person_id", bare="condition", date="first_date", measured=pl.lit(None, dtype=pl.Float64)
    )
    measures = tables.measurements.select("person_id", bare="measure", date="measured_date", measured="value")
    return pl.concat([conditions, measures]).unique(["person_id", "bare"], keep="last", maintain_order=True)


def _gap_reasons(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person with gaps: all of them in one sentence, and when the practice last saw the person."""
    words = rules.gaps
    listed = (
        _gaps(tables, rules=rules)
        .with_columns(gap=_gap_in_words(rules))
        .group_by("person_id", maintain_order=True)
        .agg(gaps=pl.col("gap").head(words.shown).str.join(", "), hidden=pl.len().cast(pl.Float64) - words.shown)
        .join(_last_seen(tables, rules=rules), on="person_id", how="left", validate="1:1")
    )
    more = pl.concat_str(pl.lit(" "), worded(words.more, {"count": _in_words(pl.col("hidden"))}))
    gaps = pl.concat_str("gaps", pl.when(pl.col("hidden") > 0).then(more).otherwise(pl.lit("")))
    text = pl.concat_str(worded(words.text, {"gaps": gaps}), pl.col("seen").fill_null(""))
    return listed.select("person_id", text=text, section=pl.lit(3), place=pl.lit(0))


def _gap_in_words(rules: Actions) -> pl.Expr:
    """One gap: the programme, then since when, how often invited and what came of it, in brackets."""
    words = rules.gaps
    titles = {name: programme.title for name, programme in rules.programmes.items()}
    known = pl.concat_str("state", pl.lit(" "), "grade").replace_strict(words.states, default=None)
    details = pl.concat_list(
        worded(words.since, {"month": _month(pl.col("due_date"))}), _invitations_in_words(rules), known
    )
    brackets = pl.concat_str(pl.lit(" ("), details.list.drop_nulls().list.join(", "), pl.lit(")"))
    return pl.concat_str(pl.col("programme").replace_strict(titles, return_dtype=pl.String), brackets)


def _invitations_in_words(rules: Actions) -> pl.Expr:
    """How often the person was invited, by the channel of the last time; null when no invitation is coded."""
    count = {"count": _in_words(pl.col("invitations"))}
    text = pl.lit(None, dtype=pl.String)
    for name, channel in rules.gaps.channels.items():
        said = pl.when(pl.col("invitations") == 1).then(pl.lit(channel.one)).otherwise(worded(channel.many, count))
        text = pl.when(pl.col("last_invited_by").fill_null("not coded") == name).then(said).otherwise(text)
    return pl.when(pl.col("invitations") > 0).then(text)


def _last_seen(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person whom the practice has seen: for what and in which month."""
    words = rules.gaps
    fills = {
        "what": pl.col("last_seen_for").replace_strict(words.seen_for, default=None),
        "month": _month(pl.col("last_seen_date")),
    }
    return tables.non_responders.select("person_id", seen=pl.concat_str(pl.lit("; "), worded(words.seen, fills)))


def _month(date: pl.Expr) -> pl.Expr:
    """The month of a date as people write it: May 2026."""
    return date.dt.strftime("%B %Y")


def worded(text: str, fills: dict[str, pl.Expr]) -> pl.Expr:
    """One text with its blanks filled row by row."""
    pieces = [
        piece
        for words, blank, _, _ in string.Formatter().parse(text)
        for piece in (pl.lit(words), *([fills[blank]] if blank else []))
    ]
    return pl.concat_str(pieces)


def _gaps(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person and gap, the weightiest first: harm times days overdue, as the priority counts it."""
    harm = {name: programme.harm for name, programme in rules.programmes.items()}
    points = pl.col("programme").replace_strict(harm, return_dtype=pl.Int64) * (
        pl.col("days_overdue").cast(pl.Int64) + 365
    ).clip(upper_bound=1095)
    return (
        tables.programme_states.filter("is_gap")
        .sort("person_id", points, "programme", descending=[False, True, False])
        .with_columns(place=pl.int_range(pl.len(), dtype=pl.Int32).over("person_id"))
    )


def _flag_reasons(tables: ReasonTables, name: str, flag: Flag) -> pl.DataFrame:
    """One row per person for whom the lifestyle flag is true."""
    empty = pl.lit(None, dtype=pl.Float64)
    return tables.lifestyle_flags.filter(pl.col(name)).select(
        "person_id",
        text=pl.lit(flag.text),
        undated=pl.lit(flag.undated),
        value=pl.col(flag.value) if flag.value else empty,
        second=pl.col(flag.second) if flag.second else empty,
        date=pl.col(flag.date),
        section=pl.lit(4),
    )


def _programme_offers(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person and overdue programme: what to offer."""
    actions = {name: programme.action for name, programme in rules.programmes.items()}
    return _gaps(tables, rules=rules).select(
        "person_id", "place", action=pl.col("programme").replace_strict(actions, return_dtype=pl.String)
    )


def _flag_offers(tables: ReasonTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person and lifestyle flag that is true: what to offer."""
    offers = [
        tables.lifestyle_flags.filter(pl.col(name)).select(
            "person_id", place=pl.lit(100 + number, dtype=pl.Int32), action=pl.lit(flag.action)
        )
        for number, (name, flag) in enumerate(rules.flags.items())
    ]
    return pl.concat(offers)


def _fill(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with ``reason``: the text filled; what cannot be filled, or counts none, is left out."""
    has_fallen = (pl.col("value") < 0) & pl.col("falls").is_not_null()
    rows = rows.with_columns(
        text=pl.when(has_fallen).then("falls").otherwise("text"),
        value=pl.when(has_fallen).then(pl.col("value").abs()).otherwise("value"),
    )
    whole = pl.col("value") == pl.col("value").round(0)
    digits = (
        pl.when(whole)
        .then(pl.col("value").cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(pl.col("value").round(2).cast(pl.String))
    )
    fills = {
        "count": pl.coalesce(_in_words(pl.col("value")), digits),
        "value": digits,
        "second": pl.col("second").round(0).cast(pl.Int64).cast(pl.String),
        "date": _long_date(pl.col("date")),
        "title": pl.col("title"),
    }
    text = (
        pl.when((pl.col("value") == 1) & pl.col("one").is_not_null())
        .then(pl.col("one"))
        .when(pl.col("date").is_null() & pl.col("undated").is_not_null())
        .then(pl.col("undated"))
        .otherwise(pl.col("text"))
    )
    for blank in _BLANKS:
        needs = text.str.contains(f"{{{blank}}}", literal=True)
        text = pl.when(needs).then(text.str.replace(f"{{{blank}}}", fills[blank], literal=True)).otherwise(text)
    says_none = pl.col("text").str.contains("{count}", literal=True) & (pl.col("value").fill_null(0) == 0)
    return rows.filter(~says_none).with_columns(reason=text).drop_nulls("reason")


def _in_words(number: pl.Expr) -> pl.Expr:
    """Whole numbers below ten as words, larger ones as digits."""
    words = {float(value): word for value, word in enumerate(WORDS)}
    whole = number.cast(pl.Float64)
    return whole.replace_strict(words, default=whole.cast(pl.Int64, strict=False).cast(pl.String))


def _long_date(date: pl.Expr) -> pl.Expr:
    """A date as people write it: 3 May 2026."""
    return date.dt.strftime("%-d %B %Y")


def blanks_of(text: str) -> set[str]:
    """The names of the placeholders in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
