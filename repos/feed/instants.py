"""Instants as they travel on the bus: microseconds since 1970."""

from datetime import datetime, timedelta

from repos.domain import EPOCH

_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    return EPOCH + timedelta(0, 0, micros)


def moment_if(micros: int | None) -> datetime | None:
    return None if micros is None else moment_of(micros)
