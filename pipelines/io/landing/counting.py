"""Counts the physical records of a delimited file from its bytes alone; shares no code with the loaders.

A record ends at a line end outside quotes. Where the quoting is broken (a quote opens or closes where no
field does, or the last one never closes) nothing can say where records end, so every line is one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

CHUNK = 1024 * 1024
"""Small enough that what is worked out of a chunk stays in the processor's cache: twice as quick as 32 MiB."""
LINE_FEED, RETURN = 10, 13


@dataclass(frozen=True)
class RecordCount:
    """Counts of one file, its header included."""

    records: int
    blank: int
    has_broken_quotes: bool
    has_nul: bool
    ends_with_line_end: bool


def count_records(path: Path, *, delimiter: str, quote: str | None) -> RecordCount:
    """The records, blank lines and faults of one file; an empty file has none."""
    if path.stat().st_size == 0:
        return RecordCount(records=0, blank=0, has_broken_quotes=False, has_nul=False, ends_with_line_end=False)
    data: Bytes = np.memmap(path, dtype=np.uint8, mode="r")
    counter = _Counter(data=data, delimiter=ord(delimiter), quote=ord(quote) if quote else None)
    for start in range(0, len(data), CHUNK):
        counter.take(start, min(start + CHUNK, len(data)))
    return counter.result()


class _Counter:
    """Adds up chunks of one file, carrying whether a quote is open from one to the next."""

    def __init__(self, *, data: Bytes, delimiter: int, quote: int | None) -> None:
        self.data, self.delimiter, self.quote = data, delimiter, quote
        self.quotes = self.lines = self.ends = self.blank_lines = self.blank_ends = 0
        self.last_line_end = self.last_end = -1
        self.broken = self.nul = False

    def take(self, start: int, stop: int) -> None:
        """Counts the bytes from start up to stop."""
        chunk = self.data[start:stop]
        self.nul = self.nul or bool((chunk == 0).any())
        line_ends = np.flatnonzero(chunk == LINE_FEED) + start
        is_outside = self._outside(chunk, start, line_ends)
        self.lines += len(line_ends)
        self.blank_lines += self._count_blank(line_ends, self.last_line_end)
        ends = line_ends[is_outside]
        self.ends += len(ends)
        self.blank_ends += self._count_blank(ends, self.last_end)
        self.last_line_end = int(line_ends[-1]) if len(line_ends) else self.last_line_end
        self.last_end = int(ends[-1]) if len(ends) else self.last_end

    def _outside(self, chunk: Bytes, start: int, line_ends: Places) -> npt.NDArray[np.bool_]:
        if self.quote is None:
            return np.ones(len(line_ends), dtype=np.bool_)
        quotes = np.flatnonzero(chunk == self.quote) + start
        opened = np.searchsorted(quotes, line_ends) + self.quotes
        first = self.quotes % 2
        self.broken = self.broken or self._misplaced(opening=quotes[first::2], closing=quotes[1 - first :: 2])
        self.quotes += len(quotes)
        is_outside: npt.NDArray[np.bool_] = opened % 2 == 0
        return is_outside

    def _misplaced(self, *, opening: Places, closing: Places) -> bool:
        """True if a quote opens after, or closes before, anything but a field's edge or another quote."""
        is_edge = np.zeros(256, dtype=np.bool_)
        is_edge[[self.delimiter, LINE_FEED, RETURN, self.quote or self.delimiter]] = True
        starts = [0, 3] if bytes(self.data[:3]) == b"\xef\xbb\xbf" else [0]
        inner = opening[1:] if len(opening) and opening[0] in starts else opening
        last = len(self.data) - 1
        outer = closing[:-1] if len(closing) and closing[-1] == last else closing
        return not (is_edge[self.data[inner - 1]].all() and is_edge[self.data[outer + 1]].all())

    def _count_blank(self, ends: Places, previous: int) -> int:
        """How many of these records hold nothing but a line end."""
        if not len(ends):
            return 0
        lengths = np.diff(ends, prepend=previous) - 1
        is_return = (lengths == 1) & (self.data[ends - 1] == RETURN)
        return int(((lengths == 0) | is_return).sum())

    def result(self) -> RecordCount:
        """The counts of all that was taken."""
        is_broken = self.broken or self.quotes % 2 == 1
        ends, last, blank = (
            (self.lines, self.last_line_end, self.blank_lines)
            if is_broken
            else (self.ends, self.last_end, self.blank_ends)
        )
        tail = self.data[last + 1 :]
        is_blank_tail = len(tail) == 1 and int(tail[0]) == RETURN
        return RecordCount(
            records=ends + (len(tail) > 0),
            blank=blank + is_blank_tail,
            has_broken_quotes=is_broken,
            has_nul=self.nul,
            ends_with_line_end=int(self.data[-1]) == LINE_FEED,
        )
