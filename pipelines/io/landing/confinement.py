"""Takes from this process all that loading an extract does not need: most of the disk, the network, endless time.

What may be opened is enforced by Linux (Landlock, 5.13 and later; connections from 6.7); older systems and others
only limit memory, time, file size and the number of open files, or nothing.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

READ_FILE, READ_FOLDER, EXECUTE = 1 << 2, 1 << 3, 1 << 0
EVERYTHING_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights over files that each version of Landlock knows (linux/landlock.h)."""
CONNECT, BIND = 1 << 1, 1 << 0
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
NO_NEW_PRIVILEGES = 38
SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev")
"""Where the interpreter and its libraries read; nothing of a workspace lies there."""


@dataclass(frozen=True)
class Limits:
    """What one extract may cost at most."""

    memory_bytes: int
    seconds: int
    file_bytes: int
    open_files: int = 256


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def confine(*, readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """True once this process opens only what lies below these folders and the system's; False if that cannot be.

    There is no way back.

    Raises:
        OSError: the system refused.
    """
    if sys.platform != "linux":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    every = EVERYTHING_BY_VERSION[min(version, max(EVERYTHING_BY_VERSION))]
    rules = _Rules(every, CONNECT | BIND if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else ctypes.sizeof(ctypes.c_uint64)
    handle = _checked(system.syscall(CREATE_RULESET, ctypes.byref(rules), size, 0))
    for folder in {*map(str, readable), sys.prefix, sys.base_prefix, *SYSTEM}:
        _allow(system, handle, folder, READ_FILE | READ_FOLDER | EXECUTE)
    for folder in map(str, writable):
        _allow(system, handle, folder, every)
    _checked(system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(system.syscall(RESTRICT_SELF, handle, 0))
    os.close(handle)
    return True


def code_folders() -> set[Path]:
    """The folders of the packages that this process has imported from outside the interpreter's own folders."""
    packages = [module for name, module in sys.modules.items() if "." not in name]
    folders = {Path(folder) for package in packages for folder in getattr(package, "__path__", ())}
    own = (Path(sys.prefix), Path(sys.base_prefix))
    return {folder for folder in folders if not any(prefix in folder.parents for prefix in own)}


def _allow(system: ctypes.CDLL, handle: int, folder: str, rights: int) -> None:
    """Lets files below a folder be opened; a folder that does not exist needs no leave."""
    if not Path(folder).is_dir():
        return
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(rights, opened)
        _checked(system.syscall(ADD_RULE, handle, 1, ctypes.byref(rule), 0))
    finally:
        os.close(opened)


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def limit(limits: Limits) -> None:
    """Sets the memory, file size and open files that this process may have; a second call may only lower them."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def limit_time(seconds: int) -> None:
    """Lets this process compute for so many more seconds, counted over its threads; then the system ends it."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))
