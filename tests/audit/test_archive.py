"""Evidence in files: checked without the database, and taken out of it without a gap in what can be checked."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connection, transaction
from django.utils import timezone

from audit.check_archive import check_archive
from audit.drain import drain
from audit.heads import heads
from audit.models import AuditEvent, EvidenceArchive, EvidenceBatch, OrderDecision
from audit.retention import delete_archived, do_archive
from audit.sealing import batch_hash
from audit.services import record
from audit.tasks import archive as archive_task
from audit.tasks import tell_heads
from audit.verify_batches import verify_batches
from bus.events import AuditHeads
from tests.audit.subjects import Journal, decided, inputs, released
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def evidence(monkeypatch) -> None:
    """Three batches of two decisions, an end and a reject each, and three events."""
    monkeypatch.setattr("audit.drain._begun", set())
    journal = Journal()
    for number in range(3):
        journal.add(*(decided(inputs(order_id=f"{number}-{place}")) for place in range(2)), released(), b"unreadable")
        drain(journal)
        with transaction.atomic():
            record(
                actor="alice",
                action="policy.change",
                object_type="policy",
                object_id=number,
                object_label="ü - Policy",
                reason="because\n",
                before={"b": 1, "a": {"z": "1.5", "é": [None, True]}},
            )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "all.evidence.jsonl.gz"
    call_command("export_evidence", str(path))
    return path


def edit(path: Path, change) -> None:
    """Have the lines of a file changed by somebody who packs it again."""
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    changed = change(lines) or lines
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in changed)))


def verify(*arguments: object) -> int:
    try:
        call_command("verify_audit", *map(str, arguments))
    except SystemExit as exit_:
        return int(str(exit_.code))
    return 0


# ------------------------------------------------------------------------------------------------- files alone
def test_a_file_has_all_and_checks_by_itself(file, django_db_blocker):
    with django_db_blocker.block():
        check = check_archive(file)
    assert check.intact, check.problem
    assert (check.first, check.through, check.rows, check.first_event, check.through_event) == (1, 3, 12, 1, 3)


def test_verify_audit_says_what_is_in_a_file(file, capsys):
    assert verify(file) == 0
    assert "12 rows of batches 1 to 3 and events 1 to 3" in capsys.readouterr().out


def _first(lines, kind: str, **what):
    return next(line for line in lines if line["kind"] == kind and what.items() <= line.items())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: _first(lines, "event", sequence=2).update(reason="x"), "event 2 was changed"),
        (
            lambda lines: [line for line in lines if line.get("sequence") != 2 or line["kind"] != "event"],
            "event 2 is missing",
        ),
        (lambda lines: _first(lines, "row")["content"].update(batch=9), "was changed since it was sealed in batch 1"),
        (lambda lines: lines.remove(_first(lines, "row")), "is missing; it was sealed in batch 1"),
        (lambda lines: lines.insert(-1, _first(lines, "row")), "was put in"),
        (lambda lines: [*lines[:-1], *lines[-1:], lines[-1]], "follows the end"),
        (lambda lines: lines[:-1], "cut off"),
        (lambda lines: lines[1:], "not what belongs there"),
        (lambda lines: lines[-1].update(rows=13), "and says that it has"),
        (lambda lines: lines[0].update(format=2), "is of format 2"),
        (
            lambda lines: _first(lines, "batch", sequence=2).update(at="2001-01-01T00:00:00.000000+00:00"),
            "batch 2 was changed",
        ),
        (lambda lines: [{"kind": "head"}, *lines[1:]], "cannot be read on"),
        (lambda lines: [lines[0], {"kind": "gossip"}, *lines[1:]], "of no kind"),
    ],
)
def test_a_file_that_was_changed_names_the_first_bad_line(file, change, problem, capsys):
    edit(file, change)
    assert problem in check_archive(file).problem
    assert verify(file) == 1
    assert problem in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"", b"x", *(gzip.compress(text, mtime=0) for text in (b"{}\n", b"[]\n", b"{"))],
    ids=["nothing", "no gzip", "no head", "no object", "no JSON"],
)
def test_what_is_no_file_of_evidence_is_not_taken_for_one(tmp_path, content):
    path = tmp_path / "x.evidence.jsonl.gz"
    path.write_bytes(content)
    assert not check_archive(path).intact
    assert verify(path) == 1


def test_a_file_cut_in_the_middle_is_found(file):
    file.write_bytes(file.read_bytes()[:-100])
    assert not check_archive(file).intact


def test_a_file_is_not_written_over(file):
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_evidence", str(file))


def test_what_is_not_as_it_was_sealed_is_not_exported(tmp_path):
    tamper("DELETE FROM audit_reservationend WHERE batch = 2")
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("export_evidence", str(tmp_path / "x.evidence.jsonl.gz"))
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- anchors
def anchor(path: Path, **other: object) -> Path:
    path.write_bytes(msgspec.json.encode({**msgspec.structs.asdict(heads()), "at": "2026-01-01", **other}))
    return path


def test_chains_that_go_through_an_anchor_are_as_they_were(tmp_path, file, capsys):
    noted = anchor(tmp_path / "anchor.json")
    assert verify("--anchor", noted) == 0
    assert "go through all anchors" in capsys.readouterr().out
    assert verify(file, "--anchor", noted) == 0


def test_a_log_has_its_anchors_among_other_lines(tmp_path):
    noted = anchor(tmp_path / "anchor.json").read_bytes()
    log = tmp_path / "log"
    log.write_bytes(b'no json\n{"level": "info"}\n' + noted + b"\n")
    assert verify("--anchor", log) == 0


def test_a_tail_that_was_cut_off_with_its_head_is_found_by_an_anchor(tmp_path, capsys):
    noted = anchor(tmp_path / "anchor.json")
    second = AuditEvent.objects.get(sequence=2)
    tamper(
        "DELETE FROM audit_auditevent WHERE sequence = 3",
        f"UPDATE audit_audithead SET sequence = 2, hash = '{second.hash}'",
    )
    assert verify() == 0
    assert verify("-a", noted) == 1
    assert "event 3 is missing; the anchor names event 3" in capsys.readouterr().out


def test_batches_that_were_cut_off_with_their_head_and_rows_are_found_by_an_anchor(tmp_path, capsys):
    noted = anchor(tmp_path / "anchor.json")
    second = EvidenceBatch.objects.get(sequence=2)
    tables = ("orderdecision", "reservationend", "journalreject")
    tamper(
        "DELETE FROM audit_evidencebatch WHERE sequence = 3",
        *(f"DELETE FROM audit_{table} WHERE batch = 3" for table in tables),
        f"UPDATE audit_evidencehead SET sequence = 2, hash = '{second.hash}'",
    )
    assert verify() == 0
    assert verify("-a", noted) == 1
    assert "batch 3 is missing; the anchor names batch 3" in capsys.readouterr().out


@pytest.mark.parametrize(("field", "what"), [("events_hash", "event 3"), ("batches_hash", "batch 3")])
def test_a_chain_that_was_written_anew_is_found_by_an_anchor(tmp_path, file, field, what, capsys):
    noted = anchor(tmp_path / "anchor.json", **{field: "f" * 64})
    assert (verify("-a", noted), verify(file, "-a", noted)) == (1, 1)
    assert capsys.readouterr().out.count(f"{what} is not the one that the anchor names") == 2


def test_files_that_do_not_reach_an_anchor_are_cut_off(tmp_path, file, capsys):
    noted = anchor(tmp_path / "anchor.json", batches=5, events=7)
    assert verify(file, "-a", noted) == 1
    said = capsys.readouterr().out
    assert "batch 4 is missing, an anchor names batch 5" in said
    assert "event 4 is missing, an anchor names event 7" in said


def test_a_file_without_an_anchor_is_refused(tmp_path):
    (tmp_path / "x").write_text("nothing")
    with pytest.raises(CommandError, match="names no end of the chains") as refused:
        call_command("verify_audit", "-a", str(tmp_path / "x"))
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="No such file"):
        call_command("verify_audit", "-a", str(tmp_path / "y"))


# -------------------------------------------------------------------------------------------------- retention
def archive(directory: Path, days: int = 0) -> EvidenceArchive | None:
    now = timezone.now()
    return do_archive(actor="x", reason="old", before=now - timedelta(days=days), now=now, directory=directory)


def test_what_is_archived_is_in_a_file_and_not_in_the_database(tmp_path):
    made = archive(tmp_path)
    assert made is not None
    assert (made.first, made.through, made.rows) == (1, 3, 12)
    assert not OrderDecision.objects.exists()
    check = verify_batches()
    assert check.intact, check.bad
    # The archive is a row of evidence itself.
    assert (check.batches, check.rows, check.archived) == (4, 1, 12)
    assert check_archive(tmp_path / made.name).rows == 12
    assert AuditEvent.objects.first().action == "evidence.archive"  # type: ignore[union-attr]


def test_what_is_not_old_enough_stays(tmp_path):
    assert archive(tmp_path, days=1) is None
    assert list(tmp_path.iterdir()) == []
    assert OrderDecision.objects.count() == 6


def test_files_follow_on_each_other(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("audit.retention.MOST_BATCHES", 2)
    first, second = archive(tmp_path), archive(tmp_path)
    assert first is not None
    assert second is not None
    assert (first.through, second.first) == (2, 3)
    assert verify(tmp_path / second.name, tmp_path / first.name) == 0
    (tmp_path / first.name).unlink()
    assert verify(tmp_path / second.name) == 0  # what comes before it another file says


def test_a_file_between_two_others_is_missed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("audit.retention.MOST_BATCHES", 1)
    made = [archive(tmp_path) for _ in range(3)]
    names = [each.name for each in made if each is not None]
    assert verify(tmp_path / names[0], tmp_path / names[2]) == 1
    assert "Batches 2 to 2 are in none of the files." in capsys.readouterr().out


def test_rows_are_deleted_by_nobody_before_they_are_in_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.retention.MOST_BATCHES", 1)
    archive(tmp_path)
    with pytest.raises(Error, match="evidence"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_orderdecision")
    assert OrderDecision.objects.count() == 4


def test_killed_before_rows_are_deleted_the_next_one_deletes_them(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("audit.retention.delete_archived", lambda: calls.append(1))
    archive(tmp_path)
    assert OrderDecision.objects.count() == 6
    assert verify_batches().intact
    assert delete_archived() == 12
    assert verify_batches().archived == 12


def test_a_row_that_was_deleted_ahead_of_its_archive_stops_it(tmp_path):
    tamper("DELETE FROM audit_orderdecision WHERE batch = 2")
    with pytest.raises(Exception, match="not those that were sealed"):
        archive(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not EvidenceArchive.objects.exists()


def test_part_of_the_rows_of_an_archived_batch_is_no_archive(tmp_path):
    archive(tmp_path)
    tamper("UPDATE audit_evidencearchive SET through = 9")
    found = verify_batches().bad
    assert found is not None
    assert (found.table, "was changed" in found.problem) == ("audit.evidencearchive", True)


# ------------------------------------------------------------------------------------------------ the database
def test_a_table_whose_triggers_are_off_is_named(capsys):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE audit_orderdecision DISABLE TRIGGER ALL")
        else:
            cursor.execute("DROP TRIGGER audit_orderdecision_update_1")
    assert verify() == 1
    assert "Table audit_orderdecision is not protected" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- by the clock
def test_by_the_clock_nothing_is_archived_unless_the_settings_say_so(settings, tmp_path):
    settings.RISK_ARCHIVE_DIR = tmp_path
    archive_task()
    assert OrderDecision.objects.count() == 6
    assert list(tmp_path.iterdir()) == []


def test_by_the_clock_what_is_old_is_archived(settings, tmp_path):
    settings.RISK_ARCHIVE_DIR, settings.RISK_EVIDENCE_DAYS = tmp_path, 7
    archive_task()
    assert OrderDecision.objects.count() == 6
    _age(8)
    archive_task()
    assert [path.suffix for path in tmp_path.iterdir()] == [".gz"]
    assert not OrderDecision.objects.exists()


def _age(days: int) -> None:
    """Have all batches sealed so many days ago: as a clock would have had it, with their hashes."""
    previous = "0" * 64
    for batch in EvidenceBatch.objects.order_by("sequence"):
        batch.at -= timedelta(days=days)
        batch.previous_hash = previous
        batch.hash = previous = batch_hash(batch)
        tamper(
            "UPDATE audit_evidencebatch SET at = %s, previous_hash = %s, hash = %s WHERE sequence = %s",
            with_=[str(batch.at), batch.previous_hash, batch.hash, batch.sequence],
        )
    tamper("UPDATE audit_evidencehead SET hash = %s", with_=[previous])


def test_the_command_takes_no_less_than_a_week():
    with pytest.raises(CommandError, match="at least 7"):
        call_command("archive_evidence", "6", reason="x")


def test_the_command_archives_all_that_is_old(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("audit.retention.MOST_BATCHES", 2)
    _age(8)
    call_command("archive_evidence", "7", reason="year's end", directory=tmp_path)
    assert "2 file(s)" in capsys.readouterr().out
    call_command("archive_evidence", "7", reason="year's end", directory=tmp_path)
    assert "Nothing is that old." in capsys.readouterr().out
    assert verify() == 0


def test_the_ends_of_the_chains_are_told(monkeypatch, caplog):
    told: list[AuditHeads] = []
    monkeypatch.setattr("audit.tasks.bus.publish", told.append)
    tell_heads()
    (event,) = told
    assert event.subject == "risk.audit.head"
    now = heads()
    assert (event.events, event.events_hash, event.batches, event.batches_hash) == msgspec.structs.astuple(now)
    assert (now.events, now.batches) == (3, 3)
