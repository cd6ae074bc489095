"""Puts ICD-10 codes on hospital spells, so that avoidable ones are avoidable by their codes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.population import Population
from pipelines.synthetic.world import YEAR, Floats, Ints, stream


@dataclass(frozen=True)
class SpellCodes:
    """One entry of each array a spell: codes joined by |, methods; texts are rows of their own lists."""

    diagnosis_codes: NDArray[np.object_]
    admission_method: NDArray[np.object_]
    discharge_method: NDArray[np.object_]


def spell_codes(population: Population) -> SpellCodes:
    """Primary and secondary diagnoses and methods of every spell."""
    draw = stream(population.plan.seed, population.chunk.number, "spell codes")
    spells = population.lives.spells
    primary = np.full(len(spells.person), "", dtype=object)
    for kind, asked in (
        ("avoidable", spells.is_emergency & spells.is_avoidable),
        ("other", spells.is_emergency & ~spells.is_avoidable),
        ("elective", ~spells.is_emergency),
    ):
        rows = np.flatnonzero(asked)
        primary[rows] = _primary(population, kind, rows, draw)
    methods = population.world.entry("stay.methods")
    emergency = draw.choice(np.array(list(methods), dtype=object), len(primary), p=list(methods.values()))
    planned = draw.choice(np.array(["11", "12", "13"], dtype=object), len(primary), p=[0.6, 0.25, 0.15])
    return SpellCodes(
        diagnosis_codes=primary + _secondary(population, draw),
        admission_method=np.where(spells.is_emergency, emergency, planned),
        discharge_method=np.where(spells.is_fatal, "4", "1").astype(object),
    )


def _primary(population: Population, kind: str, rows: Ints, draw: np.random.Generator) -> NDArray[np.object_]:
    """One primary diagnosis a spell, by age and by the conditions the person has."""
    spells, people = population.lives.spells, population.people
    table = population.world.tables["diagnoses"].filter(kind=kind)
    age = (spells.admitted_day[rows] - people.birth_day[spells.person[rows]]) / YEAR
    band = np.searchsorted([16.0, 70.0], age, side="right")
    weights = table.select("weight_child", "weight_adult", "weight_old").to_numpy().T[band].astype(np.float64)
    for place, needs in enumerate(table["needs"]):
        if needs:
            weights[:, place] *= _need(population, str(needs), rows)
    running = np.cumsum(weights, axis=1)
    chosen = (running < (draw.random(len(rows)) * running[:, -1])[:, None]).sum(axis=1)
    codes = [text.split("|") for text in table["codes"]]
    depth = np.array([len(found) for found in codes])
    flat = np.array([code for found in codes for code in found], dtype=object)
    first = np.cumsum(depth) - depth
    return np.asarray(flat[first[chosen] + np.floor(draw.random(len(rows)) ** 2 * depth[chosen]).astype(np.int64)])


def _need(population: Population, condition: str, rows: Ints) -> Floats:
    """How much likelier a diagnosis is with the condition it goes with: many times, and hardly at all without."""
    spells = population.lives.spells
    onset = population.onsets.onset_day[:, population.world.conditions.index(condition)]
    return np.where(onset[spells.person[rows]] < spells.admitted_day[rows], 5.0, 0.15)


def _secondary(population: Population, draw: np.random.Generator) -> NDArray[np.object_]:
    """Secondary diagnoses, each led by |: long-term conditions that the ward coded."""
    spells = population.lives.spells
    text = np.full(len(spells.person), "", dtype=object)
    for row in population.world.tables["diagnoses"].filter(kind="secondary").iter_rows(named=True):
        onset = population.onsets.onset_day[:, population.world.conditions.index(row["needs"])]
        present = onset[spells.person] < spells.admitted_day
        coded = np.flatnonzero(present & (draw.random(len(text)) < population.world.number("stay.comorbidity_coded")))
        text[coded] = text[coded] + f"|{row['codes']}"
    return text
