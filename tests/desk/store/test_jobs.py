"""The queue's rows: one process at a time, taken over when that died, gone only by success."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agent.core.replay import Mark, RetryPolicy, RowState, TryAgain, settle
from agent.desk.records import Job, JobKind
from agent.desk.store import DeskStore
from agent.desk.store.jobs import LEASE_MS, STOPPED
from tests.desk.store.made import T0_MS, appointment, booking, everything, new_store, opened, start, together

MAIL = JobKind.MAIL_CONFIRMED
CLAIM = """
mine = []
while True:
    jobs = store.due_jobs(T0_MS, 3)
    if not jobs:
        break
    for job in jobs:
        mine.append(job.job_id)
        store.finish_job(job.job_id, None)
print(*mine)
"""
DIE = """
for job in store.due_jobs(T0_MS, 10):
    print(job.job_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def later(job: Job, at_ms: int, words: str = "no connection") -> Mark:
    """The mark of an attempt that failed, as the core makes it."""
    made = settle(TryAgain(words), RetryPolicy(0, 0), attempts=job.attempts, doubts=job.doubts, now_ms=at_ms, chance=0)
    assert made.next_try_ms == at_ms
    return made


def dead(job: Job) -> Mark:
    """The mark of a job that is given up."""
    return Mark(RowState.DEAD, job.attempts + 1, job.doubts, T0_MS, "refused")


def claimed(store: DeskStore, now_ms: int = T0_MS) -> Job:
    """The one job that is due."""
    (job,) = store.due_jobs(now_ms, 9)
    return job


def test_ok__jobs_are_claimed_when_due_and_gone_when_done(tmp_path: Path) -> None:
    """The oldest first, so many at most; claimed ones are nobody else's."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in (3, 1, 2):
            store.add_job(MAIL, f"{number}", T0_MS + number)
        assert store.due_jobs(T0_MS, 9) == []
        jobs = store.due_jobs(T0_MS + 2, 9)
        assert [(job.subject, job.state, job.attempts, job.doubts, job.words) for job in jobs] == [
            ("1", RowState.SENDING, 0, 0, ""),
            ("2", RowState.SENDING, 0, 0, ""),
        ]
        assert {job.next_try_ms for job in jobs} == {T0_MS + 2 + LEASE_MS}
        assert [job.subject for job in store.due_jobs(T0_MS + 3, 1)] == ["3"]
        assert store.due_jobs(T0_MS + 3, 9) == []
        assert [store.finish_job(job.job_id, None) for job in jobs] == [True, True]
        assert store.finish_job(jobs[0].job_id, None) is False
    assert len(everything(path)["job"]) == 1


def test_ok__a_failed_job_comes_back_at_its_time(tmp_path: Path) -> None:
    """With its counts and the last trouble's words."""
    with opened(tmp_path / "desk.db") as store:
        store.add_job(MAIL, "1", T0_MS)
        first = claimed(store)
        assert store.finish_job(first.job_id, later(first, T0_MS + 500))
        assert store.due_jobs(T0_MS + 499, 9) == []
        second = claimed(store, T0_MS + 500)
        assert (second.job_id, second.attempts, second.doubts, second.words) == (first.job_id, 1, 0, "no connection")


def test_ok__several_processes_do_each_job_once(tmp_path: Path) -> None:
    """However many desks work on one queue."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in range(60):
            store.add_job(MAIL, f"{number}", T0_MS)
    told = together(CLAIM, [(path,)] * 3)
    assert sorted(int(job) for line in told for job in line.split()) == list(range(1, 61))
    assert everything(path)["job"] == []


def test_ok__the_jobs_of_a_dead_process_are_taken_over_after_the_lease(tmp_path: Path) -> None:
    """Not a millisecond before it ends, since nobody can know that it is dead; then once, as an attempt of unknown outcome."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.add_job(MAIL, "1", T0_MS)
        begun = start(DIE, path)
        told, _ = begun.communicate("go\n", timeout=60)
        assert (told, begun.returncode) == ("ready\n1\n", -signal.SIGKILL)
        assert begun.pid != os.getpid()
        assert store.due_jobs(T0_MS + LEASE_MS - 1, 9) == []
        taken = claimed(store, T0_MS + LEASE_MS)
        assert (taken.attempts, taken.doubts, taken.words) == (1, 1, STOPPED)
        assert taken.next_try_ms == T0_MS + 2 * LEASE_MS
        assert store.due_jobs(T0_MS + LEASE_MS, 9) == []
        assert store.finish_job(taken.job_id, None)


def test_refused__a_late_mark_of_who_lost_the_lease(tmp_path: Path) -> None:
    """It came after another took the job over: the other one's claim stands."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.add_job(MAIL, "1", T0_MS)
        (slow,) = store.due_jobs(T0_MS, 9, lease_ms=1000)
        (quick,) = store.due_jobs(T0_MS + 1000, 9, lease_ms=1000)
        before = everything(path)
        assert store.finish_job(slow.job_id, later(slow, T0_MS)) is False
        assert store.finish_job(slow.job_id, dead(slow)) is False
        assert everything(path) == before
        assert store.finish_job(quick.job_id, later(quick, T0_MS + 2000))
        assert store.finish_job(quick.job_id, later(quick, T0_MS + 2000)) is False, "its claim has ended"
        assert claimed(store, T0_MS + 2000).attempts == 2


def test_ok__the_same_job_is_not_added_twice_but_due_now(tmp_path: Path) -> None:
    """While it waits or is dead. While it is being done, with what may be old news, another one is."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.add_job(MAIL, "1", T0_MS)
        job = claimed(store)
        store.finish_job(job.job_id, later(job, T0_MS + 90_000))
        store.add_job(MAIL, "1", T0_MS)
        again = claimed(store)
        assert (again.job_id, again.attempts) == (job.job_id, 0)
        store.add_job(MAIL, "1", T0_MS)
        store.add_job(JobKind.PROSPECT, "1", T0_MS)
        assert [(one.kind, one.job_id != job.job_id) for one in store.due_jobs(T0_MS, 9)] == [(MAIL, True), (JobKind.PROSPECT, True)]


def test_ok__dead_jobs_wait_for_a_person_with_their_booking(tmp_path: Path) -> None:
    """Of one community or of all; a cancel is of an appointment, that may be of a booking, be ingested, or be in no roster."""
    with opened(tmp_path / "desk.db") as store:
        store.begin(booking(1))
        store.begin(booking(2, community_id="2", appointment_id="a2", moving_appointment_id="a5"))
        store.put_appointment(appointment(1), {}, T0_MS)
        store.put_appointment(appointment(3, booking_id=None), {}, T0_MS)
        subjects = [(MAIL, booking(1).booking_id), *((JobKind.CANCEL, one) for one in ("a1", "a2", "a3", "a4", "a5"))]
        for kind, subject in subjects:
            store.add_job(kind, subject, T0_MS)
        assert store.dead_jobs() == [], "they are only due"
        for job in store.due_jobs(T0_MS, 9):
            mark = dead(job) if job.subject != "a2" else Mark(RowState.IN_DOUBT, 1, 1, T0_MS, "no answer")
            assert store.finish_job(job.job_id, mark)
        assert store.due_jobs(T0_MS + 10 * LEASE_MS, 9) == []
        found = [(job.subject, of.booking_id if of else None) for job, of in store.dead_jobs()]
        one, two = booking(1).booking_id, booking(2).booking_id
        assert found == [(one, one), ("a1", one), ("a2", two), ("a3", None), ("a4", None), ("a5", two)]
        assert [job.subject for job, _ in store.dead_jobs("1001")] == [one, "a1", "a3"]
        assert [(job.subject, job.words) for job, _ in store.dead_jobs("2")] == [("a2", "no answer"), ("a5", "refused")]


@pytest.mark.parametrize("state", [RowState.DEAD, RowState.IN_DOUBT, RowState.DUE])
def test_ok__a_person_has_a_job_tried_again(tmp_path: Path, state: RowState) -> None:
    """Now, with its attempts counted anew; one that is being done or is gone cannot be."""
    with opened(tmp_path / "desk.db") as store:
        store.add_job(MAIL, "1", T0_MS)
        job = claimed(store)
        assert store.retry_job(job.job_id, T0_MS) is False
        store.finish_job(job.job_id, Mark(state, 1, 0, T0_MS + 9_000_000, "no"))
        assert store.retry_job(job.job_id, T0_MS + 1) is True
        again = claimed(store, T0_MS + 1)
        assert (again.job_id, again.attempts) == (job.job_id, 0)
        store.finish_job(again.job_id, None)
        assert store.retry_job(job.job_id, T0_MS + 1) is False
