"""Do harm to a whole system and see that nothing is lost: python -m chaos --seed 1 --faults 200.

The last line counts what was done and what went wrong; the exit code is 0 when nothing did.
"""

import argparse
import shutil
import sys
import time

import uvloop

from chaos.faults import plan, suffer
from chaos.system import System, a_folder

_SHOWN = 20


async def _run(seed: int, count: int) -> bool:
    begun = time.monotonic()
    folder = a_folder()
    print(f"seed {seed}, in {folder}", flush=True)
    async with System.running(folder, seed) as system:
        for number, fault in enumerate(plan(seed, count), 1):
            print(f"{time.monotonic() - begun:6.1f} s {number:>4} {fault.name}, {fault.lasting:.1f} s", flush=True)
            await suffer(system, fault)
        findings = await system.quiet()
        mistakes = [*system.complaints, *findings.all]
        starts = f"collector {system.collector.starts}, API {system.api.starts}; adopted: {system.adoptions}"
    for line in mistakes[:_SHOWN]:
        print(line)
    if not mistakes:
        shutil.rmtree(folder)
    heard = sum(len(log.heard) for log in system.logs)
    told = sum(len(log.gaps) for log in system.logs)
    anew = sum(log.beginnings for log in system.logs)
    print(f"{time.monotonic() - begun:.0f} s, {heard:,} events and {told} gaps heard; started: {starts}")
    print(f"begun anew after the database was replaced: {anew} times")
    print(f"faults {count}, {findings}")
    return not mistakes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m chaos")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the market")
    parser.add_argument("--faults", type=int, default=200, help="how many")
    arguments = parser.parse_args()
    sys.exit(0 if uvloop.run(_run(arguments.seed, arguments.faults)) else 1)
