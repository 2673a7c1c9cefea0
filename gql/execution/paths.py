"""Which lists of a request were projected, and why the others were not."""

from collections import Counter
from dataclasses import dataclass, field

totals: Counter[str] = Counter()
"""Of this process, by reason; "projected" counts the lists that were."""


@dataclass(slots=True)
class Paths:
    """Of one request."""

    projected: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def took(self) -> None:
        """A list was projected."""
        self.projected += 1
        totals["projected"] += 1

    def note(self, reason: str) -> None:
        """A list went the way of graphql-core because of `reason`, which names the field."""
        self.reasons[reason] = None
        totals[reason] += 1

    def __str__(self) -> str:
        """For the debug header: "fast", or "normal" with the reasons."""
        if self.reasons:
            return "normal; " + ", ".join(self.reasons)
        return "fast" if self.projected else "normal"
