"""Reads a zip archive that was cut into parts (.z01, .z02, ..., .zip) as if it were one file.

Only the directory at the end is made anew: in a cut archive each of its entries names a part and a place there.
"""

import io
import struct
from bisect import bisect_right
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import IO

from pipelines.io.landing.errors import LandingError

END = struct.Struct("<4s4H2LH")
END_MARK = b"PK\5\6"
ENTRY_MARK = b"PK\1\2"
ENTRY_BYTES = 46
LONGEST_COMMENT = 65_535
LARGEST_PLACE = 0xFFFFFFFF


def parts_of(archive: Path) -> list[Path]:
    """The parts of an archive in order, the file named .zip last; that alone if it was not cut."""
    found = sorted(archive.parent.glob(f"{archive.stem}.z[0-9][0-9]"))
    return [*found, archive]


def open_archive(archive: Path) -> IO[bytes]:
    """The bytes of an archive as one seekable file, whether it was cut or not.

    Raises:
        LandingError: a part is missing, or the archive is too large or too broken to be put together.
    """
    parts = parts_of(archive)
    end = _end_of(archive)
    if end is None or (len(parts) == 1 and end[0] == 0):
        return archive.open("rb")
    if end[0] != len(parts) - 1 or [path.suffix for path in parts[:-1]] != _suffixes(end[0]):
        found = f"{len(parts)} that do not follow one another" if end[0] == len(parts) - 1 else f"{len(parts)}"
        raise LandingError(expected=f"{end[0] + 1} parts of the archive", found=found, where=archive.name)
    return _joined(parts, end)


def _suffixes(count: int) -> list[str]:
    return [f".z{number:02d}" for number in range(1, count + 1)]


def _end_of(archive: Path) -> tuple[int, int, int, int, int] | None:
    """The last record: number of this part, part of the directory, entries, directory's size and place there."""
    with archive.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - LONGEST_COMMENT - END.size))
        tail = file.read()
    at = tail.rfind(END_MARK)
    if at < 0 or len(tail) - at < END.size:
        return None
    _, this_part, first_part, _, entries, length, place, _ = END.unpack_from(tail, at)
    return this_part, first_part, entries, length, place


def _joined(parts: list[Path], end: tuple[int, int, int, int, int]) -> IO[bytes]:
    _, first_part, entries, length, place = end
    starts = [0, *accumulate(path.stat().st_size for path in parts)]
    begin = starts[first_part] + place
    with io.BufferedReader(_Chain(parts, b"", starts[-1])) as whole:
        whole.seek(begin)
        directory = _placed(whole.read(length), starts, parts[-1])
    last = END.pack(END_MARK, 0, 0, entries, entries, len(directory), begin, 0)
    return io.BufferedReader(_Chain(parts, directory + last, begin))


def _placed(directory: bytes, starts: list[int], archive: Path) -> bytes:
    """The directory with every entry's place counted from the start of the first part."""
    placed, at = bytearray(directory), 0
    while at < len(directory):
        if directory[at : at + 4] != ENTRY_MARK or len(directory) - at < ENTRY_BYTES:
            raise LandingError(expected="a whole archive directory", found="a broken one", where=archive.name)
        name, extra, comment, part = struct.unpack_from("<4H", directory, at + 28)
        (place,) = struct.unpack_from("<L", directory, at + 42)
        absolute = starts[part] + place if part < len(starts) - 1 else LARGEST_PLACE
        if absolute >= LARGEST_PLACE:
            raise LandingError(
                expected="parts of at most 4 GB together", found="more", where=f"{archive.name}; unpack it first"
            )
        struct.pack_into("<H", placed, at + 34, 0)
        struct.pack_into("<L", placed, at + 42, absolute)
        at += ENTRY_BYTES + name + extra + comment
    return bytes(placed)


class _Chain(io.RawIOBase):
    """Files one after another up to a length, then some bytes, as one file."""

    def __init__(self, paths: list[Path], tail: bytes, length: int) -> None:
        self.stack = ExitStack()
        self.files = [self.stack.enter_context(path.open("rb")) for path in paths]
        self.starts = [0, *accumulate(path.stat().st_size for path in paths)]
        self.tail, self.length, self.place = tail, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.length + len(self.tail)}[whence]
        self.place = max(0, base + offset)
        return self.place

    def tell(self) -> int:
        return self.place

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(1 << 20) or b"", b""))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._next(len(buffer))
        buffer[: len(found)] = found
        self.place += len(found)
        return len(found)

    def _next(self, size: int) -> bytes:
        if self.place >= self.length:
            start = self.place - self.length
            return self.tail[start : start + size]
        number = bisect_right(self.starts, self.place) - 1
        self.files[number].seek(self.place - self.starts[number])
        return self.files[number].read(min(size, self.length - self.place))

    def close(self) -> None:
        self.stack.close()
        super().close()
