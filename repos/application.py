"""What our connections are called in the database, for whoever looks into pg_stat_activity."""

import os
import re

NAME = re.compile(r"candleql (?P<work>[a-z -]+) \[(?P<pid>[0-9]+)\]$")
_NAME_BYTES = 63
"""PostgreSQL cuts off what is longer."""


def named(work: str, given: str = "") -> str:
    """The application_name of this process's connections, after one that a URL has `given`."""
    own = f"candleql {work} [{os.getpid()}]"
    room = _NAME_BYTES - len(own) - 2
    return f"{given.encode()[:room].decode(errors='ignore')}: {own}" if given else own
