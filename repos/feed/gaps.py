"""The open gaps, as this process knows them: from news, and from looks at the table for news that got lost."""

from collections.abc import Sequence
from dataclasses import replace

from repos.domain import Series
from repos.feed.news import GapNews, Tape


class OpenGaps:
    """Gaps of every symbol that could not be recovered. Each has its own id, so none is new twice."""

    def __init__(self) -> None:
        self._of_tape: dict[Tape, dict[int, GapNews]] = {}
        self._recovered: set[int] = set()
        """Since the last look at the table began, which may still show them."""

    def of(self, key: Series | Tape) -> list[GapNews]:
        """Those of a symbol, in the order in which they were noticed."""
        gaps = self._of_tape.get(Tape(key.exchange, key.symbol), {})
        return [gaps[id_] for id_ in sorted(gaps)]

    def heard(self, news: GapNews) -> bool:
        """Take news; whether it tells of a gap that was not known to be open."""
        gaps = self._of_tape.setdefault(news.tape, {})
        if not news.is_open:
            gaps.pop(news.id, None)
            self._recovered.add(news.id)
            return False
        if news.id in self._recovered:
            return False
        is_new = news.id not in gaps
        gaps[news.id] = news
        return is_new

    def all(self) -> list[GapNews]:
        """Those that are known; to be asked for before the table is read."""
        self._recovered.clear()
        return [news for gaps in self._of_tape.values() for news in gaps.values()]


def compared(known: Sequence[GapNews], stored: Sequence[GapNews]) -> list[GapNews]:
    """The news that was lost, if `stored` was read after `known` was."""
    ids = {news.id for news in stored}
    return [*stored, *(replace(news, is_open=False) for news in known if news.id not in ids)]
