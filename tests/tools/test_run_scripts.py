import subprocess
import sys

from tools import run_scripts

MAIN = "if __name__ == '__main__':\n    {}\n"


def tree(folder):
    """Write three scripts in two folders, and a file that is none."""
    files = {
        "accuracy/dense.py": MAIN.format("print('one')"),
        "timing/step.py": MAIN.format("raise SystemExit(3)"),
        "alone.py": MAIN.format("pass"),
        "accuracy/shared.py": "x = 1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def names(folder, only=""):
    found = run_scripts.scripts(folder, only)
    return [run_scripts.name(path, folder) for path in found]


def test_scripts_of_every_depth_are_found_and_what_they_share_is_not(tmp_path):
    folder = tree(tmp_path)
    assert names(folder) == ["accuracy/dense", "alone", "timing/step"]


def test_a_folder_or_a_part_of_a_name_chooses(tmp_path):
    folder = tree(tmp_path)
    assert names(folder, "timing") == ["timing/step"]
    assert names(folder, "dense") == ["accuracy/dense"]


def test_every_script_is_run_and_one_that_fails_is_named(tmp_path):
    command = [sys.executable, "-m", "tools.run_scripts", str(tree(tmp_path))]
    done = subprocess.run(command, cwd=run_scripts.ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Failed: timing/step" in done.stderr
    assert "one\n" in done.stdout
    assert "alone: 0 s" in done.stdout
