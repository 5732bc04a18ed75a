"""The LRM's memory of its workers: which job is next, which run, which outcomes are not yet published."""

from __future__ import annotations

from hacore.manager.jobs import AT_ONCE, Duty, watched_again
from hacore.protocol.requests import Job, Outcome


class Workload:
    """Jobs by their service. A service has at most one worker at a time."""

    def __init__(self, monitor_s: float) -> None:
        self.monitor_s = monitor_s
        self.running: dict[str, Job] = {}
        self.unpublished: dict[str, str] = {}
        """Outcome by uid."""
        self.ready: Job | None = None
        self.any_ready: Job | None = None
        """The same, even if it comes too early: nobody guards it yet where it goes."""
        self._early: set[str] = set()
        self.stop_ready: Job | None = None
        self.chosen: Job | None = None
        self.stop_untried = False
        """The service to be stopped was not yet asked to."""
        self._stopped: set[str] = set()
        """Services stopped for the shutdown."""
        self._stop_tried: set[str] = set()
        """Services that were asked to stop for the shutdown."""
        self._tries: dict[str, int] = {}
        """How often a uid's start has failed here, and was not yet reported."""
        self._wanted_s: dict[tuple[str, str], float] = {}
        """Since when a service's uid has waited for a worker."""
        self._looked_s: dict[str, float] = {}
        """When a service's last worker began."""

    def ended(self, outcomes: tuple[Outcome, ...], duty: Duty) -> None:
        """Take in what became of the workers that have ended."""
        for outcome in outcomes:
            job = self.running.pop(outcome.sid)
            if outcome.uid.startswith("shutdown "):
                self._stopped |= {outcome.sid} if outcome.code == "success" else set()
            elif outcome.code == "retry":
                self._tries[outcome.uid] = self._tries.get(outcome.uid, 0) + 1
            else:
                self._tries.pop(outcome.uid, None)
                told = duty.own.results.get(outcome.uid)
                if outcome.code != told and not (job.state == "watch" and outcome.code == "success"):
                    self.unpublished[outcome.uid] = outcome.code

    def look(self, duty: Duty, now_s: float, round_began_s: float) -> None:
        """Find the job that has waited longest, and a service still to be stopped for a shutdown."""
        free = len(self.running) < AT_ONCE
        waiting = self._waiting(duty, now_s, round_began_s)
        self.any_ready = waiting[0] if waiting and free else None
        self.ready = next((job for job in waiting if job.sid not in self._early), None) if free else None
        stops = [job for job in duty.shutdown_jobs() if job.sid not in self._stopped and job.sid not in self.running]
        stops.sort(key=lambda job: job.sid in self._stop_tried)
        self.stop_ready = stops[0] if stops and free else None
        self.stop_untried = self.stop_ready is not None and self.stop_ready.sid not in self._stop_tried

    def _waiting(self, duty: Duty, now_s: float, round_began_s: float) -> list[Job]:
        wanted: dict[tuple[str, str], float] = {}
        self._early.clear()
        jobs: list[tuple[float, str, Job]] = []
        for sid, record in duty.here():
            outcome = self.unpublished.get(record.uid) or duty.own.results.get(record.uid, "")
            again = outcome != ""
            if sid in self.running or (again and not self._look_again(sid, record.state, outcome, now_s)):
                continue
            if record.uid in self._tries and self._looked_s.get(sid, 0.0) >= round_began_s:
                continue  # a start that failed is tried again in the next round, not at once
            if duty.comes_too_early(record):
                self._early.add(sid)
            job = duty.job(sid, record, again=again, tries=self._tries.get(record.uid, 0))
            if job:
                since = self._wanted_s.get((sid, record.uid), now_s)
                wanted[sid, record.uid] = since
                jobs.append((since, sid, job))
        self._wanted_s = wanted
        return [job for _, _, job in sorted(jobs, key=lambda entry: entry[:2])]

    def _look_again(self, sid: str, state: str, outcome: str, now_s: float) -> bool:
        return watched_again(state, outcome) and now_s - self._looked_s.get(sid, 0.0) >= self.monitor_s

    def start(self, now_s: float) -> Job:
        """The chosen job is a worker's now."""
        if self.chosen is None:
            raise RuntimeError("no job was chosen")
        job, self.chosen = self.chosen, None
        self.running[job.sid] = job
        self._looked_s[job.sid] = now_s
        self._stopped.discard(job.sid)
        if job.uid.startswith("shutdown "):
            self._stop_tried.add(job.sid)
        return job

    def all_stopped(self, duty: Duty) -> bool:
        """Whether every service of this node was stopped for the shutdown."""
        return all(sid in self._stopped for sid, _ in duty.here())

    def results(self, duty: Duty) -> dict[str, str]:
        """All outcomes that the master may still want: those of uids that its status names."""
        named = {record.uid for record in duty.status.services.values()}
        known = {**duty.own.results, **self.unpublished}
        return {uid: code for uid, code in sorted(known.items()) if uid in named}

    def published(self) -> None:
        """All outcomes are published; those of uids that nobody names any more need not be."""
        self.unpublished.clear()
