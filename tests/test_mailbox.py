"""What waits for a reader, and what happens when that is too much."""

import pytest

from repos.errors import MailboxOverflow
from repos.feed.mailbox import Mailbox

pytestmark = pytest.mark.anyio


async def test_a_mailbox_keeps_letters_in_order_and_the_newest_note_of_each_key():
    mailbox: Mailbox[str] = Mailbox(most=3)
    mailbox.note("a", "old")
    mailbox.note("b", "other")
    mailbox.note("a", "new")
    mailbox.put("first", 2)
    mailbox.put("second", 1)

    assert [await mailbox.get() for _ in range(4)] == ["first", "second", "new", "other"]


async def test_a_full_mailbox_forgets_everything_and_says_so():
    mailbox: Mailbox[str] = Mailbox(most=3)
    mailbox.put("first", 2)
    mailbox.put("second", 2)
    mailbox.note("a", "note")

    with pytest.raises(MailboxOverflow, match="more than 3 rows"):
        await mailbox.get()
