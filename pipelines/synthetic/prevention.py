"""Screening and immunisation histories: who was due, who came, who declined, what the record says of it."""

from functools import partial

import numpy as np

from pipelines.synthetic.admissions import Lives
from pipelines.synthetic.coding import Coding
from pipelines.synthetic.conditions import Onsets
from pipelines.synthetic.courses import course_entries
from pipelines.synthetic.gp_records import Entries, Span, entries, joined, late, span
from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import YEAR, Flags, Floats, World, logistic, stream


def prevention_entries(
    world: World, plan: Plan, people: People, onsets: Onsets, lives: Lives, coding: Coding, chunk: int
) -> Entries:
    """All screening and immunisation entries of a chunk's people."""
    whole = span(plan, people, lives, world.number("time.years_before"))
    draw = stream(plan.seed, chunk, "prevention")
    lean = _leaning(world, people)
    return joined(
        [
            *_bowel(world, plan, people, whole, lean, coding, draw),
            *_breast(world, plan, people, whole, lean, coding, draw),
            *_cervical(world, plan, people, whole, lean, coding, draw),
            *_flu(world, plan, people, onsets, whole, coding, draw),
            *_mmr(world, plan, people, whole, coding, draw),
            *course_entries(world, plan, people, onsets, whole, coding, chunk),
        ]
    )


def _figure(world: World, block: str, name: str) -> float:
    """One figure of a block of world.yaml."""
    return world.number(f"{block}.{name}")


def _leaning(world: World, people: People) -> Floats:
    """Log odds of responding to screening that go with the person, the group and the place."""
    poorer = 5.5 - people.deprivation_tenth
    lean = world.number("screening.per_past_response") * people.leaning
    lean = lean + world.number("screening.deprivation_per_tenth") * poorer
    return lean + world.column("ethnic_groups", "response")[people.ethnic_group]


def _round(
    world: World,
    name: str,
    invited: Flags,
    due: Floats,
    odds: Floats,
    whole: Span,
    coding: Coding,
    draw: np.random.Generator,
) -> list[Entries]:
    """One round of invitations: done, declined or no response, as far as the record says."""
    count = len(due)
    comes = invited & (draw.random(count) < logistic(odds))
    done_day = np.floor(due + 10 + draw.standard_exponential(count) * world.number(f"screening.{name}.late_days"))
    done = np.flatnonzero(comes & (done_day < whole.last) & (done_day > whole.first))
    missed = invited & ~comes
    place = draw.random(count)
    declines = missed & (place < world.number("screening.decline") / 0.3)
    silent = missed & ~declines & (place < 0.06 + world.number("screening.non_response_coded"))
    found = [entries(done, done_day[done], coding.draw(f"{name}_screening_done", len(done), draw))]
    if coding.has(f"{name}_screening_hpv_negative"):
        is_negative = draw.random(len(done)) < world.number(f"screening.{name}.negative")
        for result, which in (("hpv_negative", is_negative), ("hpv_positive", ~is_negative)):
            own = done[which]
            found.append(entries(own, done_day[own], coding.first(f"{name}_screening_{result}")))
    unanswered = "no_response" if coding.has(f"{name}_screening_no_response") else "did_not_attend"
    for who, ending, wait in ((declines, "declined", 30.0), (silent, unanswered, 120.0)):
        day = np.floor(due + wait + draw.random(count) * 40)
        person = np.flatnonzero(who & (day < whole.last) & (day > whole.first))
        code = coding.draw(f"{name}_screening_{ending}", len(person), draw)
        found.append(entries(person, day[person], code, delay=late(world, len(person), draw)))
    return found


def _bowel(
    world: World, plan: Plan, people: People, whole: Span, lean: Floats, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """A kit every two years from 50 to 74."""
    every = world.number("screening.bowel.every_days")
    phase = draw.random(people.count) * every
    odds = world.number("screening.bowel.intercept") + lean + world.number("screening.bowel.male") * people.is_male
    found: list[Entries] = []
    for back in range(4):
        due = plan.anchor_day - phase - every * back
        age = (due - people.birth_day) / YEAR
        invited = (age >= world.number("screening.bowel.age_from")) & (
            age < world.number("screening.bowel.age_to") + 1
        )
        found += _round(world, "bowel", invited, due, odds, whole, coding, draw)
    return found


def _breast(
    world: World, plan: Plan, people: People, whole: Span, lean: Floats, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """A practice's round every three years, women from 50 to their 71st birthday."""
    every = world.number("screening.breast.every_days")
    phase = plan.practices["breast_round_day"].to_numpy()[people.practice] + draw.random(people.count) * 60
    odds = world.number("screening.breast.intercept") + lean
    found: list[Entries] = []
    for back in range(3):
        due = plan.anchor_day - phase - every * back
        age = (due - people.birth_day) / YEAR
        invited = (age >= world.number("screening.breast.age_from")) & (
            age < world.number("screening.breast.age_to") + 1
        )
        found += _round(world, "breast", invited & ~people.is_male, due, odds, whole, coding, draw)
    return found


def _cervical(
    world: World, plan: Plan, people: People, whole: Span, lean: Floats, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """A sample every three years to 49 and five after, with invitations and reminders in the record."""
    figure = partial(_figure, world, "screening.cervical")
    place = draw.random(people.count)
    age_now = people.age(plan.anchor_day)
    share = figure("unsuitable_at_45") + figure("unsuitable_per_year") * np.maximum(age_now - 45, 0)
    unsuitable = ~people.is_male & (age_now >= 35) & (draw.random(people.count) < share)
    found: list[Entries] = []
    for back in range(3):
        older = age_now - back * 3 >= figure("old_age")
        every = np.where(older, figure("old_days"), figure("young_days"))
        due = plan.anchor_day - place * every - every * back
        age = (due - people.birth_day) / YEAR
        invited = ~people.is_male & ~unsuitable & (age >= figure("age_from")) & (age < figure("age_to") + 1)
        odds = figure("intercept") + figure("older") * older + lean
        found += _round(world, "cervical", invited, due, odds, whole, coding, draw)
        found += _invitations(world, invited, due, whole, coding, draw)
    first = np.flatnonzero(unsuitable & (whole.years > 0))
    day = np.floor(whole.first[first] + draw.random(len(first)) * (whole.last[first] - whole.first[first]))
    found.append(entries(first, day, coding.draw("cervical_screening_unsuitable", len(first), draw)))
    return found


def _invitations(
    world: World, invited: Flags, due: Floats, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """Invitations coded when due, and reminders to some."""
    found = []
    for number in range(int(world.number("screening.cervical.reminders"))):
        day = np.floor(due + number * world.number("screening.cervical.reminder_days"))
        asked = invited & (day < whole.last) & (day > whole.first) & (draw.random(len(due)) < 0.75 - 0.45 * number)
        person = np.flatnonzero(asked)
        found.append(entries(person, day[person], coding.first("cervical_screening_invited")))
    return found


def _flu(
    world: World, plan: Plan, people: People, onsets: Onsets, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """A season's vaccination for the old, those at risk and small children, habits carrying over the years."""
    figure = partial(_figure, world, "flu")
    risk_day = onsets.recorded_day[:, world.conditions.indices(world.entry("flu.risk_groups"))].min(axis=1)
    lean = figure("leaning") * people.leaning + figure("deprivation_per_tenth") * (5.5 - people.deprivation_tenth)
    lean = lean + world.column("ethnic_groups", "response")[people.ethnic_group]
    found: list[Entries] = []
    for start in season_starts(world, plan):
        age = (start - people.birth_day) / YEAR
        base = np.where(
            age >= 65,
            figure("older"),
            np.where((age >= 2) & (age < 4), figure("child"), np.where(risk_day < start, figure("at_risk"), np.nan)),
        )
        asked = ~np.isnan(base) & (age >= 0.5) & (whole.years > 0)
        comes = asked & (draw.random(people.count) < logistic(np.nan_to_num(base) + lean))
        wait = draw.standard_gamma(2.0, people.count) * figure("season_peak") / 2 + 4
        day = np.floor(start + np.minimum(wait, figure("season_days")))
        done = np.flatnonzero(comes & (day < whole.last) & (day > whole.first))
        found.append(entries(done, day[done], coding.draw("flu_vaccination_done", len(done), draw)))
        says_no = asked & ~comes & (draw.random(people.count) < figure("declined"))
        no = np.flatnonzero(says_no & (day < whole.last) & (day > whole.first))
        found.append(entries(no, day[no], coding.draw("flu_vaccination_declined", len(no), draw)))
    return found


def season_starts(world: World, plan: Plan) -> list[int]:
    """First day of each flu season from the first made year to the anchor."""
    first = plan.anchor.year - int(world.number("time.years_before"))
    days = int(world.number("flu.season_start_day"))
    january = [np.datetime64(f"{year}-01-01").astype(int) for year in range(first, plan.anchor.year + 1)]
    return [int(day) + days for day in january if int(day) + days < plan.anchor_day]


def _mmr(
    world: World, plan: Plan, people: People, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """Two doses, the second only after the first; entered when given, however long ago."""
    figure = partial(_figure, world, "mmr")
    young = people.birth_day > plan.anchor_day - figure("oldest_birth_years") * YEAR
    lean = figure("leaning") * people.leaning + figure("deprivation_per_tenth") * (5.5 - people.deprivation_tenth)
    lean = lean + world.column("ethnic_groups", "response")[people.ethnic_group]
    found: list[Entries] = []
    had = young & (whole.years > 0)
    _, first_code, second_code = (coding.first("mmr_vaccination_done") + place for place in range(3))
    for dose, code in (("first", first_code), ("second", second_code)):
        comes = had & (draw.random(people.count) < logistic(figure(dose) + lean))
        wait = figure(f"{dose}_days") + draw.standard_exponential(people.count) * figure("late_days")
        day = np.floor(people.birth_day + wait)
        done = np.flatnonzero(comes & (day < whole.last))
        found.append(entries(done, day[done], code))
        says_no = had & ~comes & (draw.random(people.count) < figure("declined")) & (day < whole.last)
        no = np.flatnonzero(says_no)
        found.append(entries(no, day[no], coding.first("child_vaccination_declined")))
        had = comes
    return found
