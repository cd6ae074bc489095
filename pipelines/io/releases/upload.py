"""Copies each ICB's folder of a release to a store: a folder, S3 or Azure, named by its address."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from pipelines.io.releases.manifest import MANIFEST
from pipelines.io.releases.options import ReleaseRefusedError

LATEST = "latest.json"
LOCAL = "file://"


@dataclass(frozen=True)
class Upload:
    """What went to the store for one ICB."""

    icb_code: str
    files: int
    bytes: int


def upload_icb_files(release: Path, url: str | None) -> list[Upload]:
    """One upload per ICB: ``<icb>/<release>/...``, its manifest after its files, ``<icb>/latest.json`` last of all.

    Whoever follows latest.json sees a whole release; the same release again changes nothing. Access comes from the
    environment as the store's makers say it (AWS_..., AZURE_...).

    Raises:
        ReleaseRefusedError: no address is set, or a file is not the one of the manifest.
        ConnectionError: the store cannot be reached or does not take a file; latest.json is as it was.
    """
    if url is None:
        raise ReleaseRefusedError("no store for ICB files: set CASEFINDER_ICB_STORE, see docs/analyst.md")
    folder = release.resolve()
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    try:
        store = from_url(url, mkdir=True) if url.startswith(LOCAL) else from_url(url)
        return [_upload(store, folder, manifest, icb) for icb in sorted(manifest["approvals"])]
    except (BaseError, OSError) as error:
        raise ConnectionError(f"{url}: {type(error).__name__}; mend it and run again") from None


def _upload(store: ObjectStore, folder: Path, manifest: dict[str, object], icb: str) -> Upload:
    """Sends one ICB's files under the release's name and points latest.json at them."""
    listed = manifest["files"]
    assert isinstance(listed, list)
    own = [entry for entry in listed if entry["path"].startswith(f"icb/{icb}/")]
    place = f"{icb}/{folder.name}"
    for entry in own:
        content = (folder / entry["path"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise ReleaseRefusedError(f"{folder / entry['path']} is not the file of its manifest; publish again")
        obstore.put(store, f"{place}/{Path(entry['path']).name}", content)
    obstore.put(store, f"{place}/{MANIFEST}", _as_json(manifest | _of_icb(manifest, icb) | {"files": own}))
    obstore.put(store, f"{icb}/{LATEST}", _as_json({"release": folder.name}))
    return Upload(icb, len(own), sum(entry["bytes"] for entry in own))


def _of_icb(manifest: dict[str, object], icb: str) -> dict[str, object]:
    """What the manifest says ICB by ICB, of this one only; what it says of practices stays behind."""
    by_icb: dict[str, object] = {
        name: {code: value for code, value in said.items() if code == icb}
        for name in ("approvals", "data_until", "smallest_group")
        if isinstance(said := manifest[name], dict)
    }
    return by_icb | {"practices_with_a_warning": {}, "left_out": {}}


def _as_json(content: dict[str, object]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode("utf-8")
