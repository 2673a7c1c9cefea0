"""The manual is true: its programs run, and its lists are complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from candleql.settings import Settings

ROOT = Path(__file__).parent.parent


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_every_call_of_the_repositories_works_as_the_manual_shows_again_and_again(tmp_path):
    program = programs("docs/repositories.md")[0]

    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DEBUG")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert result.returncode == 0, result.stderr
        assert "0 bots, 1 candles, 2 raw trades" in result.stdout
        assert "low: 0.5 is above open 0.1" in result.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/repositories.md"])
def test_every_program_of_the_manual_compiles(page):
    for program in programs(page):
        compile(program, page, "exec")


def test_every_setting_is_in_the_example_with_its_default():
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = dict(
        re.fullmatch(r"(?:# )?([A-Z_]+)=(.*)", line).groups() for line in lines if re.match(r"(# )?[A-Z_]+=", line)
    )

    settings = {name.upper(): field.default for name, field in Settings.model_fields.items()}

    assert shown.keys() == settings.keys()
    for name, default in settings.items():
        if default is not None:
            text = f"{default:g}" if isinstance(default, float) else str(default)
            assert shown[name] == (text.lower() if isinstance(default, bool) else text)


@pytest.mark.parametrize("page", ["docs/reliability.md", "docs/security.md"])
def test_every_test_that_the_manual_names_exists(page):
    named = set(re.findall(r"`(test_\w+)`", (ROOT / page).read_text()))

    defined = {name for file in ROOT.glob("tests/*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}

    assert named
    assert named <= defined


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/performance.md", "docs/reliability.md"])
def test_every_file_that_the_manual_names_by_its_path_is_there(page):
    named = re.findall(r"`((?:[a-z]\w*/)+[\w.-]+\.\w+)`", (ROOT / page).read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []
