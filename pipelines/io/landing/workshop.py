"""Runs what opens extracts in a child process with limits: what kills, fills or hangs it stops that extract only.

A server process that has imported everything is started once; each child is forked from it, so that a child costs
milliseconds. A child loads one delivery after another until one goes wrong; after that it is never used again. Two
work at once only where one looks ahead.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

import duckdb
from polars.exceptions import PanicException

from pipelines.io.landing.confinement import Limits, confine, limit, limit_time
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.protocol import Bench

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Task = Callable[[Argument, Bench], Result]
GRACE = 1
"""Seconds beyond its limit after which a child that does not answer is ended."""


@dataclass(frozen=True)
class Room:
    """Where a child may read and write, what it may take, the key of pseudonyms, records that are decided at once."""

    readable: frozenset[Path]
    work: Path
    engine: Mapping[str, Any]
    limits: Limits
    key: bytes
    batch: int


@dataclass
class Workshop:
    """The children of one ingest: each is started when it is first needed, and answers one question at a time."""

    room: Room
    idle: "list[_Child]" = field(default_factory=list, init=False)
    busy: "list[_Child]" = field(default_factory=list, init=False)

    def start(
        self, task: Task[Argument, Result], argument: Argument, *, work: Path, facts: Mapping[str, Any], where: str
    ) -> "Begun[Result]":
        """Lets an idle child, or a new one, begin a task.

        Task, argument and result must be picklable. ``facts`` are what the task's bench has beside engine, key and
        ``work``; the child keeps them.
        """
        child = self.idle.pop() if self.idle else _Child(self.room)
        self.busy.append(child)
        child.ask(task, argument, work, facts)
        return Begun(self, child, where)

    def run(
        self, task: Task[Argument, Result], argument: Argument, *, work: Path, facts: Mapping[str, Any], where: str
    ) -> Result:
        """What a task makes of its argument, in a child.

        Raises:
            LandingError: the task raised one; or the child was stopped, ran out of memory or time, or failed.
        """
        return self.start(task, argument, work=work, facts=facts, where=where).result()

    def close(self) -> None:
        """Ends the children, whatever they are doing."""
        for child in [*self.idle, *self.busy]:
            child.end()
        self.idle, self.busy = [], []


@dataclass(frozen=True)
class Begun(Generic[Result]):
    """A task that a child is at: ask once for its result, or drop it."""

    workshop: Workshop
    child: "_Child"
    where: str

    def result(self) -> Result:
        """What the task made of its argument, once it has.

        Raises:
            LandingError: the task raised one; or the child was stopped, ran out of memory or time, or failed.
        """
        answer = self.child.answer()
        if isinstance(answer, _Failure):
            self.drop()
            raise LandingError(expected="an extract that can be read", found=answer.found, where=self.where)
        self.workshop.busy.remove(self.child)
        self.workshop.idle.append(self.child)
        if isinstance(answer, LandingError):
            raise answer
        return answer  # type: ignore[no-any-return]

    def drop(self) -> None:
        """Ends the child, whatever it is doing."""
        self.workshop.busy.remove(self.child)
        self.child.end()


@dataclass(frozen=True)
class _Failure:
    """How a child failed, without anything that it read."""

    found: str


class _Child:
    """One forked process, as its parent sees it."""

    def __init__(self, room: Room) -> None:
        self.seconds = room.limits.seconds
        self.connection = _server().fork()
        self.connection.send(room)
        self.pid: int = self.connection.recv()
        self.facts: dict[str, Any] = {}
        self.until = 0.0

    def ask(self, task: Task[Any, Any], argument: object, work: Path, facts: Mapping[str, Any]) -> None:
        """Sends a task. Facts that the child has been told already are not sent again."""
        news = {name: fact for name, fact in facts.items() if self.facts.get(name) is not fact}
        self.facts |= news
        self.until = time.monotonic() + self.seconds + GRACE
        with contextlib.suppress(OSError):
            self.connection.send((task, argument, work, news))

    def answer(self) -> Any:
        """What the child answers to the task, or how it failed."""
        try:
            if not self.connection.poll(max(self.until - time.monotonic(), 0)):
                return _Failure(f"one that took over {self.seconds} seconds")
            return self.connection.recv()
        except (EOFError, OSError):
            return _Failure("one that ended the process that read it (crash, or over its memory, time or file size)")

    def end(self) -> None:
        """Ends the process, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()


class _Server:
    """The process that children are forked from."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", f"from {__name__} import serve; serve()", str(theirs.fileno())]
            environment = os.environ | {
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            }
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)  # noqa: S603
        atexit.register(self.stop)

    def fork(self) -> Connection:
        """A connection to a new child."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [b"!"], [theirs.fileno()])
        return Connection(ours.detach())

    def stop(self) -> None:
        """Ends the server; its children end with their parent."""
        self.control.close()
        self.process.wait()


@cache
def _server() -> _Server:
    return _Server()


def serve() -> None:
    """The server's life: it forks a child for each handle that is sent, until the other side goes away.

    What it has imported and read before is there in every child.
    """
    _do_without("pandas", "hypothesis")
    from pipelines.io.landing.registry import FEEDS

    for feed in FEEDS:
        load_feed(feed.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while True:
            message, handles, _, _ = socket.recv_fds(control, 1, 1)
            if not message:
                return
            if os.fork() == 0:
                control.close()
                _work(Connection(handles[0]))
                os._exit(0)
            os.close(handles[0])


def _do_without(*packages: str) -> None:
    """Lets these packages be as if they were not installed: Pandera loads them where they are, for nothing we use."""

    class Absent(MetaPathFinder):
        def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
            if fullname.partition(".")[0] in packages:
                raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)

    sys.meta_path.insert(0, Absent())


def _work(connection: Connection) -> None:
    """A child's life: confined to its room, it answers until nobody asks any more."""
    room: Room = connection.recv()
    _hush()
    confine(readable=room.readable, writable=[room.work.resolve()])
    limit(room.limits)
    connection.send(os.getpid())
    facts: dict[str, Any] = {}
    with duckdb.connect() as con, contextlib.suppress(EOFError):
        for name, value in room.engine.items():
            con.execute(f"set {name} = ?", [value])
        while True:
            task, argument, work, news = connection.recv()
            limit_time(room.limits.seconds)
            facts |= news
            connection.send(
                _answer(task, argument, Bench(con=con, key=room.key, work=work, batch=room.batch, **facts))
            )


def _hush() -> None:
    """Lets nobody hear what libraries say as they fail: their words may quote a value."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, sys.stderr.fileno())
    os.close(nobody)


def _answer(task: Task[Any, Any], argument: object, bench: Bench) -> object:
    try:
        return task(argument, bench)
    except LandingError as error:
        return error
    except (Exception, PanicException) as error:
        # The library's own words may quote a value, so only the kind of error and our own line are told.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pipelines" in frame.filename]
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return _Failure(f"one that stopped the reader ({type(error).__name__}{place})")
