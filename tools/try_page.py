"""Build the page `try`, which registers two scans in the browser.

python -m tools.try_page [FOLDER]
"""

import pathlib
import re
import shutil
import subprocess
import sys

from tools import demo_pairs, notebooks

SOURCE = notebooks.ROOT / "browser"
OLDEST = 20
# What npm says where there is no network.
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ECONNRESET", "E403")
PAGE = "try/index.html"
DIGITS = "try/digits.html"
# The notebooks from which the page of drawn digits is reached.
DRAWN = ("01_affine_2d_mnist", "02_deformable_2d_mnist")


def missing():
    """Say what is missing to build the page, or nothing where all is there.

    Returns:
        str, empty where the page can be built.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        return f"it needs Node.js {OLDEST} or newer, with npm"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True)
    found = re.match(r"v(\d+)", version.stdout)
    if not found or int(found[1]) < OLDEST:
        return f"it needs Node.js {OLDEST}; here is {version.stdout.strip() or 'none'}"
    return unreachable()


def digits_missing():
    """Say what is missing to build the page of drawn digits, as `missing`."""
    if (notebooks.ROOT / "models" / "digits_affine.onnx").exists():
        return missing()
    return "its networks are not stored: models/train_digits.py, then make export"


def prepare():
    """Install the packages that the lock file names, once.

    Raises:
        RuntimeError: If npm fails; it says what npm said.
    """
    lock, installed = SOURCE / "package-lock.json", SOURCE / "node_modules" / ".lock"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    _run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    shutil.copyfile(lock, installed)


def build(folder):
    """Build the page into a folder, which is made anew.

    Args:
        folder: `pathlib.Path`.

    Raises:
        RuntimeError: If it cannot be built.
    """
    prepare()
    shutil.rmtree(folder, ignore_errors=True)
    demo_pairs.write(folder / "pairs")
    _run("node", "build.mjs", str(folder.resolve()))


def node_script(folder):
    """Build the same code as a script for Node, to be held to Python.

    Args:
        folder: `pathlib.Path` inside `browser`, where Node finds the packages.

    Returns:
        `pathlib.Path` of the script.
    """
    prepare()
    _run("node", "build.mjs", str(folder.resolve()), "--node")
    return folder / "agree.mjs"


def unreachable():
    """Say that the packages cannot be fetched, or nothing where they are here.

    Returns:
        str, empty where the page's packages are installed.

    Raises:
        RuntimeError: If npm fails for another reason than the network's.
    """
    try:
        prepare()
    except RuntimeError as error:
        if any(sign in str(error) for sign in OFFLINE):
            return "its packages cannot be fetched from the npm registry"
        raise
    return ""


def _run(*command):
    """Run a command in the folder of the sources."""
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def main(folder):
    """Build the page, or say why not.

    Args:
        folder: `pathlib.Path`.
    """
    lacking = missing()
    if lacking:
        print(f"The page try is left out: {lacking}.")
        return
    if digits_missing():
        print(f"The page of drawn digits is left out: {digits_missing()}.")
    build(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"The page try, {size:.1f} MB: {folder / 'index.html'}")


if __name__ == "__main__":
    default = notebooks.ROOT / "build" / "site" / "try"
    main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else default)
