"""Mistakes of the user's."""


class UserError(Exception):
    """Something the user can mend: its text is one line that says what is wrong, where, and what to do."""
