"""Batches of which the database refuses a row: that one is left out, the others are stored."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from repos.errors import DataRefused

_Item = TypeVar("_Item")


async def store_rest(
    items: Sequence[_Item],
    store: Callable[[Sequence[_Item]], Awaitable[None]],
    refused: Callable[[_Item, DataRefused], None],
) -> None:
    """Store `items`, in one batch when the database takes all; tell `refused` of each that it will never take.

    `store` stores a batch or nothing of it. A batch is halved until the refused rows stand alone: one of n costs about
    2 log2(n) more batches.

    Raises:
        DatabaseOperationError: The database failed for another reason. What came before was stored.
    """
    try:
        await store(items)
    except DataRefused as error:
        if len(items) == 1:
            refused(items[0], error)
            return
        half = len(items) // 2
        await store_rest(items[:half], store, refused)
        await store_rest(items[half:], store, refused)
