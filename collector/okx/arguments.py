"""What OKXCollector is made of is named where it is wrong."""

import re
from collections.abc import Iterable, Mapping, Sequence

from repos.domain import InvalidValue, Timeframe, of_type, shown


def check_list(name: str, values: object, kind: type) -> None:
    """Refuse what is no list of the kind.

    Raises:
        TypeError: It is none, or one of its items is of another kind.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: {shown(values)} is no list of {kind.__name__}")
    for place, value in enumerate(values):
        if not isinstance(value, kind):
            raise TypeError(f"{name}[{place}]: {shown(value)} is no {kind.__name__}")


def check_timeframes(timeframes: Mapping[str, Sequence[str]], symbols: Sequence[str]) -> None:
    """Refuse timeframes of other symbols, and what is no timeframe.

    Raises:
        TypeError: Those of a symbol are no list of strings.
        InvalidValue: They are no mapping, of none of the symbols, or one is no timeframe.
    """
    of_type("timeframes", timeframes, Mapping)
    for symbol, kept in timeframes.items():
        if symbol not in symbols:
            raise InvalidValue("timeframes", f"{shown(symbol)} is none of symbols")
        name = f"timeframes[{symbol!r}]"
        check_list(name, kept, str)
        for place, text in enumerate(kept):
            try:
                Timeframe(text)
            except InvalidValue as error:
                raise InvalidValue(f"{name}[{place}]", error.problem) from error


def check_url(name: str, url: str, *schemes: str) -> None:
    """Refuse what is no URL of one of the schemes with a host.

    Raises:
        InvalidValue: It is none.
    """
    of_type(name, url, str)
    if not re.fullmatch(rf"({'|'.join(schemes)})://[^\s/]+(/\S*)?", url):
        raise InvalidValue(name, f"{shown(url)} is no URL such as {schemes[0]}://host:port")
