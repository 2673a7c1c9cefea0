"""The simulated exchange as a process: python -m chaos.exchange SEED RATE. It prints its two addresses, then obeys.

A line on standard input is a JSON list of a command and its arguments; `ok` answers it. The end of the input ends it.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

from collector.okx.simulator.faults import Answer, RestFault
from collector.okx.simulator.server import Simulator


def _obey(exchange: Simulator, command: str, arguments: dict[str, Any]) -> None:
    match command:
        case "faults":
            for name, value in arguments.items():
                # JSON knows neither sets nor tuples.
                setattr(exchange.faults, name, set(map(tuple, value)) if name == "silent" else value)
        case "answer":
            exchange.faults.answers.append(Answer(**arguments))
        case "rest":
            exchange.faults.rest.append(RestFault(**arguments))
        case "behave":
            exchange.faults.answers.clear()
            exchange.faults.rest.clear()
        case "forget":
            exchange.forget(**arguments)
        case "drop":
            exchange.drop(**arguments)
        case "upgrade":
            exchange.announce_upgrade(**arguments)
        case _:
            raise ValueError(f"{command!r} is no command")


async def _run(seed: int, rate: float) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with Simulator(seed=seed, rate=rate) as exchange:
        print(exchange.rest_url, exchange.ws_url, flush=True)
        async for line in commands:
            command, arguments = json.loads(line)
            _obey(exchange, command, arguments)
            print("ok", flush=True)


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), float(sys.argv[2])))
