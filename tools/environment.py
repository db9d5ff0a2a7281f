"""Create a virtual environment and install requirement files into it.

Run by the Makefile with whatever `python3` is, so that this file keeps to what an
old Python 3 understands. An environment that works is kept, whatever `python3` is by
now; one that holds these very files is left alone. A folder that was not made here is
never emptied.

    python3 tools/environment.py .venv requirements.lock
    python3 tools/environment.py .venv-x requirements/x.txt --constraint x.lock
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 10), (3, 13)
OURS = ".made-by-make"


def complaint(oldest, newest, version):
    """Say what to do about an unsupported Python; None if it is supported."""
    if oldest <= version <= newest:
        return None
    low, high, here = (".".join(map(str, x)) for x in (oldest, newest, version))
    return (
        f"This needs Python {low} to {high}, and {sys.executable} is Python {here}.\n"
        f"Name another one, for example:  make run PYTHON=python{high}"
    )


def without_venv(version):
    """Say what to install where this Python cannot make environments."""
    package = "python{}.{}-venv".format(*version)
    return (
        f"{sys.executable} cannot create a virtual environment.\n"
        f"On Debian and Ubuntu:  sudo apt install {package}"
    )


def fingerprint(paths):
    """Return a hash of the files' contents."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()


def works(python):
    """Return whether an environment's interpreter starts and has pip."""
    if not os.path.exists(python):
        return False
    command = [python, "-c", "import pip"]
    return subprocess.call(command, stderr=subprocess.DEVNULL) == 0


def occupied(folder):
    """Say why a folder is not ours to empty; None if it is, or is not there.

    Ours is what is empty or carries a stamp: the one that `create` leaves before it
    starts, or the one of `install`.
    """
    if not os.path.lexists(folder):
        return None
    if os.path.isdir(folder) and not os.path.islink(folder):
        names = os.listdir(folder)
        if not names or any(x == OURS or x.startswith(".installed") for x in names):
            return None
    return (
        f"{folder} is no environment that works, and `make` has not made it. It was "
        "left as it was.\nRename or remove it, then run the same command again."
    )


def create(folder, newest):
    """Create an empty environment; exit with a message where that is impossible."""
    version = sys.version_info[:2]
    message = complaint(OLDEST, newest, version)
    if message:
        sys.exit(message)
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it
        import venv  # noqa: F401
    except ImportError:
        sys.exit(without_venv(version))
    message = occupied(folder)
    if message:
        sys.exit(message)
    print(f"Creating {folder} with {sys.executable}", flush=True)
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.makedirs(folder)
    # If this is interrupted, the next call must know whose folder it is.
    with open(os.path.join(folder, OURS), "w"):
        pass
    subprocess.check_call([sys.executable, "-m", "venv", folder])


def install(folder, files, constraints, stamp=".installed"):
    """Install requirement files into an environment, unless it holds them."""
    stamp = os.path.join(folder, stamp)
    now = fingerprint(files + constraints)
    if os.path.exists(stamp):
        with open(stamp) as stream:
            if stream.read() == now:
                os.utime(stamp)
                return
    print(f"Installing {' '.join(files)} into {folder}: some minutes", flush=True)
    command = [os.path.join(folder, "bin", "python"), "-m", "pip", "install"]
    command += ["--quiet", "--disable-pip-version-check"]
    for path in files:
        command += ["--requirement", path]
    for path in constraints:
        command += ["--constraint", path]
    subprocess.check_call(command)
    with open(stamp, "w") as stream:
        stream.write(now)


def main():
    """Read the command line and install; exit with a message where that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--constraint", action="append", default=[])
    parser.add_argument("--newest", default="{}.{}".format(*NEWEST))
    parser.add_argument("--stamp", default=".installed")
    options = parser.parse_args()
    newest = tuple(int(part) for part in options.newest.split("."))
    try:
        if not works(os.path.join(options.folder, "bin", "python")):
            create(options.folder, newest)
        install(options.folder, options.files, options.constraint, options.stamp)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\nRun the same command again to go on from here.")


if __name__ == "__main__":
    main()
