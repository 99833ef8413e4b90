"""Children: what comes back from them, what they may take, and how they end."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.parts.process import POLL_S, ended, repository_root
from services.commitment.papers.child import CPU_S, MEMORY_BYTES, Overdone, confined
from services.commitment.papers.sign import WrongPassphraseForKey, sign
from services.commitment.papers.verify import Verdict, examine
from services.commitment.pool import Busy, ChildDied, Pool
from services.commitment.settings import CommitmentSettings
from tests.acting import DEADLINE_S
from tests.commitment.errands import die, double, limits, loudness, pid, take_memory, wait_for, waits, write
from tests.commitment.pki import Authority, request

KILLED = """
import asyncio, sys
from pathlib import Path
from services.commitment.pool import Pool
from services.commitment.settings import CommitmentSettings
from tests.commitment.errands import wait_for

async def main():
    pool = Pool(CommitmentSettings())
    await asyncio.gather(pool.run(wait_for, Path(sys.argv[1])), pool.confined(wait_for, Path(sys.argv[2])))

asyncio.run(main())
"""


@pytest.fixture
async def pool() -> AsyncGenerator[Pool]:
    pool = Pool(CommitmentSettings(signing_processes=1, verification_processes=2))
    await pool.prepare()
    yield pool
    await pool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(POLL_S)


async def test_results_and_refusals_come_back_from_a_child_that_is_kept(pool: Pool) -> None:
    assert await pool.run(double, 4, and_add=1) == 9
    first = await pool.run(pid)
    assert first != os.getpid()
    assert await pool.run(pid) == first
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    assert await pool.run(pid) == first
    assert await pool.run(loudness) == [logging.CRITICAL] * 2


async def test_after_a_child_was_killed_the_next_call_has_another(pool: Pool, tmp_path: Path) -> None:
    before = await pool.run(pid)
    waiting = asyncio.create_task(pool.run(wait_for, tmp_path / "gate"))
    await until(waits(tmp_path / "gate").exists)
    beside = asyncio.create_task(pool.run(double, 4))
    os.kill(before, signal.SIGKILL)
    for one in (waiting, beside):
        with pytest.raises(ChildDied):
            await one
    assert await pool.run(pid) != before
    assert await asyncio.gather(*(pool.run(double, number) for number in range(5))) == [0, 2, 4, 6, 8]


async def test_a_closed_pool_has_finished_what_it_began_and_leaves_no_child(tmp_path: Path) -> None:
    pool = Pool(CommitmentSettings(signing_processes=1))
    await pool.prepare()
    worker = psutil.Process(await pool.run(pid))
    waiting = asyncio.create_task(pool.run(wait_for, tmp_path / "gate"))
    await until(waits(tmp_path / "gate").exists)
    closing = asyncio.create_task(pool.close())
    (tmp_path / "gate").touch()
    await closing
    assert await waiting == "gate"
    assert ended(worker)


async def test_no_secret_comes_out_of_a_child_that_refused(pool: Pool, paper: bytes, authority: Authority) -> None:
    identity = replace(authority.identity("32.01"), passphrase=b"mistyped-passphrase")
    with pytest.raises(WrongPassphraseForKey) as refused:
        await pool.run(sign, request(paper, "p01"), identity, authority.tsa_url)
    told = "".join(traceback.format_exception(refused.value))
    assert "services/commitment/papers/sign.py" in told, "the child's own traceback"
    assert not [secret for secret in ("mistyped-passphrase", "ENCRYPTED PRIVATE KEY") if secret in told]


async def test_a_signature_is_made_in_a_child_as_here(pool: Pool, paper: bytes, authority: Authority) -> None:
    signed = await pool.run(sign, request(paper, "p01"), authority.identity("32.01"), authority.tsa_url)
    assert (await pool.confined(examine, signed, authority.roots)).verdict is Verdict.VALID


async def test_each_strangers_document_has_a_child_of_its_own(pool: Pool) -> None:
    first, second = await asyncio.gather(pool.confined(pid), pool.confined(pid))
    assert first != second
    assert not psutil.pid_exists(first)
    assert not psutil.pid_exists(second)


async def test_more_strangers_than_are_looked_at_at_once_are_asked_to_come_again(pool: Pool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    looking = [asyncio.create_task(pool.confined(wait_for, gate)) for _ in range(2)]
    await until(waits(gate).exists)
    with pytest.raises(Busy) as busy:
        await pool.confined(double, 4)
    assert (busy.value.status, (busy.value.headers or {})["Retry-After"]) == (503, "2")
    gate.touch()
    assert await asyncio.gather(*looking) == ["gate", "gate"]
    assert await pool.confined(double, 4) == 8


def test_a_strangers_child_may_take_little(tmp_path: Path) -> None:
    assert confined(limits) == [MEMORY_BYTES, CPU_S, 0]
    assert confined(loudness) == [logging.CRITICAL] * 2
    with pytest.raises(Overdone):
        confined(take_memory)
    with pytest.raises(Overdone):
        confined(write, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b""


def test_a_strangers_child_that_dies_brings_nobody_down() -> None:
    with pytest.raises(Overdone):
        confined(die)
    assert confined(double, 4) == 8


async def test_after_kill_9_of_the_service_no_child_is_left(tmp_path: Path) -> None:
    gates = [tmp_path / "ours", tmp_path / "theirs"]
    service = psutil.Popen(
        [sys.executable, "-c", KILLED, *map(str, gates)],
        cwd=repository_root(),
        stderr=subprocess.DEVNULL,  # semaphores that nobody gave back
    )
    left = [service]
    try:
        await until(lambda: all(waits(gate).exists() for gate in gates))
        left += service.children(recursive=True)
        assert len(left) >= 4, "two children, what forked them and the service"
        service.kill()
        await until(lambda: all(ended(one) for one in left))
    finally:
        for one in left:
            if not ended(one):
                one.kill()
