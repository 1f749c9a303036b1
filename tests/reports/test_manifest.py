"""A manifest says what a file is, and a file that is not what its manifest says is found."""

from __future__ import annotations

import hashlib
import io
import tomllib
from pathlib import Path

import msgspec
import pytest

from audit.exports import check_file
from audit.manifest import (
    Manifest,
    ManifestUnreadable,
    decode_manifest,
    manifest_beside,
    read_manifest,
    write_manifest,
)
from reports.exporters import EXPORTERS
from reports.manifest import PRODUCT, Measured
from tests.reports.exporters.subjects import AT, of_texts, written

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=sorted(EXPORTERS))
def suffix(request) -> str:
    suffix: str = request.param
    return suffix


class Kept:
    """A file and its manifest, as they were taken away."""

    def __init__(self, directory: Path, suffix: str) -> None:
        rows, columns = of_texts("one", 'tw"o"\r\n', "three, four")
        self.content, self.manifest = written(suffix, rows, columns)
        self.path = directory / f"report.{suffix}"
        self.path.write_bytes(self.content)

    def problems(self, **changed: object) -> list[str]:
        return check_file(self.path, msgspec.structs.replace(self.manifest, **changed))

    def becomes(self, content: bytes) -> Manifest:
        """Put other content in place of the file, and return a manifest that has its length and hash."""
        self.path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return msgspec.structs.replace(self.manifest, bytes=len(content), sha256=sha256)


@pytest.fixture
def kept(tmp_path, suffix) -> Kept:
    return Kept(tmp_path, suffix)


# ------------------------------------------------------------------------------------------------ what it says
def test_a_manifest_says_what_the_file_is(kept, suffix):
    assert msgspec.structs.asdict(kept.manifest) == {
        "report_id": "0198c0de-0000-7000-8000-000000000001",
        "report": "decisions",
        "title": "Decisions",
        "format": suffix,
        "filters": (("Account", "desk-1"), ("Since", "2026-01-31 00:00:00 UTC")),
        "asked_by": "auditor",
        "made_at": AT,
        "columns": ("text", "number"),
        "rows": 3,
        "rows_in_file": 3,
        "bytes": len(kept.content),
        "sha256": hashlib.sha256(kept.content).hexdigest(),
        "first_book": 3,
        "last_book": 9,
        "events": 41,
        "events_hash": "a" * 64,
        "batches": 7,
        "batches_hash": "b" * 64,
        "product": PRODUCT,
        "complete": True,
    }


def test_a_manifest_comes_back_from_its_file(kept):
    beside = manifest_beside(kept.path)
    beside.write_bytes(write_manifest(kept.manifest))
    assert read_manifest(beside) == kept.manifest


def test_a_manifest_lies_beside_its_file():
    assert manifest_beside(Path("there/report.csv")) == Path("there/report.csv.manifest.json")


def test_the_product_names_its_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"riskportal {version}" == PRODUCT


# ---------------------------------------------------------------------------------------- what is no manifest
def test_a_manifest_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(ManifestUnreadable, match="No such file"):
        read_manifest(tmp_path / "none")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1", b"\xff", b"[" * 100_000], ids=["empty", "bare", "cut", "binary", "deep"]
)
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(ManifestUnreadable, match="is no manifest"):
        decode_manifest(content)


def test_a_manifest_with_more_in_it_is_refused(kept):
    content = write_manifest(kept.manifest).replace(b"{", b'{"signed": true,', 1)
    with pytest.raises(ManifestUnreadable, match="signed"):
        decode_manifest(content)


def test_a_manifest_of_a_file_that_was_not_finished_is_refused(kept):
    unfinished = msgspec.structs.replace(kept.manifest, complete=False)
    with pytest.raises(ManifestUnreadable, match="not finished"):
        decode_manifest(write_manifest(unfinished))


def test_an_endless_manifest_is_refused(tmp_path):
    path = tmp_path / "endless"
    path.write_bytes(b" " * 1_000_001)
    with pytest.raises(ManifestUnreadable, match="longer than"):
        read_manifest(path)


# ---------------------------------------------------------------------------------------------- what is found
def test_a_file_that_is_what_it_was_has_no_problem(kept):
    assert kept.problems() == []


def test_a_changed_byte_is_found(kept):
    middle = len(kept.content) // 2
    kept.path.write_bytes(kept.content[:middle] + bytes([kept.content[middle] ^ 1]) + kept.content[middle + 1 :])
    assert "The content was changed" in kept.problems()[0]


def test_a_file_that_was_cut_off_is_found(kept):
    kept.path.write_bytes(kept.content[:-5])
    problems = " ".join(kept.problems())
    assert "it was cut off" in problems
    assert "The content was changed" in problems


def test_a_file_that_ends_in_the_middle_is_found_whatever_its_manifest_says(kept):
    manifest = kept.becomes(kept.content[:-5])
    (problem,) = check_file(kept.path, manifest)
    assert "in the middle" in problem or "no whole workbook" in problem


@pytest.mark.parametrize("flipped", [0x01, 0x80, 0xFF])
def test_whichever_byte_was_changed_it_is_found_and_nothing_fails(kept, flipped):
    for place in range(0, len(kept.content), 1 + len(kept.content) // 500):
        changed = bytearray(kept.content)
        changed[place] ^= flipped
        kept.path.write_bytes(changed)
        assert kept.problems()


def test_what_was_added_is_found(kept):
    kept.path.write_bytes(kept.content + b"more\r\n")
    assert "something was added" in kept.problems()[0]


@pytest.mark.parametrize("suffix", sorted(EXPORTERS.keys() - {"pdf"}))
def test_rows_that_are_missing_are_found_whatever_its_hash_says(kept):
    (problem,) = kept.problems(rows=4, rows_in_file=4)
    assert problem == "There are 3 rows in the file and the manifest says 4."


def test_a_file_with_fewer_rows_than_its_report_is_found(kept, suffix):
    problems = kept.problems(rows=4)
    assert problems == ([] if suffix == "pdf" else ["The report has 4 rows and only 3 are in the file."])


def test_a_file_that_is_not_there_is_said_so(kept):
    kept.path.unlink()
    assert kept.problems() == ["The file cannot be read: No such file or directory."]


def test_a_format_that_is_not_known_is_said_so(kept):
    assert kept.problems(format="doc") == ["The manifest names a format that is not known: doc."]


def test_an_empty_file_is_none(kept):
    manifest = kept.becomes(b"")
    assert check_file(kept.path, msgspec.structs.replace(manifest, rows=1, rows_in_file=1))


# ------------------------------------------------------------------------------------------------- measuring
def test_what_passes_is_measured():
    out = io.BytesIO()
    measured = Measured(out)
    for part in (b"ab", bytearray(b"c"), memoryview(b"de")):
        measured.write(part)
    assert (out.getvalue(), measured.bytes, measured.sha256()) == (b"abcde", 5, hashlib.sha256(b"abcde").hexdigest())


def test_nobody_goes_back_in_what_is_measured():
    measured = Measured(io.BytesIO())
    assert not measured.seekable()
    with pytest.raises(io.UnsupportedOperation):
        measured.seek(0)


def test_a_manifest_that_says_nothing_of_books_is_of_none():
    _, manifest = written("csv", books=None)
    assert (manifest.first_book, manifest.last_book) == (None, None)
