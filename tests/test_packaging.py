"""What is installed from an archive of this tree, in an environment that has never seen the tree."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

TREE = Path(__file__).parent.parent
PACKAGES = ("candleql", "collector", "gql", "repos")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(kind: str, source: Path, target: Path) -> Path:
    """Have setuptools make an archive as an installer would: without a network, by this environment's own."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{kind}", target],
        cwd=source, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A short path that the database's account can enter; tmp_path is neither under root."""
    made = Path(tempfile.mkdtemp(prefix="cq-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """The wheel that is made of the sdist, so that what either lacks is missed."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    copy = place / "tree"
    for name in PACKAGES:
        shutil.copytree(TREE / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TREE / name, copy)
    with tarfile.open(build("sdist", copy, place)) as archive:
        archive.extractall(place / "unpacked", filter="data")
    [source] = (place / "unpacked").iterdir()
    return build("wheel", source, place)


@pytest.fixture(scope="module")
def candleql(place: Path, wheel: Path) -> Path:
    """The command in a new environment: the wheel is its own, and what it depends on is this environment's.

    A path in a .pth file brings no .pth files of that folder along, so the editable installation stays unseen.
    """
    environment = place / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    paths = sysconfig.get_paths("venv", {"base": str(environment), "platbase": str(environment)})
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install", "--quiet", "--no-deps",
         "--no-index", "--disable-pip-version-check", wheel],
        check=True, timeout=120,
    )  # fmt: skip
    Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment / "bin" / "candleql"


def files_of(folder: Path) -> set[str]:
    return {
        str(file.relative_to(TREE))
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file)
    }


def test_a_wheel_holds_every_file_of_every_package(wheel: Path):
    expected = set[str]().union(*(files_of(TREE / name) for name in PACKAGES))

    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert {f"{name}/py.typed" for name in PACKAGES} <= packed


def test_an_installed_wheel_serves_queries_and_both_pages_outside_the_tree(place: Path, candleql: Path):
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DATABASE_URL")}
    log = place / "log"
    with log.open("wb") as output, subprocess.Popen(
        [candleql, "serve", "--demo", "--port", "0", "--data-dir", place / "data"],
        cwd=place, env=outside, stdout=subprocess.PIPE, stderr=output, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            address = next((word for line in lines for word in line.split() if word.endswith("/graphql")), None)
            assert address is not None, log.read_text()
            asked = httpx2.post(address, json={"query": "{ markets { symbol } }"}, timeout=30)
            pages = [
                httpx2.get(url, headers={"Accept": "text/html"}) for url in (address.removesuffix("graphql"), address)
            ]
        finally:
            process.terminate()
            code = process.wait(timeout=30)

    assert {"symbol": "BTC-USDT"} in asked.json()["data"]["markets"]
    assert [page.status_code for page in pages] == [200, 200]
    assert all(page.headers["Content-Type"].startswith("text/html") for page in pages)
    assert code == 0, log.read_text()
