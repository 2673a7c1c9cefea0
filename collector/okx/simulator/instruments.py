"""What the simulated exchange trades, with the numbers that give each market its character."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Spec:
    """One instrument. Prices are counted in ticks of 10**-price_places, sizes in lots of 10**-size_places."""

    inst_id: str
    price_places: int
    size_places: int
    base_price: int
    """Ticks around which the price wanders."""
    typical_size: int
    """Lots of the median match."""
    per_minute: int
    """Matches in an average minute."""
    volatility: int
    """Millionths by which the price moves in an average minute."""
    quiet: int = 0
    """Of 256 minutes, how many see no trade."""
    contract_places: int | None = None
    """For a swap: one contract is 10**-contract_places coins. None for spot."""

    @property
    def is_swap(self) -> bool:
        return self.contract_places is not None

    @property
    def coin(self) -> str:
        return self.inst_id.split("-")[0]

    @property
    def inst_type(self) -> str:
        return "SWAP" if self.is_swap else "SPOT"

    def price(self, ticks: int) -> str:
        return plain(ticks, self.price_places)

    def size(self, lots: int) -> str:
        return plain(lots, self.size_places)

    def describe(self) -> dict[str, object]:
        """Its row of public/instruments, with the keys of a reply of 2025."""
        base, quote = self.inst_id.split("-")[:2]
        swap = self.is_swap
        lot = plain(1, self.size_places)
        return {
            "alias": "",
            "auctionEndTime": "",
            "baseCcy": "" if swap else base,
            "category": "1",
            "contTdSwTime": "",
            "ctMult": "1" if swap else "",
            "ctType": "linear" if swap else "",
            "ctVal": "" if self.contract_places is None else plain(1, self.contract_places),
            "ctValCcy": base if swap else "",
            "expTime": "",
            "futureSettlement": False,
            "instFamily": f"{base}-{quote}" if swap else "",
            "instId": self.inst_id,
            "instIdCode": 10_000 + list(INSTRUMENTS).index(self.inst_id),
            "instType": self.inst_type,
            "lever": "100" if swap else "10",
            "listTime": str(LISTED),
            "lotSz": lot,
            "maxIcebergSz": "100000000",
            "maxLmtAmt": "20000000",
            "maxLmtSz": "100000000",
            "maxMktAmt": "" if swap else "1000000",
            "maxMktSz": "30000" if swap else "1000000",
            "maxStopSz": "30000" if swap else "1000000",
            "maxTriggerSz": "100000000",
            "maxTwapSz": "100000000",
            "minSz": lot,
            "openType": "call_auction",
            "optType": "",
            "quoteCcy": "" if swap else quote,
            "ruleType": "normal",
            "settleCcy": quote if swap else "",
            "state": "live",
            "stk": "",
            "tickSz": plain(1, self.price_places),
            "uly": f"{base}-{quote}" if swap else "",
        }


def plain(units: int, places: int) -> str:
    """`units` (not negative) of 10**-places as the exchange writes numbers: no exponent, no zeros at the end."""
    if not places:
        return str(units)
    digits = str(units).zfill(places + 1)
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")


LISTED = 1_514_764_800_000
"""Every market opened at 2018-01-01T00:00Z: there are no trades and no ids before."""

INSTRUMENTS: Mapping[str, Spec] = MappingProxyType(
    {
        spec.inst_id: spec
        for spec in (
            Spec("BTC-USDT", 1, 8, 853_000, 400_000, per_minute=150, volatility=350),
            Spec("ETH-USDT", 2, 6, 312_000, 90_000, per_minute=100, volatility=450),
            Spec("SOL-USDT", 2, 6, 14_800, 1_500_000, per_minute=48, volatility=600),
            Spec("SHIB-USDT", 9, 0, 12_340, 2_000_000, per_minute=10, volatility=700, quiet=24),
            Spec("BTC-USDT-SWAP", 1, 2, 853_200, 120, per_minute=220, volatility=350, contract_places=2),
            Spec("ETH-USDT-SWAP", 2, 2, 312_100, 150, per_minute=120, volatility=450, contract_places=1),
        )
    }
)
