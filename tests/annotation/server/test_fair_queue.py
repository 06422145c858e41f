from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aurelius_annotation.errors import Superseded
from aurelius_annotation.server.fair_queue import FairQueue, Job, JobOutcome


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))  # type: ignore[arg-type]


def test_people_take_turns_and_the_house_comes_last() -> None:
    async def scenario() -> None:
        turns = FairQueue()
        for person, key in (("", None), ("anna", "1"), ("anna", "2"), ("anna", "3"), ("ben", "1")):
            turns.add(Job({"name": f"{person}{key}"}, person, key))
        order = [(await turns.take()).task["name"] for _ in range(5)]
        assert order == ["anna1", "ben1", "anna2", "anna3", "None"]

    run(scenario)


def test_a_newer_request_replaces_the_older_one_of_the_same_person() -> None:
    async def scenario() -> None:
        turns = FairQueue()
        old, other, new = Job({}, "anna", "click"), Job({}, "ben", "click"), Job({}, "anna", "click")
        for job in (old, other, new):
            turns.add(job)
        with pytest.raises(Superseded):
            await old.outcome
        assert {await turns.take(), await turns.take()} == {other, new}

    run(scenario)


def test_what_nobody_waits_for_is_never_run() -> None:
    async def scenario() -> None:
        turns = FairQueue()
        gone, kept = Job({}, "anna", "1"), Job({}, "anna", "2")
        turns.add(gone)
        turns.add(kept)
        gone.outcome.cancel()
        assert await turns.take() is kept

    run(scenario)


def test_taking_waits_for_the_next_job() -> None:
    async def scenario() -> None:
        turns = FairQueue()
        taking = asyncio.ensure_future(turns.take())
        await asyncio.sleep(0)
        assert not taking.done()
        job = Job({}, "anna", None)
        turns.add(job)
        assert await taking is job
        job.outcome.set_result(JobOutcome(Path("x"), {}))

    run(scenario)
