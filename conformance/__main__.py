"""Whether the server keeps the specifications and serves the clients that people use: python -m conformance"""

import asyncio

from conformance.suites import SUITES, Broken, a_server, tried


async def _main() -> int:
    failures = 0
    async with a_server() as url:
        for suite in SUITES:
            try:
                print(f"{suite:<21} ok  {await tried(suite, url)}", flush=True)
            except Broken as broken:
                failures += 1
                print(f"{suite:<21} FAILED\n{broken}", flush=True)
    return failures


if __name__ == "__main__":
    raise SystemExit(min(1, asyncio.run(_main())))
