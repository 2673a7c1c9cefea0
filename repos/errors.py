"""What can go wrong between a caller and the store; the tree is small and each leaf is named for its fact.

    DomainError
    ├── NotFound                 no such row
    ├── Conflict                 someone else was faster, or the name is taken
    ├── MailboxOverflow          a subscriber read too slowly; it resumes from its cursor
    ├── CursorExpired            a position of another database, or of an older state of this one
    └── DatabaseOperationError   the database refused or failed
        ├── DataRefused          it will never take these values
        └── DatabaseUnavailable  it could not be reached
            └── DatabaseTooSlow  it was given no more time

A value that is wrong in itself is a repos.domain.InvalidValue.
"""


class DomainError(Exception):
    """A failure that its caller can name. `code` is what GraphQL clients see as extensions.code."""

    code = "INTERNAL_SERVER_ERROR"


class NotFound(DomainError):
    """The row that was to be changed does not exist."""

    code = "NOT_FOUND"


class Conflict(DomainError):
    """The change was refused: the row changed since it was read, or its name is taken."""

    code = "CONFLICT"


class MailboxOverflow(DomainError):
    """A subscriber left more final news unread than its mailbox holds."""

    code = "RATE_LIMITED"


class CursorExpired(DomainError):
    """A reader's position counts no more: its database was replaced, or has lost what it stands behind."""

    code = "CURSOR_EXPIRED"


class DatabaseOperationError(DomainError):
    """An operation failed in the database: the text says what was attempted, __cause__ is the driver's error."""


class DataRefused(DatabaseOperationError):
    """The database refused values (SQLSTATE class 22 or 23): trying the same ones again can't help."""


class DatabaseUnavailable(DatabaseOperationError):
    """The database could not be reached, or went away during the operation. Trying again later can help."""

    code = "DATABASE_UNAVAILABLE"


class DatabaseTooSlow(DatabaseUnavailable):
    """A statement was cancelled by the database: it took longer than statement_timeout allows."""


_CAUSES = {
    "53100": "The database's disk is full",
    "53200": "The database is out of memory",
    "53300": "The database has no connection left",
    "57014": "The database took too long",
    "42501": "The database's role may not write there",
    "25006": "The database is read-only",
}
"""By SQLSTATE, what whoever runs it can do something about."""


def cause_of(error: DatabaseOperationError) -> str:
    """Why it failed, in words for clients too: the database's own text, which may name its insides, is in the log."""
    state = getattr(error.__cause__, "sqlstate", None)
    words = "The database can't be reached" if isinstance(error, DatabaseUnavailable) else "The database failed"
    return f"{_CAUSES.get(state, words)} (SQLSTATE {state})" if isinstance(state, str) else words
