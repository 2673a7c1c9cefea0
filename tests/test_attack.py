"""The attacks of `make attack`, each once, on a whole server that waits for no client long.

How long a client beside them waits is not measured: other tests run meanwhile.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable

import pytest

from attack.suite import ATTACKS, Report, Suite
from attack.talk import Answer, expected
from attack.target import a_target

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]

LONGEST = "half frames"
WAITING = ("1,000 subscriptions", "idle sockets", "half-sent requests", "clients not reading")
"""They cost next to nothing, and take as long as the server's patience: so the longest can go on beside the others."""


async def in_turn(suite: Suite, names: Iterable[str]) -> list[Report]:
    return [await suite.attack(name) for name in names]


async def test_a_server_refuses_every_attack_cheaply_and_lives_on():
    async with a_target(patience=2.0) as target:
        await target.settle()
        suite = Suite(target)
        reports = await in_turn(suite, [name for name in ATTACKS if name not in (LONGEST, *WAITING)])
        for more in await asyncio.gather(in_turn(suite, [LONGEST]), in_turn(suite, WAITING)):
            reports += more

        assert {report.name: report.wrong for report in reports if report.wrong} == {}
        assert suite.wrong_in_all() == []


def test_an_answer_that_leaks_or_fails_would_be_seen():
    answer = Answer(500, '{"errors":[{"message":"asyncpg.exceptions: relation \\"bots\\"","extensions":{}}]}')

    assert len(expected("x", answer, (200,))) == 3


def test_a_word_that_was_asked_for_is_no_leak():
    answer = Answer(200, '{"errors":[{"message":"There is no bot named \'api_keys\', asyncpg says","extensions":{}}]}')

    assert answer.faults('{ botByName(name: "api_keys") { id } }') == ["leaks asyncpg"]


def test_random_operations_of_the_schema_get_no_worse_than_refused():
    fuzzed = subprocess.run(
        [sys.executable, "-m", "attack.fuzz", "--seconds", "10"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    assert fuzzed.stdout.startswith("fuzz ok")
