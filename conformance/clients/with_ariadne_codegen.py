"""ariadne-codegen makes a client of schema.graphql, and that client runs."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

HERE = Path(__file__).parent.parent
MADE = HERE / "generated" / "python"
CONFIG = f"""
[tool.ariadne-codegen]
schema_path = "{HERE.parent / "schema.graphql"}"
queries_path = "{HERE / "operations.graphql"}"
target_package_path = "{MADE}"
target_package_name = "candleql_client"

[tool.ariadne-codegen.scalars.Decimal]
type = "decimal.Decimal"
serialize = "str"

[tool.ariadne-codegen.scalars.DateTime]
type = "datetime.datetime"

[tool.ariadne-codegen.scalars.BigInt]
type = "int"

[tool.ariadne-codegen.scalars.Timeframe]
type = "str"

[tool.ariadne-codegen.scalars.JSON]
type = "typing.Any"
"""


def generate() -> None:
    """Raises AssertionError where it warns."""
    shutil.rmtree(MADE, ignore_errors=True)
    MADE.mkdir(parents=True)
    (MADE / "config.toml").write_text(CONFIG)
    command = [sys.executable, "-W", "always", "-m", "ariadne_codegen", "--config", str(MADE / "config.toml")]
    told = subprocess.run(command, cwd=MADE, capture_output=True, text=True, check=False)
    said = f"{told.stdout}\n{told.stderr}"
    assert told.returncode == 0, said
    assert "warn" not in said.lower(), said


async def run(url: str) -> None:
    from candleql_client import Client, CreateBotInput

    async with Client(url, ws_url=url.replace("http", "ws")) as client:
        latest = (await client.latest("BTC-USDT")).latest_candle
        assert latest is not None
        assert latest.close > 0
        bot = CreateBotInput(
            name=f"ariadne {os.getpid()}",
            strategyName="none",
            symbol="BTC-USDT",
            timeframe="5s",
            virtualBalance="0.00000001",
            config={"a": [1]},
        )
        made = (await client.create(bot)).create_bot
        assert made is not None
        assert f"{made.bot.virtual_balance:f}" == "0.00000001"
        deleted = (await client.delete(made.bot.id)).delete_bot
        assert deleted is not None
        assert deleted.deleted
        events = []
        async with aclosing(client.follow("BTC-USDT")) as following:
            async for event in following:
                events.append(event.candles)
                if len(events) == 2:
                    break
    assert all(event.candle is None or event.candle.close > 0 for event in events)
    sys.stdout.write("generated without a warning; query, mutations, subscription\n")


generate()
sys.path.insert(0, str(MADE))
asyncio.run(run(sys.argv[1]))
