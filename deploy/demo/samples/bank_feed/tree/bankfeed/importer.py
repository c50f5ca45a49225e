"""Finds the reader for a file."""

from __future__ import annotations

from pathlib import Path

from bankfeed import csv_reader, mt940_reader
from bankfeed.errors import StatementError, UnknownFormat
from bankfeed.model import Statement

READERS = (mt940_reader, csv_reader)


def import_text(text: str, name: str = "statement") -> Statement:
    """Raises `UnknownFormat` when no reader recognises the text."""
    for reader in READERS:
        if reader.recognises(text):
            return reader.read(text)
    raise UnknownFormat(name, [reader.NAME for reader in READERS])


def import_file(path: Path) -> Statement:
    """Reads a file as UTF-8, else as the Latin-1 that older banks still send."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.strip():
        raise StatementError(f"{path.name}: the file is empty")
    return import_text(text, path.name)
