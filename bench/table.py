"""The table: one row a target, and the machine it was measured on."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """Figures of the three, and what ours is to be in those of `base`; None where there is nothing to compare."""

    name: str
    plain: float | None
    base: float | None
    ours: float
    target: float | None
    note: str = ""
    unit: str = "/s"
    at_most: bool = False
    """The target is a ceiling: of the ratio or, without a `base`, of `ours` itself."""


def line(row: Row) -> str:
    """One line of the table."""
    ratio = None if row.base is None else row.ours / row.base
    value = row.ours if ratio is None else ratio
    bound = "shown"
    if row.target is not None:
        reached = value <= row.target if row.at_most else value >= row.target
        bound = f"{'<=' if row.at_most else '>='} {row.target:,g}{'' if reached else ' MISSED'}"
    cells = [
        row.name,
        _shown(row.plain),
        _shown(row.base),
        f"{_shown(row.ours)}{row.unit}",
        "" if ratio is None else f"{ratio:.2f}",
        bound,
        row.note,
    ]
    return f"| {' | '.join(cells)} |"


def head() -> str:
    return "| | plain | base | ours | ours / base | target | |\n|---|---|---|---|---|---|---|"


def machine() -> str:
    """The machine and the versions, as one paragraph."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            text.partition(":")[2].strip() for text in info.read_text().splitlines() if text.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    names = ["strawberry-graphql", "graphql-core", "SQLAlchemy", "asyncpg", "orjson", "starlette", "uvicorn", "uvloop"]
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {cpu}, {system}, {versions}"


def _shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
