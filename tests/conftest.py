"""Guards that every test runs under, and the workspace fixtures."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _global_random_state_is_untouched() -> Iterator[None]:
    before = np.random.get_state()[1].tolist()
    yield
    assert np.random.get_state()[1].tolist() == before, "global random state moved: pass a seed instead"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a test tried to open a network connection to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
