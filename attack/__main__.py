"""Attack a server of one's own and see that it does not mind: python -m attack [--quick].

One line an attack: ok, or what went wrong; then what the server used for each refusal, and how long a client that means
well waited meanwhile. The exit code is 0 when nothing went wrong.
"""

import argparse
import asyncio
import sys
import time

from attack.suite import ATTACKS, Report, Suite


def _line(report: Report) -> str:
    said = "ok" if not report.wrong else f"{len(report.wrong)} wrong"
    return (
        f"{report.name:<22} {said:<9} {report.count:>5} requests, {report.cpu_ms:6.2f} ms CPU each,"
        f" {report.megabytes:4.0f} MB, p99 of others {report.p99:5.1f} ms, calm {report.calm_p99:4.1f} ms"
    )


async def _run(quick: bool, names: list[str]) -> bool:
    begun, fine = time.monotonic(), True
    async with Suite.ready(3.0 if quick else 15.0) as suite:
        for name in names:
            report = await suite.attack(name)
            print(_line(report), flush=True)
            for wrong in report.wrong[:10]:
                print(f"    {wrong}", flush=True)
            fine &= not report.wrong
        for wrong in suite.wrong_in_all():
            print(wrong)
            fine = False
        p99 = f"p99 of others {suite.p99(suite.attacks):.1f} ms, calm {suite.p99(suite.calm):.1f} ms"
        print(f"{time.monotonic() - begun:.0f} s; {p99}; {suite.target.megabytes():.0f} MB")
    return fine


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m attack")
    parser.add_argument("--quick", action="store_true", help="against a server that waits 3 s for a client, not 15")
    parser.add_argument("attack", nargs="*", help=f"of: {', '.join(ATTACKS)}")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(_run(arguments.quick, arguments.attack or list(ATTACKS))) else 1)
