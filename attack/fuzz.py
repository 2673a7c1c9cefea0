"""Random operations out of the schema, by schemathesis: python -m attack.fuzz --seconds 600.

Every root field in turn gets operations whose values are right, nearly right or nonsense. No answer may be a 5xx, an
INTERNAL_SERVER_ERROR or tell of our insides. The exit code is 0 when none was.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import schemathesis
from graphql import ValueNode
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes

from attack.talk import Answer
from attack.target import Target, a_target

_EACH = 30
"""Operations of a root field before the next has its turn."""
_ENOUGH = 20
"""Faults after which it ends."""

_WORDS = st.text(max_size=30)
_NUMBERS = st.integers(-(10**40), 10**40) | st.sampled_from([2**31, 2**53, 2**63, -(2**63) - 1, 10**400])
_DECIMALS = st.decimals(allow_nan=True, allow_infinity=True).map(str) | st.decimals(-(10**20), 10**20, places=18).map(
    "{:f}".format
)
_DATES = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.sampled_from(
    ["0000-01-01T00:00:00Z", "2262-04-12T00:00:00Z", "1970-01-01T00:00:00+23:59", "2024-01-01T00:00:00"]
)
_TIMEFRAMES = st.builds("{}{}".format, st.integers(-1, 10**20), st.sampled_from("smhdwMy")) | st.sampled_from(
    ["1m", "5s"]
)
_JSON = st.recursive(
    _WORDS.map(nodes.String) | _NUMBERS.map(nodes.Int) | st.booleans().map(nodes.Boolean),
    lambda inner: st.lists(inner, max_size=5).map(nodes.List),
    max_leaves=30,
)


def _scalars() -> None:
    """What stands in an operation for each of our scalars: mostly of its form, for what has none is soon refused."""
    texts: dict[str, st.SearchStrategy[str]] = {"Decimal": _DECIMALS, "DateTime": _DATES, "Timeframe": _TIMEFRAMES}
    values: dict[str, st.SearchStrategy[ValueNode]] = {
        **{name: (text | _WORDS).map(nodes.String) for name, text in texts.items()},
        "BigInt": _NUMBERS.map(nodes.Int) | _NUMBERS.map(str).map(nodes.String),
        "JSON": _JSON,
    }
    for name, strategy in values.items():
        schemathesis.graphql.scalar(name, strategy)


def _fuzz(target: Target, seconds: float) -> tuple[Counter[str], list[str]]:
    """How often each code was answered, "data" being none; and what was wrong."""
    _scalars()
    schema = schemathesis.graphql.from_path(Path(__file__).parent.parent / "schema.graphql")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    codes, wrong = Counter[str](), list[str]()
    ends = time.monotonic() + seconds
    with httpx2.Client(base_url=f"http://{target.host}:{target.port}", timeout=60) as client:

        def send(case: Any) -> None:
            response = client.post("/graphql", json={"query": case.body})
            answer = Answer(response.status_code, response.text)
            codes.update(answer.codes or {"data"})
            wrong.extend(
                f"{fault}: {json.dumps(case.body)} got {answer.text[:300]}" for fault in answer.faults(case.body)
            )

        for number in count():
            for operation in operations:
                if time.monotonic() > ends or len(wrong) >= _ENOUGH:
                    return codes, wrong
                run = given(operation.as_strategy())(send)
                run = settings(
                    max_examples=_EACH,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )(run)
                seed(number)(run)()
    raise AssertionError("counts for ever")


async def _run(seconds: float) -> bool:
    async with a_target(15.0) as target:
        codes, wrong = await asyncio.to_thread(_fuzz, target, seconds)
        alive = target.process.is_running() and not target.tracebacks()
    told = ", ".join(f"{count:,} {code}" for code, count in codes.most_common())
    print(f"fuzz {'ok' if alive and not wrong else 'failed'}: {told}")
    for fault in wrong:
        print(f"    {fault}")
    return alive and not wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m attack.fuzz")
    parser.add_argument("--seconds", type=float, default=600.0)
    sys.exit(0 if asyncio.run(_run(parser.parse_args().seconds)) else 1)
