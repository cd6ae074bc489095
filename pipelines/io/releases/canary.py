"""Looks for planted identifiers in files of any kind: plain, spaced, encoded, hashed, zipped or compressed."""

import base64
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def find_identifiers(paths: list[Path], identifiers: list[str]) -> dict[str, int]:
    """File to how many of the identifiers it holds in any form; files that hold none are left out.

    Args:
        paths: files, and folders searched to the bottom.
        identifiers: what must not be there, such as the NHS numbers of made-up people.
    """
    forms = {form: number for number, text in enumerate(identifiers) for form in forms_of(text)}
    found = {}
    for file in _files(paths):
        hits = {forms[form] for content in contents(file) for form in _present(content, forms)}
        if hits:
            found[file.as_posix()] = len(hits)
    return found


def forms_of(identifier: str) -> set[bytes]:
    """The ways in which an identifier can stand in a file: spaced, dashed, UTF-16, base64, hex, unkeyed hashes."""
    plain = {identifier}
    if len(identifier) == 10 and identifier.isdigit():
        parts = identifier[:3], identifier[3:6], identifier[6:]
        plain |= {" ".join(parts), "-".join(parts)}
    encoded = {form for text in plain for form in (text.encode(), text.encode("utf-16-le"))}
    raw = identifier.encode()
    digests = [hashlib.new(kind, raw, usedforsecurity=False).digest() for kind in ("md5", "sha1", "sha256")]
    hashes = {digest.hex().encode() for digest in digests} | set(digests)
    return encoded | hashes | {base64.b64encode(raw).rstrip(b"=")[:-1], raw.hex().encode()}


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
        text = column.cast(pa.string()) if not pa.types.is_binary(column.type) else column
        yield "\n".join(str(value) for value in text.to_pylist() if value is not None).encode()


def _present(content: bytes, forms: dict[bytes, int]) -> Iterator[bytes]:
    """The forms that stand in the content."""
    return (form for form in forms if form in content)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
