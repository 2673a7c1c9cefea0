"""Which trade ids are known, kept as runs: the ids of an instrument ascend without a hole, so there are few."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Runs:
    """A set of trade ids as disjoint runs in ascending order, never two that touch."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The runs (first, last), ascending, both ends included."""
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._firsts)

    @property
    def first(self) -> int:
        """The lowest id; there must be one."""
        return self._firsts[0]

    @property
    def last(self) -> int:
        """The highest id; there must be one."""
        return self._lasts[-1]

    def add(self, first: int, last: int) -> None:
        """Add the ids first to last, both included."""
        lasts = self._lasts
        if lasts and first == lasts[-1] + 1:  # nearly always
            lasts[-1] = last
            return
        # The runs from `low` up to `high` overlap the new one or touch it, and melt into it.
        low = bisect_left(lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, lasts[high - 1])
        self._firsts[low:high] = [first]
        lasts[low:high] = [last]

    def covers(self, first: int, last: int) -> bool:
        """Whether all ids from first to last are there."""
        index = bisect_right(self._firsts, first) - 1
        return index >= 0 and last <= self._lasts[index]

    def meets(self, first: int, last: int) -> bool:
        """Whether any id from first to last is there."""
        index = bisect_right(self._firsts, last) - 1
        return index >= 0 and first <= self._lasts[index]

    def holes(self) -> Iterator[tuple[int, int]]:
        """The runs (first, last) of ids that are missing between the lowest and the highest."""
        for last, first in zip(self._lasts, self._firsts[1:], strict=False):
            yield last + 1, first - 1

    def keep(self, count: int) -> None:
        """Forget all but the `count` highest runs."""
        del self._firsts[:-count], self._lasts[:-count]
