"""Saved models and the register of them: JSON with a schema name and a content hash, never code."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from data_contracts.clinical.definitions import Feature as Definition
from models.additive import AdditiveModel
from models.design import RANKS_BY, StudyDesign, version_of
from pipelines.io.durable import write_aside

SCHEMA = "casefinder.additive_model/2"
REGISTER = "register.json"

State = Literal["candidate", "champion", "retired"]


class ModelRefusedError(ValueError):
    """A saved model that must not be used; the message says why and what to do."""


class Promotion(BaseModel):
    """Why a model became champion: who decided, when, against which other, on which figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decided_by: str
    decided_on: dt.date
    reason: str
    replaced: str | None
    figures: dict[str, float]


class Entry(BaseModel):
    """One model in the register."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    content_sha256: str
    state: State
    promotion: Promotion | None = None


class ModelStore:
    """The models folder of one workspace: ``<version>.json`` each, and ``register.json``."""

    def __init__(self, folder: Path, definitions: Mapping[str, Definition]) -> None:
        """Opens the store; ``definitions`` are today's features by name, as ``load_features`` gives them."""
        self.folder = folder
        self.definitions = definitions

    def save(self, model: AdditiveModel) -> Path:
        """The path of the saved model, now a candidate; the same model again changes nothing."""
        body = model.model_dump(mode="json")
        envelope = {"schema": SCHEMA, "content_sha256": _digest(body), "model": body}
        path = self._path(model.version)
        _write(path, json.dumps(envelope, indent=1, sort_keys=True))
        entries = self.entries()
        if model.version not in {entry.version for entry in entries}:
            new = Entry(version=model.version, content_sha256=envelope["content_sha256"], state="candidate")
            self._write_register([*entries, new])
        return path

    def load(self, version: str) -> AdditiveModel:
        """The model of that version.

        Raises:
            ModelRefusedError: unknown version or type, changed content, or other features than today's.
        """
        entry = next((entry for entry in self.entries() if entry.version == version), None)
        if entry is None:
            raise ModelRefusedError(
                f"no model {version!r} in {self.folder / REGISTER}; there are: {self._versions()}"
            )
        model = read_model(self._path(version), self.definitions)
        if _digest(model.model_dump(mode="json")) != entry.content_sha256:
            raise ModelRefusedError(
                f"{self._path(version)}: not the model that was registered; restore or retrain it"
            )
        return model

    def entries(self) -> list[Entry]:
        """Every registered model, oldest first."""
        path = self.folder / REGISTER
        if not path.exists():
            return []
        return [Entry(**entry) for entry in json.loads(path.read_text("utf-8"))]

    def champion(self) -> AdditiveModel | None:
        """The model that scores, or None while none was promoted."""
        version = self._champion_version()
        return None if version is None else self.load(version)

    def promote(
        self, version: str, *, decided_by: str, decided_on: dt.date, reason: str, figures: dict[str, float]
    ) -> Entry:
        """The entry of the new champion; the one before is retired and named in the decision.

        Raises:
            ModelRefusedError: the model cannot be loaded, or predicts another outcome than the one that ranks.
        """
        model = self.load(version)
        if model.design.follow_up.outcome != RANKS_BY:
            raise ModelRefusedError(
                f"{version} predicts {model.design.follow_up.outcome}; only a model of {RANKS_BY} may rank people"
            )
        before = self._champion_version()
        if before == version:
            return next(entry for entry in self.entries() if entry.version == version)
        promotion = Promotion(
            decided_by=decided_by, decided_on=decided_on, reason=reason, replaced=before, figures=figures
        )
        entries = [_after(entry, version, promotion) for entry in self.entries()]
        self._write_register(entries)
        return next(entry for entry in entries if entry.version == version)

    def _champion_version(self) -> str | None:
        return next((entry.version for entry in self.entries() if entry.state == "champion"), None)

    def _versions(self) -> str:
        return ", ".join(entry.version for entry in self.entries()) or "none"

    def _path(self, version: str) -> Path:
        return self.folder / f"{version}.json"

    def _write_register(self, entries: list[Entry]) -> None:
        body = [entry.model_dump(mode="json") for entry in entries]
        _write(self.folder / REGISTER, json.dumps(body, indent=1, sort_keys=True))


def read_model(path: Path, definitions: Mapping[str, Definition]) -> AdditiveModel:
    """The model in a file, checked: schema, content hash, types, feature version.

    Raises:
        ModelRefusedError: any of them is not as expected.
    """
    try:
        envelope = json.loads(path.read_text("utf-8"))
        schema, stated, body = envelope["schema"], envelope["content_sha256"], envelope["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefusedError(
            f"{path}: expected a saved model (JSON with schema, content_sha256, model), found {type(error).__name__}"
        ) from None
    if schema != SCHEMA:
        raise ModelRefusedError(f"{path}: expected schema {SCHEMA}, found {str(schema)[:60]!r}; retrain the model")
    if _digest(body) != stated:
        raise ModelRefusedError(f"{path}: its content does not match its hash; restore the file or retrain the model")
    try:
        model = AdditiveModel.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in fault["loc"]) for fault in error.errors()})
        raise ModelRefusedError(f"{path}: {len(fields)} fields are not of the listed types: {fields[:5]}") from None
    _check_features(path, model.design, definitions)
    return model


def _check_features(path: Path, design: StudyDesign, definitions: Mapping[str, Definition]) -> None:
    lacking = [name for name in design.names if name not in definitions]
    if lacking:
        raise ModelRefusedError(f"{path}: the model reads features that no longer exist: {lacking}; retrain it")
    current = version_of(definitions[name] for name in design.names)
    if design.feature_version != current:
        raise ModelRefusedError(
            f"{path}: the model was trained on feature version {design.feature_version}, features.yaml now makes "
            f"{current}; retrain it with casefinder train"
        )


def _after(entry: Entry, version: str, promotion: Promotion) -> Entry:
    if entry.version == version:
        return entry.model_copy(update={"state": "champion", "promotion": promotion})
    return entry.model_copy(update={"state": "retired"}) if entry.state == "champion" else entry


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    with write_aside(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")
