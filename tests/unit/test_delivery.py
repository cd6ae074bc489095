"""Lists and ICB folders on their way out: a sandbox of MESH and an S3 store, both on this machine."""

import datetime as dt
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import msoffcrypto
import openpyxl
import pytest
import requests
import xlsxwriter
from mesh_client import MeshClient
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from pipelines.io.durable import hold_lock
from pipelines.io.releases import renew_release, send
from pipelines.io.releases.options import ReleaseRefusedError
from pipelines.io.releases.send import Receipt, not_sent, send_lists
from pipelines.io.releases.upload import upload_icb_files
from pipelines.settings import Mesh, Settings

MONDAY = dt.date(2026, 11, 16)
BOXES = {"X26": "X26ABC1", "X27": "X26ABC3"}
"""Two organisations of the sandbox, in place of practices, and their mailboxes."""
PRACTICES = ["X26", "X27", "B82001"]
SENDER, WORKFLOW, WORD = "X26ABC2", "TEST_WORKFLOW_ACK", "password"
KEY = "made-up key"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a MESH sandbox in which two of the three practices have a mailbox."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"STORE_MODE": "memory", "SHARED_KEY": KEY, "AUTH_MODE": "full"}
    command = [sys.executable, "-m", "uvicorn", "mesh_sandbox.api:app", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command, env=os.environ | told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                requests.get(f"{address}/health", timeout=1)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield address
        run.terminate()


def made(home: Path, address: str, *, week: dt.date = MONDAY) -> tuple[Settings, Path]:
    """Settings that send to the address, and a folder with one small workbook a practice, of this test only."""
    mesh = Mesh(url=address, mailbox=SENDER, password=WORD, shared_key=KEY, workflow=WORKFLOW)
    for practice in PRACTICES:
        folder = home / "release" / "practices" / practice
        folder.mkdir(parents=True)
        with xlsxwriter.Workbook(folder / "target_list.xlsx") as book:
            book.add_worksheet().write_string(0, 0, f"{practice} {home.name} {week}")
    return Settings(home=home, mesh=mesh), home / "release"


def sent(settings: Settings, release: Path) -> dict[str, str]:
    receipts = send_lists(settings, release, as_of=MONDAY, on=MONDAY)
    return {receipt.practice_code: receipt.state for receipt in receipts}


def received(address: str, mailbox: str) -> list[bytes]:
    """What lies in a practice's mailbox, taken out and acknowledged as its client does."""
    with MeshClient(address, mailbox, WORD, shared_key=KEY.encode()) as client:
        return [message.read() for message in client.iterate_all_messages() if message.acknowledge() is None]


@pytest.fixture(autouse=True)
def _emptied(request: pytest.FixtureRequest) -> None:
    if "service" in request.fixturenames:
        for mailbox in BOXES.values():
            received(request.getfixturevalue("service"), mailbox)


def test_each_practice_with_a_mailbox_gets_its_list_once(tmp_path: Path, service: str) -> None:
    settings, release = made(tmp_path, service)
    assert sent(settings, release) == {"X26": "sent", "X27": "sent", "B82001": "no mailbox"}
    assert sent(settings, release) == {"X26": "sent", "X27": "sent", "B82001": "no mailbox"}
    assert received(service, BOXES["X26"]) == [(release / "practices/X26/target_list.xlsx").read_bytes()]
    assert sent(settings, release)["X26"] == "acknowledged"
    assert received(service, BOXES["X26"]) == []
    assert len(received(service, BOXES["X27"])) == 1


def test_a_list_that_may_have_left_before_a_crash_is_not_sent_again(
    tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, release = made(tmp_path, service)

    def broken_off(*_: object, **__: object) -> str:
        raise requests.ReadTimeout

    with monkeypatch.context() as patched:
        patched.setattr(MeshClient, "send_message", broken_off)
        with pytest.raises(ConnectionError, match="ReadTimeout"):
            sent(settings, release)
    assert sent(settings, release) == {"X26": "sending", "X27": "sent", "B82001": "no mailbox"}
    assert received(service, BOXES["X26"]) == []
    receipts = send_lists(settings, release, as_of=MONDAY, on=MONDAY)
    assert {each.practice_code for each in not_sent(receipts)} == {"X26", "B82001"}


def test_a_list_that_the_service_refused_is_sent_next_time(
    tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, release = made(tmp_path, service)
    with monkeypatch.context() as patched:
        patched.setattr(MeshClient, "send_message", lambda *_, **__: (_ for _ in ()).throw(send.MeshError("no")))
        assert set(sent(settings, release).values()) == {"refused", "no mailbox"}
    assert sent(settings, release)["X26"] == "sent"


def test_with_passwords_every_workbook_is_encrypted_or_stays(tmp_path: Path, service: str) -> None:
    settings, release = made(tmp_path, service)
    settings.workbook_passwords.parent.mkdir()
    settings.workbook_passwords.write_text("ods_code,password\nX26,open sesame\n", "utf-8")
    assert sent(settings, release) == {"X26": "sent", "X27": "no password", "B82001": "no password"}
    (locked,) = received(service, BOXES["X26"])
    file, plain = msoffcrypto.OfficeFile(io.BytesIO(locked)), io.BytesIO()
    assert file.is_encrypted()
    file.load_key(password="open sesame", verify_password=True)
    file.decrypt(plain)
    assert str(openpyxl.load_workbook(plain).active["A1"].value).startswith("X26 ")


@pytest.mark.parametrize("text", ["ods_code\nA81001\n", "ods_code,password\nA81001,\n"], ids=["no column", "empty"])
def test_a_file_of_passwords_that_is_not_as_expected_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "passwords.csv").write_text(text, "utf-8")
    with pytest.raises(ReleaseRefusedError, match="columns ods_code and password"):
        send.read_passwords(tmp_path / "passwords.csv")


def test_a_service_out_of_reach_or_that_refuses_us_is_told_without_secrets(tmp_path: Path, service: str) -> None:
    settings, release = made(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="MESH at "):
        sent(settings, release)
    assert settings.mesh
    stranger = settings.mesh.model_copy(update={"url": service, "password": SecretStr("another word")})
    with pytest.raises(ConnectionError, match="status 403") as refused:
        sent(settings.model_copy(update={"mesh": stranger}), release)
    assert "word" not in str(refused.value)
    assert WORD not in repr(settings).replace("password=", "")


def test_without_a_mailbox_or_a_store_nothing_leaves(tmp_path: Path) -> None:
    settings, release = made(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(ReleaseRefusedError, match="CASEFINDER_MESH__URL"):
        sent(settings.model_copy(update={"mesh": None}), release)
    with pytest.raises(ReleaseRefusedError, match="CASEFINDER_ICB_STORE"):
        upload_icb_files(release, None)


@pytest.mark.parametrize("days", [-1, 8])
def test_a_release_leaves_in_its_own_week_only(tmp_path: Path, days: int) -> None:
    with pytest.raises(ReleaseRefusedError, match="may leave until 2026-11-23"):
        renew_release(Settings(home=tmp_path), MONDAY, leaves_on=MONDAY + dt.timedelta(days=days))


def test_a_release_no_longer_leaves_once_a_later_one_is_out(tmp_path: Path) -> None:
    (tmp_path / "releases" / "2026-11-23").mkdir(parents=True)
    with pytest.raises(ReleaseRefusedError, match="2026-11-23 is out"):
        renew_release(Settings(home=tmp_path), MONDAY, leaves_on=MONDAY + dt.timedelta(days=7))


def test_two_runs_never_send_at_once(tmp_path: Path, service: str) -> None:
    settings, release = made(tmp_path, service)
    with (
        hold_lock(settings.sent / ".lock", AssertionError()),
        pytest.raises(ReleaseRefusedError, match="another run is sending"),
    ):
        sent(settings, release)
    assert received(service, BOXES["X26"]) == []


def folders(home: Path, text: str = "one") -> Path:
    """A release of two ICBs with one file each, named by its content."""
    release = home / f"2026-11-16-{text}"
    entries = []
    for icb in ("QRL", "QWO"):
        file = release / "icb" / icb / "wide.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(f"{icb} {text}".encode())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entries.append({"path": f"icb/{icb}/wide.parquet", "sha256": digest, "bytes": file.stat().st_size})
    by_icb = {"QRL": "R1", "QWO": "W1"}
    manifest = {
        "approvals": by_icb,
        "data_until": by_icb,
        "smallest_group": {"QRL": 5, "QWO": 6},
        "practices_with_a_warning": {"A81001": {}},
        "left_out": {"type_1": 10},
        "files": entries,
    }
    (release / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return release


def test_each_icb_gets_its_own_folder_and_its_own_manifest(tmp_path: Path) -> None:
    store = tmp_path / "share"
    uploads = upload_icb_files(folders(tmp_path), f"file://{store}")
    assert [(each.icb_code, each.files) for each in uploads] == [("QRL", 1), ("QWO", 1)]
    assert {path.relative_to(store).as_posix() for path in store.rglob("*.*") if path.is_file()} == {
        f"{icb}/{name}"
        for icb in ("QRL", "QWO")
        for name in ("latest.json", "2026-11-16-one/manifest.json", "2026-11-16-one/wide.parquet")
    }
    manifest = (store / "QRL/2026-11-16-one/manifest.json").read_text("utf-8")
    assert "QWO" not in manifest
    assert "A81001" not in manifest


def test_a_reader_that_follows_latest_sees_a_whole_release(tmp_path: Path) -> None:
    store = tmp_path / "share"
    upload_icb_files(folders(tmp_path), f"file://{store}")
    later = folders(tmp_path, "two")
    (later / "icb/QRL/wide.parquet").write_bytes(b"changed on the way")
    with pytest.raises(ReleaseRefusedError, match="not the file of its manifest"):
        upload_icb_files(later, f"file://{store}")
    assert json.loads((store / "QRL/latest.json").read_text("utf-8")) == {"release": "2026-11-16-one"}


def test_icb_files_go_to_an_s3_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        for name, value in {
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_REGION": "eu-west-2",
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3", endpoint_url=address, region_name="eu-west-2")
        s3.create_bucket(Bucket="files", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        upload_icb_files(folders(tmp_path), "s3://files/casefinder")
        kept = s3.get_object(Bucket="files", Key="casefinder/QRL/2026-11-16-one/wide.parquet")["Body"].read()
        assert kept == b"QRL one"
        with pytest.raises(ConnectionError, match="s3://nowhere: "):
            upload_icb_files(folders(tmp_path, "two"), "s3://nowhere")
    finally:
        server.stop()


def test_a_receipt_holds_no_more_than_it_says(tmp_path: Path, service: str) -> None:
    settings, release = made(tmp_path, service)
    sent(settings, release)
    kept = sorted(settings.sent.rglob("*.json"))
    assert [Receipt.model_validate_json(path.read_text("utf-8")).practice_code for path in kept] == PRACTICES[:2]
