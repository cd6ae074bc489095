"""Saved models: the same after loading, refused when they are not what they say."""

import datetime as dt
import json

import pytest

from models.training import train
from pipelines.io.model_store import ModelRefusedError, ModelStore, read_model
from tests.lib.studies import DEFINITIONS, make_study


@pytest.fixture(scope="module")
def study():
    return make_study(5_000)


@pytest.fixture(scope="module")
def model(study):
    return train(study.design, study.features, study.people, study.admissions)[0]


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models", DEFINITIONS)


def test_saving_and_loading_gives_the_same_scores(study, model, store):
    store.save(model)
    loaded = store.load(model.version)
    assert loaded == model
    ids = study.people["person_id"]
    assert loaded.score(study.features, ids).equals(model.score(study.features, ids))


def test_saving_twice_writes_the_same_bytes(model, store):
    path = store.save(model)
    first = path.read_bytes(), (store.folder / "register.json").read_bytes()
    store.save(model)
    assert (path.read_bytes(), (store.folder / "register.json").read_bytes()) == first


def test_promotion_is_recorded_and_retires_the_champion_before(model, store):
    second = model.model_copy(update={"version": "second"})
    assert store.champion() is None
    for each, reason in ((model, "first"), (second, "finds more")):
        store.save(each)
        store.promote(
            each.version, decided_by="analyst", decided_on=dt.date(2026, 11, 16), reason=reason, figures={"c": 0.8}
        )
    assert store.champion() == second
    entries = {entry.version: entry for entry in store.entries()}
    assert entries[model.version].state == "retired"
    assert entries["second"].promotion.replaced == model.version


def test_promoting_the_champion_again_changes_nothing(model, store):
    store.save(model)
    decision = {"decided_by": "analyst", "decided_on": dt.date(2026, 11, 16), "figures": {}}
    first = store.promote(model.version, reason="first", **decision)
    assert store.promote(model.version, reason="again", **decision) == first


def test_unknown_version_is_refused(store):
    with pytest.raises(ModelRefusedError, match="no model 'absent'"):
        store.load("absent")


def _change(path, **changes):
    envelope = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(envelope | changes), "utf-8")


def test_tampered_content_is_refused(model, store):
    path = store.save(model)
    body = json.loads(path.read_text("utf-8"))["model"]
    _change(path, model=body | {"intercept": 0.0})
    with pytest.raises(ModelRefusedError, match="does not match its hash"):
        store.load(model.version)


def test_another_model_in_its_place_is_refused(model, store):
    path = store.save(model)
    other = store.save(model.model_copy(update={"version": "other", "intercept": 0.0}))
    path.write_bytes(other.read_bytes())
    with pytest.raises(ModelRefusedError, match="not the model that was registered"):
        store.load(model.version)


def _resealed(store, body):
    """A file whose hash is right, so that only its types can be wrong."""
    from pipelines.io.model_store import SCHEMA, _digest

    path = store.folder / "resealed.json"
    path.write_text(json.dumps({"schema": SCHEMA, "content_sha256": _digest(body), "model": body}), "utf-8")
    return path


@pytest.mark.parametrize(
    "change", [{"kind": "pickle"}, {"code": "import os"}, {"intercept": "0"}], ids=["kind", "field", "type"]
)
def test_unknown_types_are_refused(model, store, change):
    store.save(model)
    path = _resealed(store, model.model_dump(mode="json") | change)
    with pytest.raises(ModelRefusedError, match="not of the listed types"):
        read_model(path, DEFINITIONS)


def test_another_schema_is_refused(model, store):
    path = store.save(model)
    _change(path, schema="casefinder.additive_model/99")
    with pytest.raises(ModelRefusedError, match="expected schema"):
        store.load(model.version)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x80\x04K\x01."], ids=["empty", "list", "object", "pickle"])
def test_what_is_no_model_is_refused(model, store, text):
    path = store.save(model)
    path.write_text(text, "utf-8")
    with pytest.raises(ModelRefusedError, match="expected a saved model"):
        store.load(model.version)


def test_model_of_another_feature_version_is_refused(model, store):
    store.save(model)
    with pytest.raises(ModelRefusedError, match="retrain it with casefinder train"):
        ModelStore(
            store.folder, DEFINITIONS | {"egfr": DEFINITIONS["egfr"].model_copy(update={"absent": "zero"})}
        ).load(model.version)


def test_model_of_a_dropped_feature_is_refused(model, store):
    store.save(model)
    fewer = {name: each for name, each in DEFINITIONS.items() if name != "egfr"}
    with pytest.raises(ModelRefusedError, match=r"no longer exist: \['egfr'\]"):
        ModelStore(store.folder, fewer).load(model.version)
