"""Arguments are of the types that they are annotated with, or are refused by name: before any of them reaches SQL."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import wraps
from types import NoneType
from typing import Any, NamedTuple, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from repos.domain import InvalidValue, aware, integer, of_type, shown

P = ParamSpec("P")
R = TypeVar("R")


class Check(NamedTuple):
    """Values of just these types are right, which costs no call; `refuse` raises InvalidValue for others, if wrong."""

    right: frozenset[type]
    refuse: Callable[[Any], object]


_LEAST = {"limit": 0, "last": 0, "most": 0}
_MOST = {"expected_version": 2**31 - 1}
"""Bounds of whole numbers by the names of arguments; those of a bigint for all others."""
ANYTHING = Check(frozenset(), lambda _: None)


def checked(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """`method`, which raises InvalidValue for an argument of another type than its annotation's.

    A datetime must have an offset, a whole number must fit the database, and what a sequence or a named
    tuple holds is looked at as well. One of our dataclasses counts as it is: it was checked when it was made.
    `**arguments` are left to what takes them.
    """
    parameters = list(inspect.signature(method).parameters.values())[1:]
    taken = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    named = {each.name: check_of(each.name, each.annotation) for each in taken}
    by_position = tuple(named.values())

    @wraps(method)
    async def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        _apply(by_position, args[1:])
        if kwargs:
            _apply([named.get(name, ANYTHING) for name in kwargs], kwargs.values())
        return await method(*args, **kwargs)

    return checking


def check_of(name: str, hint: Any) -> Check:
    """The check of the argument `name`, which has the annotation `hint`."""
    of, parts = get_origin(hint), get_args(hint)
    if NoneType in parts:
        [kind] = set(parts) - {NoneType}
        right, refuse = check_of(name, kind)
        return Check(right | {NoneType}, refuse)
    if hint in (Any, object):
        return ANYTHING
    if hint is datetime:
        return _refusing(lambda value: (type(value) is datetime and value.tzinfo is UTC) or aware(name, value))
    if hint is int:
        bounds = {"least": _LEAST.get(name, -(2**63)), "most": _MOST.get(name, 2**63 - 1)}
        return _refusing(lambda value: integer(name, value, **bounds))
    if of is tuple:
        return _tuple(name, [check_of(name, part) for part in parts])
    if of is not None and issubclass(of, Collection) and not issubclass(of, Mapping):
        return _each(name, of, check_of(name, parts[0]))
    kind = of or hint
    if issubclass(kind, tuple):
        fields = [check_of(f"{name}.{field}", part) for field, part in get_type_hints(kind).items()]
        return _tuple(name, fields, kind)
    return Check(frozenset({kind}), lambda value: of_type(name, value, kind))


def _apply(checks: Iterable[Check], values: Iterable[Any]) -> None:
    """Check each value; what has none beside it is left."""
    for (right, refuse), value in zip(checks, values, strict=False):
        if type(value) not in right:
            refuse(value)


def _refusing(refuse: Callable[[Any], object]) -> Check:
    return Check(frozenset(), refuse)


def _tuple(name: str, checks: list[Check], kind: type[Any] = tuple) -> Check:
    usual = [next(iter(check.right), None) for check in checks]

    def refuse(value: Any) -> None:
        if type(value) is kind and list(map(type, value)) == usual:
            return  # nearly always
        of_type(name, value, kind)
        if len(value) != len(checks):
            raise InvalidValue(name, f"{shown(value)} has not {len(checks)} items")
        _apply(checks, value)

    return _refusing(refuse)


def _each(name: str, kind: type[Any], check: Check) -> Check:
    right, refuse = check

    def refuse_any(values: Any) -> None:
        if type(values) is not list and (isinstance(values, str | bytes) or not isinstance(values, kind)):
            raise InvalidValue(name, f"{shown(values)} is no list")
        for value in values:
            if type(value) not in right:
                refuse(value)

    return _refusing(refuse_any)
