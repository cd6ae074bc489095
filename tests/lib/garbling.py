"""Garbles files and archives in every way that a transfer, a spreadsheet or an attacker might; each by its seed."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

JUNK = [
    b'"', b",", b"|", b"\t", b"\r", b"\n", b"\r\n", b"\n\r\n", b"\0", b"\xff", b"\xc3", b"\xfe\xff", b"\xef\xbb\xbf",
    b"{", b'""', b'","', b"\x1b[2J", b"\x1a", b"\x7f", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\\", b"'", b";", b"=1+1",
    b"NaN", b"-1", b"9" * 40, b"0000-00-00",
]  # fmt: skip
SQL = b"x\"); copy (select 42) to 'MARK'; attach 'MARK' as marked; --"
Change = Callable[[bytes, random.Random], bytes]


def _place(data: bytes, dice: random.Random) -> int:
    return dice.randint(0, len(data))


def flip_bits(data: bytes, dice: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        place = _place(data, dice)
        if place < len(flipped):
            flipped[place] ^= 1 << dice.randrange(8)
    return bytes(flipped)


def put_junk(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 4)):
        place = _place(data, dice)
        data = data[:place] + dice.choice(JUNK) + data[place + dice.choice([0, 0, 1, 3, 30]) :]
    return data


def mix_line_ends(data: bytes, dice: random.Random) -> bytes:
    return b"".join(line + dice.choice([b"\n", b"\r\n", b"\r\n", b"\r", b"\n\n"]) for line in data.splitlines())


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: _place(data, dice)]


def repeat(data: bytes, dice: random.Random) -> bytes:
    start, stop = sorted((_place(data, dice), _place(data, dice)))
    return data[:stop] + data[start:]


def shuffle_lines(data: bytes, dice: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    dice.shuffle(lines)
    return b"".join(lines)


def make_huge(data: bytes, dice: random.Random) -> bytes:
    place = _place(data, dice)
    return (
        data[:place] + dice.choice([b"A", b'"', b"{", b"\xc3\xa9", b"1"]) * dice.choice([300, 70_000]) + data[place:]
    )


def change_encoding(data: bytes, dice: random.Random) -> bytes:
    text = data.decode("utf-8", errors="replace")
    return text.encode(
        dice.choice(["utf-16", "utf-16-le", "cp1252", "utf-7", "utf-8-sig", "cp037"]), errors="replace"
    )


def strike_out(data: bytes, dice: random.Random) -> bytes:
    return b"" if dice.random() < 0.3 else b"\0" * len(data)


def rename_column(data: bytes, dice: random.Random) -> bytes:
    """A header with a hostile name in place of one of its own, or behind them."""
    header, end, body = data.partition(b"\n")
    names = header.rstrip(b"\r").split(b",")
    hostile = [
        SQL,
        b"../../etc/passwd",
        b"'; drop table people; --",
        b"\0",
        b"x" * 5000,
        names[0],
        b"unused_3",
        b"line",
    ]
    place = dice.randrange(len(names) + 1) if dice.random() < 0.3 else len(names)
    names[place : place + 1] = [dice.choice(hostile)]
    return b",".join(names) + end + body


BODY: list[Change] = [
    flip_bits, put_junk, put_junk, put_junk, mix_line_ends, cut, repeat, shuffle_lines, make_huge,
]  # fmt: skip
WHOLE: list[Change] = [flip_bits, put_junk, cut, change_encoding, strike_out, rename_column]
"""Changes that may break a header: most of them refuse the file, so they are made seldom."""


def garble(data: bytes, seed: int, *, mark: Path, whole: float = 0.04) -> bytes:
    """The bytes with one or two changes that the seed decides, of all of it or of what follows the first line.

    ``whole`` is how often all of it is changed; SQL in a header would leave a file at ``mark``.
    """
    dice = random.Random(seed)
    if dice.random() < whole:
        return dice.choice(WHOLE)(data, dice).replace(b"MARK", str(mark).encode())
    header, end, body = data.partition(b"\n")
    for _ in range(dice.choice([1, 1, 2])):
        body = dice.choice(BODY)(body, dice)
    return header + end + body


def garble_archive(members: dict[str, bytes], seed: int, *, mark: Path) -> bytes:
    """A zip of these members with something wrong in it: a name, a size, a member, or any of its bytes."""
    dice = random.Random(seed)
    named = {_hostile_name(name, dice, mark): garble(data, seed, mark=mark) for name, data in members.items()}
    if dice.random() < 0.2:
        named["patients.csv"] = b"\0" * dice.choice([2_000_000, 20_000_000])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in named.items():
            archive.writestr(name, data)
    data = made.getvalue()
    return flip_bits(data, dice) if dice.random() < 0.5 else data


def _hostile_name(name: str, dice: random.Random, mark: Path) -> str:
    if dice.random() < 0.8:
        return name
    tricks = [
        f"../../{mark.name}",
        str(mark),
        f"a/b/{name}",
        f"..\\{name}",
        f"C:{name}",
        "\x1b.csv",
        f"{name}/",
        "con",
    ]
    return dice.choice(tricks)


HOSTILE_NAMES = [
    "x'); copy (select 42) to 'mark'; --.csv", 'x"; attach.csv', "*.csv", "[a-z].csv", "~.csv", "$(touch mark).csv",
    "a\nb.csv", "\u202etxt.csv", "con", "x" * 250, "1-99_Admin_Patient_{}.csv", "%s%n.csv", "-rf", "patients.csv.zip",
    "1_Admin_Patient_20261101030000_11111111-2222-3333-4444-555555555555.csv\n", "\x1b[2J.csv",
]  # fmt: skip
"""File names that no contract knows, each made to trip what pastes or expands names."""
