"""Tells whoever listens how far a step has come, in people; nobody needs to listen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""Hears how many are done, and of how many."""


def nobody(done: int, of: int) -> None:
    """Hears nothing."""


_listener: ContextVar[Listener] = ContextVar("listener", default=nobody)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Whoever tells inside is heard by the listener."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def tell(done: int, of: int) -> None:
    """Says how many people are done, and of how many."""
    _listener.get()(done, of)
