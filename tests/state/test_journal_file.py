"""The journal in files: what was acknowledged is there after any end of the process."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from state.journal_file import JournalFile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reopen(tmp_path):
    """Return a way to open the journal anew, after closing the one opened before."""
    opened: list[JournalFile] = []

    def again(**settings) -> JournalFile:
        if opened:
            opened[-1].close()
        opened.append(JournalFile(tmp_path, **settings))
        return opened[-1]

    yield again
    opened[-1].close()


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.journal"))


def numbers(first: int, last: int) -> list[tuple[int, bytes]]:
    """Return the entries with these ids, whose bytes say their id."""
    return [(number, b"%d" % number) for number in range(first, last + 1)]


def write(journal: JournalFile, first: int, last: int) -> None:
    for number in range(first, last + 1):
        journal.append([b"%d" % number])


def test_entries_are_there_after_a_restart_and_ids_go_on(reopen):
    write(reopen(), 1, 3)
    journal = reopen()
    write(journal, 4, 5)
    assert journal.read(0, 10) == numbers(1, 5)
    assert len(journal) == 5


def test_a_journal_that_was_never_written_is_empty(reopen):
    assert (reopen().read(0, 10), len(reopen())) == ([], 0)


def test_ids_go_on_after_a_restart_when_everything_was_drained(reopen):
    journal = reopen()
    write(journal, 1, 3)
    journal.trim(3)
    journal = reopen()
    write(journal, 4, 4)
    journal.trim(3)
    journal = reopen()
    write(journal, 5, 5)
    assert journal.read(3, 10) == numbers(4, 5)


def test_a_commit_that_was_torn_is_left_out_whole(reopen, tmp_path):
    journal = reopen()
    write(journal, 1, 2)
    journal.append([b"3", b"4", b"5"])
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    for length in range(len(whole) - 34, len(whole)):  # the last record is 35 bytes long
        journal.close()
        segment.write_bytes(whole[:length])
        journal = reopen()
        assert journal.read(0, 10) == numbers(1, 2)
    write(journal, 3, 3)
    assert journal.read(0, 10) == numbers(1, 3)
    assert reopen().read(0, 10) == numbers(1, 3)


def test_a_first_commit_that_was_torn_is_written_over(reopen, tmp_path):
    reopen().append([b"never acknowledged"])
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-1])
    journal = reopen()
    journal.append([b"1"])
    assert journal.read(0, 10) == numbers(1, 1)


def test_a_process_that_is_killed_while_writing_loses_nothing_acknowledged(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from state.journal_file import JournalFile

        journal = JournalFile(Path(sys.argv[1]), segment_bytes=20_000)
        number = 0
        while True:
            journal.append([b"%d " % (number + part) + b"x" * 500 for part in range(3)])
            number += 3
            print(number, flush=True)
        """
    )
    acknowledged = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(60)]
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        acknowledged += max(int(line) for line in lines if line.endswith("\n"))
        journal = JournalFile(tmp_path)
        found = journal.read(0, 10_000_000)
        journal.close()
        assert [entry_id for entry_id, _ in found] == list(range(1, len(found) + 1))
        assert len(found) % 3 == 0
        # What was written last may not have been acknowledged any more.
        assert acknowledged <= len(found) <= acknowledged + 3
        acknowledged = len(found)


def test_segments_follow_each_other_and_go_when_they_are_drained(reopen, tmp_path):
    journal = reopen(segment_bytes=100)
    write(journal, 1, 50)
    before = segments(tmp_path)
    assert len(before) > 5
    assert journal.read(0, 100) == numbers(1, 50)
    assert journal.read(17, 3) == numbers(18, 20)
    for through in range(1, 50):
        journal.trim(through)
        assert journal.read(0, 100) == numbers(through + 1, 50)
        assert len(journal) == 50 - through
    journal.trim(50)
    assert segments(tmp_path) == before[-1:]
    assert (len(journal), journal.read(0, 10)) == (0, [])


def test_reading_in_steps_is_the_same_as_reading_at_once(reopen):
    journal = reopen(segment_bytes=100)
    for first in range(1, 60, 3):
        journal.append([b"%d" % number for number in range(first, first + 3)])
    after, found = 0, []
    while entries := journal.read(after, 2):
        found += entries
        after = entries[-1][0]
    assert found == numbers(1, 60)


def test_a_damaged_segment_is_reported_and_what_follows_it_is_read(reopen, tmp_path, caplog):
    journal = reopen(segment_bytes=100)
    for number in range(1, 21):
        journal.append([b"entry %d." % number])
    first, second, *_ = segments(tmp_path)
    content = first.read_bytes()
    assert b"entry 3." in content
    first.write_bytes(content.replace(b"entry 3.", b"entry ?."))
    with caplog.at_level(logging.ERROR):
        found = [entry for _, entry in reopen().read(0, 100)]
    read_on = int(second.stem)
    assert found == [b"entry %d." % number for number in (1, 2, *range(read_on, 21))]
    assert f"entries 3 to {read_on - 1} are lost" in caplog.text


def test_the_generation_lasts_as_long_as_the_directory(reopen, tmp_path):
    before = reopen().generation
    assert reopen().generation == before
    for path in tmp_path.iterdir():
        path.unlink()
    assert reopen().generation != before


def test_two_processes_cannot_write_one_journal(reopen, tmp_path):
    reopen().append([b"1"])
    program = (
        "import sys; from pathlib import Path; from state.journal_file import JournalFile;"
        "JournalFile(Path(sys.argv[1])).append([b'2'])"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "another process keeps its journal" in other.stderr


def test_what_does_not_fit_is_refused_and_leaves_the_journal_whole(tmp_path):
    program = textwrap.dedent(
        """
        import resource
        import sys
        from pathlib import Path
        from state.journal_file import JournalFile
        from state.store import StateUnavailable

        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        journal = JournalFile(Path(sys.argv[1]))
        kept = refused = 0
        for _ in range(20):
            try:
                journal.append([b"x" * 700, b"y" * 700])
            except StateUnavailable:
                refused += 1
            else:
                kept += 2
                assert len(journal.read(0, 1000)) == len(journal) == kept
        print(kept, refused)
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    kept, refused = map(int, ended.stdout.split())
    assert (kept, refused) == (36, 2)
    journal = JournalFile(tmp_path)
    assert [entry for _, entry in journal.read(0, 1000)] == [b"x" * 700, b"y" * 700] * (kept // 2)
    journal.close()
