"""The queue's rows: claimed for a lease, done by one process at a time, done again when that one died.

Rule 1: a claim is a lease: until it runs out nobody else has the job, and after that anybody may take it.
Rule 2: a claim that ran out counts as an attempt of unknown outcome, so that a job which kills its process comes to an end; and the
        attempts tell a late claimant's mark from the new one's.
Rule 3: a job leaves by success or by a person's hand.
"""

from __future__ import annotations

from agent.core.replay import Mark, RowState
from agent.desk.records import Booking, Job, JobKind
from agent.desk.store.booking_rows import of_job
from agent.desk.store.topic import Topic
from agent.sqlite import Row, Transaction

LEASE_MS = 600_000
"""Longer than the slowest attempt, an email over a mail server that takes its time at every step."""
STOPPED = "the desk stopped while it was doing this"

DUE = "SELECT * FROM job WHERE state IN ('due', 'sending') AND next_try_ms <= :now_ms ORDER BY next_try_ms, job_id LIMIT :limit"
_CLAIM = """UPDATE job SET state = 'sending', next_try_ms = :until_ms, attempts = :attempts, doubts = :doubts, words = :words
    WHERE job_id = :job_id"""
_MARK = """UPDATE job SET state = :state, attempts = :attempts, doubts = :doubts, next_try_ms = :next_try_ms, words = :words
    WHERE job_id = :job_id AND state = 'sending' AND attempts = :attempts - 1"""
_DEAD = "SELECT * FROM job WHERE state IN ('dead', 'in_doubt') ORDER BY job_id LIMIT 1000"
_RETRY = "UPDATE job SET state = 'due', attempts = 0, next_try_ms = :now_ms WHERE job_id = :job_id AND state <> 'sending'"
_AGAIN = """UPDATE job SET state = 'due', attempts = 0, next_try_ms = :now_ms
    WHERE kind = :kind AND subject = :subject AND state <> 'sending'"""


class Jobs(Topic):
    """The jobs of `DeskStore`."""

    def add_job(self, kind: JobKind, subject: str, now_ms: int) -> None:
        """Have a thing done soon. The same one that is waiting or dead is not added again, but due now."""
        with self._file.writing() as db:
            add(db, kind, subject, now_ms)

    def due_jobs(self, now_ms: int, limit: int, *, lease_ms: int = LEASE_MS) -> list[Job]:
        """Claim jobs that are due, for this process alone until `lease_ms` from now; the same for leases that ran out.

        The jobs are returned as they now stand: SENDING, `next_try_ms` being the lease's end. Finish each one before that.
        """
        with self._file.reading() as db:
            if not db.rows(DUE, now_ms=now_ms, limit=1):
                return []
        with self._file.writing() as db:
            return [_claimed(db, _job(row), now_ms + lease_ms) for row in db.rows(DUE, now_ms=now_ms, limit=limit)]

    def finish_job(self, job_id: int, mark: Mark | None) -> bool:
        """End a claim: None, done, the row goes; or the mark that `agent.core.replay.settle` made of the claimed job.

        False: the row was not touched, since it is gone, or its lease ran out and another process has it.
        """
        with self._file.writing() as db:
            if mark is None:
                return db.run("DELETE FROM job WHERE job_id = :job_id", job_id=job_id) == 1
            values = {"attempts": mark.attempts, "doubts": mark.doubts, "next_try_ms": mark.next_try_ms, "words": mark.words}
            return db.run(_MARK, job_id=job_id, state=mark.state.value, **values) == 1

    def dead_jobs(self, community_id: str | None = None) -> list[tuple[Job, Booking | None]]:
        """Jobs that wait for a person, dead or in doubt, oldest first, with the booking if there is one; of one community or of all."""
        with self._file.reading() as db:
            found = [(job, *_place(db, job)) for job in map(_job, db.rows(_DEAD))]
        return [(job, booking) for job, booking, place in found if community_id in {None, place}]

    def retry_job(self, job_id: int, now_ms: int) -> bool:
        """Have a waiting or dead job tried now, its attempts counted anew. False: it is gone, or being done."""
        with self._file.writing() as db:
            return db.run(_RETRY, job_id=job_id, now_ms=now_ms) == 1


def add(db: Transaction, kind: JobKind, subject: str, now_ms: int) -> None:
    """Add a job inside the caller's transaction; see `Jobs.add_job`. One that is being done may have old news, so it is not counted."""
    if not db.run(_AGAIN, kind=kind.value, subject=subject, now_ms=now_ms):
        start = {"state": RowState.DUE.value, "attempts": 0, "doubts": 0, "next_try_ms": now_ms, "words": ""}
        db.insert("job", {"kind": kind.value, "subject": subject, **start})


def _claimed(db: Transaction, job: Job, until_ms: int) -> Job:
    is_orphan = job.state is RowState.SENDING
    attempts, doubts, words = (job.attempts + 1, job.doubts + 1, STOPPED) if is_orphan else (job.attempts, job.doubts, job.words)
    db.run(_CLAIM, job_id=job.job_id, until_ms=until_ms, attempts=attempts, doubts=doubts, words=words)
    return Job(job.job_id, job.kind, job.subject, RowState.SENDING, attempts, doubts, until_ms, words)


def _place(db: Transaction, job: Job) -> tuple[Booking | None, str | None]:
    """The booking of a job, and the community: an ingested appointment has no booking."""
    booking = of_job(db, job.kind, job.subject)
    if booking:
        return booking, booking.community_id
    row = db.row("SELECT community_id FROM appointment WHERE appointment_id = :subject", subject=job.subject)
    return None, row["community_id"] if row else None


def _job(row: Row) -> Job:
    return Job(
        job_id=row["job_id"],
        kind=JobKind(row["kind"]),
        subject=row["subject"],
        state=RowState(row["state"]),
        attempts=row["attempts"],
        doubts=row["doubts"],
        next_try_ms=row["next_try_ms"],
        words=row["words"],
    )
