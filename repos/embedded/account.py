"""Who the database server runs as: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from repos.errors import DatabaseUnavailable

NAME = "candleql"

_ENVIRONMENT = {
    # Nothing of the caller's: PG* variables would steer the server, and its secrets do not belong there.
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    # Without it initdb compares every time zone file of the system with the clock.
    "TZ": "UTC",
}


class Account(NamedTuple):
    """A user of the system and its group; both None for the caller itself."""

    user: int | None = None
    group: int | None = None

    def run(self, *command: str | Path) -> tuple[int, str]:
        """The exit code and the output, errors among it, of a command.

        Raises:
            OSError: It can't be executed.
        """
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", cwd="/", env=_ENVIRONMENT, check=False,
            user=self.user, group=self.group, extra_groups=None if self.user is None else (),
        )  # fmt: skip
        return done.returncode, done.stdout

    def spawn(self, output: int, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, so that a Ctrl-C meant for us does not reach it.

        Raises:
            OSError: It can't be executed.
        """
        return subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=_ENVIRONMENT,
            start_new_session=True,
            user=self.user, group=self.group, extra_groups=None if self.user is None else (),
        )  # fmt: skip

    def give(self, path: Path) -> None:
        """Hand over a folder that we made."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def server_account() -> Account:
    """The caller; under root the system user `candleql`, made if there is none.

    Raises:
        DatabaseUnavailable: The caller's uid has no name, or the user can't be made.
    """
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError as error:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL needs an entry in /etc/passwd for the uid {os.geteuid()}; "
                f"add one, or set DATABASE_URL"
            ) from error
        return Account()
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _created()
    return Account(entry.pw_uid, entry.pw_gid)


def _created() -> pwd.struct_passwd:
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    wanted = (
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
    )
    try:
        _, reason = Account().run(useradd, *wanted, NAME)
    except OSError as error:
        reason = str(error)
    try:
        # Whatever it said, the user may be there: another process was faster.
        return pwd.getpwnam(NAME)
    except KeyError as error:
        raise DatabaseUnavailable(
            f"PostgreSQL can't run as root, and its system user {NAME} could not be made ({reason.strip()}); "
            f"make it, run as an ordinary user, or set DATABASE_URL"
        ) from error
