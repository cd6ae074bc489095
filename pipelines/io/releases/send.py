"""Sends practices their lists by MESH, each at most once, and keeps what became of each; holds no person's value."""

import csv
import datetime as dt
import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msoffcrypto.format.ooxml  # type: ignore[import-untyped]
import requests
from mesh_client import MeshClient, MeshError
from pydantic import BaseModel, ConfigDict

from pipelines.io.durable import hold_lock, write_aside
from pipelines.io.releases.options import ReleaseRefusedError
from pipelines.settings import Mesh, Settings

State = Literal["sending", "sent", "acknowledged", "undeliverable", "no mailbox", "no password", "refused"]
NOT_SENT: tuple[State, ...] = ("no mailbox", "no password", "refused")
OUTCOMES: dict[str, State] = {
    "acknowledged": "acknowledged",
    "error": "undeliverable",
    "undeliverable": "undeliverable",
}
"""What the service says of a message that is no longer under way."""
CERTAIN = range(400, 500)
"""HTTP statuses by which the service says that it took nothing."""


class Receipt(BaseModel):
    """What became of one practice's list; "sending" stays if the program ended in between, and nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    practice_code: str
    state: State
    file_sha256: str
    sent_on: dt.date
    mailbox: str | None = None
    message_id: str | None = None


def send_lists(settings: Settings, release: Path, *, as_of: dt.date, on: dt.date) -> list[Receipt]:
    """One receipt per practice of the release, in order of their codes.

    A list that was sent before, or may have been, is not sent again; the service is asked what became of it.

    Raises:
        ReleaseRefusedError: no mailbox is set up, the file of passwords is not as expected, or another run sends.
        ConnectionError: the service cannot be reached; lists already taken are on record.
    """
    if settings.mesh is None:
        raise ReleaseRefusedError("no MESH mailbox: set CASEFINDER_MESH__URL and the others of docs/analyst.md")
    passwords = read_passwords(settings.workbook_passwords)
    workbooks = sorted(release.glob("practices/*/target_list.xlsx"))
    busy = ReleaseRefusedError("another run is sending lists; wait until it ends, then run again")
    with hold_lock(settings.sent / ".lock", busy), _reached(settings.mesh) as client:
        post = _Post(client, settings.mesh, settings.sent / as_of.isoformat(), on, passwords)
        return [post.deliver(workbook) for workbook in workbooks]


def read_passwords(path: Path) -> dict[str, str] | None:
    """ODS code to the password of the practice's workbook; None without a file: workbooks are not encrypted.

    Raises:
        ReleaseRefusedError: other columns than ods_code and password, or an empty one.
    """
    if not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(set(row) != {"ods_code", "password"} or not all(row.values()) for row in rows):
        raise ReleaseRefusedError(f"{path}: expected the columns ods_code and password, both filled in every row")
    return {row["ods_code"]: row["password"] for row in rows}


def encrypted(workbook: bytes, password: str) -> bytes:
    """The workbook as Excel encrypts one with a password to open it; the bytes differ every time."""
    locked = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(workbook)).encrypt(password, locked)
    return locked.getvalue()


class _Post:
    """One connection to the service and the receipts of one week."""

    def __init__(
        self, client: MeshClient, mesh: Mesh, folder: Path, on: dt.date, passwords: dict[str, str] | None
    ) -> None:
        self.client, self.mesh, self.folder, self.on, self.passwords = client, mesh, folder, on, passwords

    def deliver(self, workbook: Path) -> Receipt:
        code, content = workbook.parent.name, workbook.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / f"{code}-{digest[:12]}.json"
        if path.is_file():
            return self._follow(path, Receipt.model_validate_json(path.read_text("utf-8")))
        receipt = Receipt(practice_code=code, state="sending", file_sha256=digest, sent_on=self.on)
        if self.passwords is not None and code not in self.passwords:
            return receipt.model_copy(update={"state": "no password"})
        mailboxes = self.client.lookup_endpoint(code, self.mesh.workflow)["results"]
        if len(mailboxes) != 1:
            return receipt.model_copy(update={"state": "no mailbox"})
        if self.passwords is not None:
            content = encrypted(content, self.passwords[code])
        return self._send(path, receipt, mailboxes[0]["mailbox_id"], content)

    def _send(self, path: Path, unsent: Receipt, mailbox: str, content: bytes) -> Receipt:
        """The receipt lies on disk before the message leaves, so that no crash can send it twice."""
        receipt = unsent.model_copy(update={"mailbox": mailbox})
        _keep(path, receipt)
        try:
            message_id = self.client.send_message(
                mailbox,
                content,
                workflow_id=self.mesh.workflow,
                local_id=path.stem,
                subject=f"Target list of {path.parent.name}",
                filename=f"target_list_{path.parent.name}.xlsx",
            )
        except (MeshError, requests.HTTPError) as error:
            if not _is_certain(error):
                raise
            path.unlink()
            return receipt.model_copy(update={"state": "refused"})
        sent = receipt.model_copy(update={"state": "sent", "message_id": message_id})
        _keep(path, sent)
        return sent

    def _follow(self, path: Path, receipt: Receipt) -> Receipt:
        """The receipt by what the service says of its message today."""
        if receipt.state != "sent" or receipt.message_id is None:
            return receipt
        status = self.client.track_message(receipt.message_id)["status"] or ""
        followed = receipt.model_copy(update={"state": OUTCOMES.get(status.lower(), "sent")})
        if followed != receipt:
            _keep(path, followed)
        return followed


def _is_certain(error: MeshError | requests.HTTPError) -> bool:
    """True if the service said that it took nothing."""
    return isinstance(error, MeshError) or (error.response is not None and error.response.status_code in CERTAIN)


def _keep(path: Path, receipt: Receipt) -> None:
    with write_aside(path) as draft:
        draft.write_text(receipt.model_dump_json(indent=1) + "\n", encoding="utf-8")


@contextmanager
def _reached(mesh: Mesh) -> Iterator[MeshClient]:
    """A client of the service; what goes wrong on the way is told without what was sent.

    Only what asks is tried again: a message that may have arrived is not.
    """
    pair = mesh.certificate, mesh.certificate_key
    try:
        with MeshClient(
            mesh.url,
            mesh.mailbox,
            mesh.password.get_secret_value(),
            shared_key=mesh.shared_key.get_secret_value().encode("utf-8"),
            cert=(str(pair[0]), str(pair[1])) if all(pair) else None,
            verify=str(mesh.authority) if mesh.authority else None,
            retry_methods=("HEAD", "GET"),
            application_name="casefinder",
        ) as client:
            client.handshake()
            yield client
    except requests.RequestException as error:
        told = f"status {error.response.status_code}" if error.response is not None else type(error).__name__
        raise ConnectionError(f"MESH at {mesh.url}: {told}; mend it and run again") from None


def not_sent(receipts: Iterable[Receipt]) -> list[Receipt]:
    """The receipts of lists that did not leave, or of which nobody knows."""
    return [receipt for receipt in receipts if receipt.state in (*NOT_SENT, "sending", "undeliverable")]
