"""The QDiabetes package: found by entry point only, and equal to the published equations."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from models.published.registry import RowScore, load_scores
from tests.lib.reference_scores import REPOSITORY, read_rows, ten_year_risk

PACKAGE = REPOSITORY / "packages" / "casefinder-qdiabetes"
MODELS = ("a", "b", "c")
FLAGS = [
    "atypical_antipsychotic",
    "oral_corticosteroid",
    "cardiovascular_disease",
    "gestational_diabetes",
    "learning_disability",
    "severe_mental_illness",
    "polycystic_ovaries",
    "statin",
    "treated_hypertension",
    "family_history_diabetes",
]
PERSON = {
    "person_id": 1,
    "age_years": 50,
    "sex": "female",
    "ethnic_group": 2,
    "smoking": 1,
    "bmi": 31.0,
    "townsend": 2.0,
    "fasting_glucose": 5.5,
    "hba1c": 40.0,
    **dict.fromkeys(FLAGS, False),
}


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, RowScore]]:
    """The registry as it is once the package is installed, the installation being a folder on the path."""
    metadata = tmp_path / "casefinder_qdiabetes-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: casefinder-qdiabetes\nVersion: 0.1.0\n")
    lines = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    entry = next(line for line in lines if line.startswith("qdiabetes = "))
    (metadata / "entry_points.txt").write_text(f"[casefinder.scores]\n{entry.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(PACKAGE))
    load_scores.cache_clear()
    yield load_scores()
    load_scores.cache_clear()


def scored(score: RowScore, *, options: dict[str, str] | None = None, **changes: object) -> dict[str, object]:
    return score.score(pl.DataFrame([PERSON | changes], infer_schema_length=None), options=options).to_dicts()[0]


def test_the_core_never_imports_the_package() -> None:
    load = "import sys; from models.published.registry import load_scores; load_scores(); "
    code = load + "sys.exit('casefinder_qdiabetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
    sources = [*(REPOSITORY / "models").rglob("*.py"), *(REPOSITORY / "pipelines").rglob("*.py")]
    assert not [path for path in sources if "casefinder_qdiabetes" in path.read_text(encoding="utf-8")]


def test_the_package_is_found_by_its_entry_point(scores: dict[str, RowScore]) -> None:
    assert {f"qdiabetes_{model}" for model in MODELS} < set(scores)
    assert all(scores[f"qdiabetes_{model}"].definition.licence == "AGPL-3.0-or-later" for model in MODELS)
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in (PACKAGE / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", MODELS)
def test_random_and_extreme_people_agree_with_the_plain_equation(model: str, scores: dict[str, RowScore]) -> None:
    dice = random.Random(model)
    rows = [
        row
        for row in read_rows(PACKAGE / "casefinder_qdiabetes" / "coefficients.csv")
        if row["model"] == model.upper()
    ]
    people = [random_person(dice, place) for place in range(400)]
    for name, values in SWEPT.items():
        people += [random_person(dice, len(people) + place) | {name: value} for place, value in enumerate(values)]
    frame = pl.DataFrame(people, infer_schema_length=None)
    result = scores[f"qdiabetes_{model}"].score(frame, options={"clip": "none"})
    expected = pl.Series([ten_year_risk(rows, person) for person in people])
    assert result["reason"].null_count() == frame.height
    assert float((result[f"qdiabetes_{model}"] - expected).abs().max()) < 1e-9


SWEPT: dict[str, list[float]] = {
    "age_years": list(range(25, 85)),
    "ethnic_group": list(range(1, 10)),
    "smoking": list(range(5)),
    "bmi": [20 + step / 2 for step in range(41)],
    "townsend": [step - 8.0 for step in range(23)],
    "fasting_glucose": [2 + step / 10 for step in range(50)],
    "hba1c": [15 + step / 2 for step in range(66)],
}


def random_person(dice: random.Random, place: int) -> dict[str, object]:
    """Everything at random; the women's conditions for women only."""
    sex = dice.choice(["female", "male"])
    flags = {name: dice.random() < 0.3 for name in FLAGS}
    if sex == "male":
        flags |= {"gestational_diabetes": False, "polycystic_ovaries": False}
    return {"person_id": place, "sex": sex, **{name: dice.choice(values) for name, values in SWEPT.items()}, **flags}


def test_worked_examples_agree(scores: dict[str, RowScore]) -> None:
    folder = Path(__file__).parents[1] / "golden" / "scores" / "qdiabetes"
    for model in MODELS:
        examples = pl.read_csv(folder / f"qdiabetes_{model}.csv")
        result = scores[f"qdiabetes_{model}"].score(examples.drop("expected"))
        assert float((result[f"qdiabetes_{model}"] - examples["expected"]).abs().max()) < 1e-9


def test_glucose_and_hba1c_that_may_be_diabetes_are_never_scored(scores: dict[str, RowScore]) -> None:
    for model, name, last, first in (("b", "fasting_glucose", 6.99, 7.0), ("c", "hba1c", 47.9, 48.0)):
        score = scores[f"qdiabetes_{model}"]
        assert scored(score, **{name: last})[f"qdiabetes_{model}"] is not None
        assert str(scored(score, **{name: first})["reason"]).startswith(f"{name}: outside")
        assert scored(score, **{name: None})["reason"] == f"{name}: unknown"


def test_hba1c_in_percent_is_refused_not_converted(scores: dict[str, RowScore]) -> None:
    assert str(scored(scores["qdiabetes_c"], hba1c=5.8)["reason"]).startswith(
        "hba1c: outside 15 to under 48 mmol/mol"
    )
    assert scored(scores["qdiabetes_c"], hba1c=40.0, hba1c_unit="%")["reason"] == "hba1c_unit: not mmol/mol"


def test_bmi_is_clipped_to_20_to_40_and_listed(scores: dict[str, RowScore]) -> None:
    for value, nearest in ((19.9, 20.0), (41.0, 40.0)):
        result = scored(scores["qdiabetes_a"], bmi=value)
        assert result["inputs_clipped"] == "bmi"
        assert result["qdiabetes_a"] == scored(scores["qdiabetes_a"], bmi=nearest)["qdiabetes_a"]


def test_people_with_diabetes_are_not_eligible(scores: dict[str, RowScore]) -> None:
    assert scored(scores["qdiabetes_a"], diabetes=True)["reason"] == "not eligible: diabetes"


def test_conditions_of_women_are_ignored_for_men_and_marked(scores: dict[str, RowScore]) -> None:
    plain = scored(scores["qdiabetes_a"], sex="male")
    result = scored(scores["qdiabetes_a"], sex="male", gestational_diabetes=True)
    assert result["qdiabetes_a"] == plain["qdiabetes_a"]
    assert result["marks"] == "ignored: gestational_diabetes is for sex female only"


def test_an_unknown_bmi_is_estimated_and_marked(scores: dict[str, RowScore]) -> None:
    assert scored(scores["qdiabetes_a"], bmi=None)["marks"] == "estimated inputs"
    assert scored(scores["qdiabetes_a"], bmi=None, options={"unknown": "refuse"})["reason"] == "bmi: unknown"


def test_two_scores_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> tuple[object, ...]:
            from models.published.qrisk3 import SCORE

            return (SCORE,)

    monkeypatch.setattr("models.published.registry.entry_points", lambda group: [Entry()])
    load_scores.cache_clear()
    with pytest.raises(ValueError, match=r"two published scores are called .'qrisk3'."):
        load_scores()
    load_scores.cache_clear()
