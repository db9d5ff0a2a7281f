import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("jupytext")

from tools import install_missing, notebooks  # noqa: E402

CELL = notebooks.bootstrap()


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
    for name in ("helpers", "tools", "requirements.txt"):
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


def test_elsewhere_the_cell_fetches_nothing(tmp_path):
    done = run(tmp_path, REGISTRATION_URL="/nowhere")
    assert done.returncode == 0, done.stderr
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


def test_a_hosted_notebook_without_network_says_so(hosted):
    done = run(hosted, colab=True, REGISTRATION_URL="/nowhere")
    assert done.returncode != 0
    assert "/nowhere" in done.stderr


def test_only_what_is_missing_is_installed_and_tensorflow_never(monkeypatch, tmp_path):
    absent = {"dipy", "tensorflow", "keras"}
    monkeypatch.setattr(
        install_missing,
        "installed",
        lambda name: None if name in absent else "9.9",
    )
    seen = []

    def pip(command, check):
        position = command.index("--constraint")
        seen.append((command[position + 2 :], command[position + 1].read_text()))

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
