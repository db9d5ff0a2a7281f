import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("jupytext")

from tools import address, install_missing, notebooks  # noqa: E402

CELL = notebooks.bootstrap()
INSTALLER = "tools/install_missing.py"


def remedy(done):
    """Return the one sentence or two that a cell which gave up has left."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def run(folder, colab=False, **variables):
    """Run the cell as a fresh kernel in `folder` would and return the process."""
    paths = [str(folder.parent / "stub")] if colab else []
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, "-c", f"{CELL}\nprint(sys.path[0])"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def hosted(tmp_path):
    """Return an empty folder on a machine where `google.colab` can be imported."""
    stub = tmp_path / "stub" / "google" / "colab"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("")
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


@pytest.fixture
def bare(tmp_path):
    """Return a bare repository that holds the files of this one."""
    tree = tmp_path / "tree"
    for name in ("helpers", "registration", "tools", "requirements.txt"):
        source = notebooks.ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        tree.mkdir(exist_ok=True)
        copy(source, tree / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tree)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    target = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", tree, target], check=True)
    return target


@pytest.mark.parametrize("folder", [".", "notebooks", "tests"])
def test_in_the_repository_the_cell_finds_the_root_and_fetches_nothing(folder):
    done = run(notebooks.ROOT / folder, REGISTRATION_URL="/nowhere")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{notebooks.ROOT}\n"


def test_outside_the_repository_the_cell_says_where_to_open_it(tmp_path):
    message = remedy(run(tmp_path, REGISTRATION_URL="/nowhere"))
    assert "inside its repository, /nowhere: `make lab`" in message
    assert list(tmp_path.iterdir()) == []


def test_a_hosted_notebook_clones_once_and_then_needs_no_network(hosted, bare):
    first = run(hosted, colab=True, REGISTRATION_URL=str(bare))
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == str(hosted / "registration")
    assert (hosted / "registration" / "helpers" / "sampling.py").exists()
    second = run(hosted, colab=True, REGISTRATION_URL="/nowhere")
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    inside = run(hosted / "registration", colab=True, REGISTRATION_URL="/nowhere")
    assert inside.returncode == 0, inside.stderr


def test_a_hosted_notebook_that_cannot_fetch_says_how_to_name_the_address(hosted):
    message = remedy(run(hosted, colab=True, REGISTRATION_URL="/nowhere"))
    assert message.startswith("/nowhere cannot be fetched.")
    assert message.endswith("%env REGISTRATION_URL=...")


def test_with_the_placeholder_the_same_remedy_is_named(hosted, tmp_path):
    # A git that finds nothing, as it would at an address that nobody owns.
    git = tmp_path / "stub" / "git"
    git.write_text("#!/bin/sh\nexit 128\n")
    git.chmod(0o755)
    search = f"{git.parent}{os.pathsep}{os.environ['PATH']}"
    message = remedy(run(hosted, colab=True, REGISTRATION_URL="", PATH=search))
    assert message.startswith(f"https://github.com/{address.written()} cannot be")
    assert message.endswith("%env REGISTRATION_URL=...")


@pytest.mark.parametrize("file", ["helpers/backend.py", "README.md"])
def test_a_half_made_folder_is_left_alone_and_the_reader_told_to_delete_it(
    hosted, bare, file
):
    rest = hosted / "registration" / file
    rest.parent.mkdir(parents=True)
    rest.write_text("")
    message = remedy(run(hosted, colab=True, REGISTRATION_URL=str(bare)))
    folder = hosted / "registration"
    assert message == (
        f"{folder} is incomplete. Type !rm -r {folder} and run this again."
    )
    assert rest.exists()


@pytest.mark.parametrize("installer", ["", "import sys\nsys.exit(1)\n"])
def test_where_nothing_can_be_installed_the_cell_says_what_to_do(hosted, installer):
    for name in ("helpers/backend.py", "registration/settings.py"):
        path = hosted / name
        path.parent.mkdir()
        path.write_text("")
    if installer:
        (hosted / "tools").mkdir()
        (hosted / INSTALLER).write_text(installer)
    message = remedy(run(hosted, colab=True))
    assert message == "Packages could not be installed. Go online and run this again."


def test_the_cell_is_short_enough_to_be_read():
    assert len(CELL.splitlines()) <= 25


def test_only_what_is_missing_is_installed_and_tensorflow_never(monkeypatch, tmp_path):
    absent = {"dipy", "tensorflow", "keras"}
    monkeypatch.setattr(
        install_missing,
        "installed",
        lambda name: None if name in absent else "9.9",
    )
    seen = []

    def pip(command):
        position = command.index("--constraint")
        seen.append((command[position + 2 :], command[position + 1].read_text()))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(install_missing.subprocess, "run", pip)
    install_missing.main()
    ((wanted, held),) = seen
    assert [install_missing.name(line) for line in wanted] == ["dipy"]
    assert "numpy==9.9\n" in held
    assert "tensorflow" not in held


def test_where_nothing_is_missing_pip_does_not_start(monkeypatch):
    monkeypatch.setattr(install_missing, "installed", lambda name: "9.9")
    monkeypatch.setattr(install_missing.subprocess, "run", pytest.fail)
    install_missing.main()


def test_where_pip_fails_its_status_is_kept_and_no_traceback_follows(monkeypatch):
    monkeypatch.setattr(install_missing, "installed", lambda name: None)
    failed = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(install_missing.subprocess, "run", lambda command: failed)
    with pytest.raises(SystemExit, match="3"):
        install_missing.main()
