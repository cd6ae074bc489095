"""Looks for planted identifiers in files of any kind: plain, spaced, encoded, hashed, zipped or compressed."""

import base64
import gzip
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_START = 4
_DIGITS = b"0123456789"
_LONG, _LONGEST = 16, 20
"""Pseudonyms are numbers of 63 bits: nearly all have 16 digits or more, and none has over 20."""
HASHES = ("md5", "sha1", "sha256", "sha512")


def find_identifiers(paths: list[Path], identifiers: list[str]) -> dict[str, int]:
    """File to how many of the identifiers it holds in any form; files that hold none are left out.

    Args:
        paths: files, and folders searched to the bottom.
        identifiers: what must not be there, such as the NHS numbers of made-up people; four characters or more.
    """
    owners = {form: number for number, text in enumerate(identifiers) for form in forms_of(text)}
    starts: dict[bytes, list[bytes]] = {}
    for form in owners:
        starts.setdefault(form[:_START], []).append(form)
    found = {}
    for file in _files(paths):
        hits = {owners[form] for content in contents(file) for form in _present(content, starts)}
        if hits:
            found[file.as_posix()] = len(hits)
    return found


def forms_of(identifier: str) -> set[bytes]:
    """The ways in which an identifier can stand in a file: spaced, cased, encoded, reversed, hashed without a key."""
    texts = {identifier, identifier.upper(), identifier.lower(), identifier.replace(" ", ""), identifier[::-1]}
    if len(identifier) == 10 and identifier.isdigit():
        parts = identifier[:3], identifier[3:6], identifier[6:]
        texts |= {mark.join(parts) for mark in (" ", "-", ".", "%20", "\u00a0", "&nbsp;")}
    encoded = {text.encode(code) for text in texts for code in ("utf-8", "utf-16-le", "utf-16-be")}
    raw = identifier.encode()
    digests = [hashlib.new(kind, raw, usedforsecurity=False).digest() for kind in HASHES]
    hashed = {form for digest in digests for form in (digest, digest.hex().encode(), digest.hex().upper().encode())}
    return (
        encoded
        | hashed
        | {base64.b64encode(raw).rstrip(b"=")[:-1], base64.b32encode(raw).rstrip(b"=")[:-1]}
        | {
            raw.hex().encode(),
            raw.hex().upper().encode(),
            json.dumps(identifier).strip('"').encode(),
        }
    )


def contents(file: Path) -> Iterator[bytes]:
    """The file's bytes and everything packed inside: zip members, gzip, Parquet columns and footer."""
    raw = file.read_bytes()
    yield raw
    if raw[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    elif raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    elif raw[:4] == b"PAR1":
        yield from _parquet(raw)
    elif raw[:1] == b"\x78":
        yield from _inflated(raw)


def _inflated(raw: bytes) -> Iterator[bytes]:
    try:
        yield zlib.decompress(raw)
    except zlib.error:
        return


def _parquet(raw: bytes) -> Iterator[bytes]:
    """Every column as text, and the footer with its statistics as text."""
    file = pq.ParquetFile(io.BytesIO(raw))
    yield str(file.metadata.to_dict()).encode()
    for column in file.read().columns:
        is_text_already = pa.types.is_binary(column.type) or pa.types.is_nested(column.type)
        text = column if is_text_already else column.cast(pa.string())
        yield "\n".join(str(value) for value in text.to_pylist() if value is not None).encode()


def _present(content: bytes, starts: dict[bytes, list[bytes]]) -> Iterator[bytes]:
    """The forms that stand in the content, looked for where their first four bytes stand."""
    data = np.frombuffer(content, dtype=np.uint8).astype(np.uint32)
    if len(data) < _START:
        return
    grams = data[:-3] | data[1:-2] << 8 | data[2:-1] << 16 | data[3:] << 24
    wanted = np.array([int.from_bytes(start, "little") for start in starts], dtype=np.uint32)
    for at in np.flatnonzero(np.isin(grams, wanted)).tolist():
        for form in starts[content[at : at + _START]]:
            is_chance = len(form) < _LONG and form.isdigit() and _is_pseudonym(content, at, len(form))
            if not is_chance and content.startswith(form, at):
                yield form


def _is_pseudonym(content: bytes, at: int, length: int) -> bool:
    """True if the digits found are part of a number as long as a pseudonym, where chance alone puts them."""
    before = content[max(0, at - _LONGEST) : at]
    after = content[at + length : at + length + _LONGEST]
    around = len(before) - len(before.rstrip(_DIGITS)) + len(after) - len(after.lstrip(_DIGITS))
    return length + around >= _LONG


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
