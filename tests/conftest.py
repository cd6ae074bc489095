"""Guards that every test runs under, and the workspace fixtures."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from pipelines.io.history import Switch
from pipelines.io.ledger import read_ledger
from tests.lib.counting import uncounted_files


@pytest.fixture(autouse=True)
def _global_random_state_is_untouched() -> Iterator[None]:
    before = np.random.get_state()[1].tolist()
    yield
    assert np.random.get_state()[1].tolist() == before, "global random state moved: pass a seed instead"


@pytest.fixture(autouse=True, scope="session")
def _every_ingest_is_counted_again() -> Iterator[None]:
    """Whatever a test ingests: the records in each file, counted by other code, are those that the ledger has."""
    commit = Switch.commit

    def counted(self: Switch) -> None:
        commit(self)
        newest = read_ledger(self.home)["ingest"].max()
        assert uncounted_files(self.home, ingest=newest) == []

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Switch, "commit", counted)
        yield


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def stay_here(self: socket.socket, address: object) -> None:
        if not (isinstance(address, tuple) and address[0] in {"127.0.0.1", "::1"}):
            raise AssertionError(f"a test tried to open a network connection to {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", stay_here)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the scores that tests have recorded."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == "score":
                terminalreporter.write_line(f"score: {value}")
