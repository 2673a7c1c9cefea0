"""Whether the server keeps the specifications and serves the clients that people use: python -m conformance"""

import asyncio

from conformance.suites import a_server, verdicts


async def _main() -> bool:
    async with a_server() as url:
        told = await verdicts(url)
    for suite, passes, said in told:
        print(f"{suite:<21} ok  {said}" if passes else f"{suite:<21} FAILED\n{said}")
    return all(verdict.passes for verdict in told)


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(_main()) else 1)
