"""Which queries were answered by a compiled operation, and why the others were not."""

from collections import Counter
from dataclasses import dataclass

totals: Counter[str] = Counter()
"""Of this process: "fast", and the others by reason."""


@dataclass(slots=True)
class Path:
    """Of one request; None until it is known, and for what is never compiled (mutations, mistakes)."""

    reason: str | None = None

    def fast(self) -> None:
        self.reason = ""
        totals["fast"] += 1

    def fell_back(self, reason: str) -> None:
        """graphql-core answers because of `reason`, which names the field."""
        self.reason = reason
        totals[reason] += 1

    def __str__(self) -> str:
        """For the debug header: "fast", or "normal" with the reason."""
        if self.reason == "":
            return "fast"
        return f"normal; {self.reason}" if self.reason else "normal"
