"""Which of our timeframes OKX has candles for, and what it calls them."""

from repos.domain import Timeframe

BARS = {
    Timeframe(ours): bar
    for ours, bar in (
        ("1s", "1s"),
        ("1m", "1m"),
        ("3m", "3m"),
        ("5m", "5m"),
        ("15m", "15m"),
        ("30m", "30m"),
        ("1h", "1H"),
        ("2h", "2H"),
        ("4h", "4H"),
        # Longer ones are cut on UTC+8 unless their name says utc.
        ("6h", "6Hutc"),
        ("12h", "12Hutc"),
        ("1d", "1Dutc"),
        ("1w", "1Wutc"),
        ("1M", "1Mutc"),
    )
}
"""2, 3 and 5 days and 3 months are left out: OKX has them, but does not say from where it counts them."""


def bar_of(timeframe: Timeframe) -> str | None:
    """OKX's name of the candle that is cut as ours is, in UTC; None where it has none."""
    return BARS.get(timeframe)
