import ast
import os
import re
import subprocess
import sys

import pytest

requirements = pytest.importorskip("packaging.requirements")

from tools import colab, environment, install_missing, notebooks  # noqa: E402

ROOT = notebooks.ROOT
READER, DEV = "requirements.txt", "requirements/dev.txt"
OPTIONAL = ("requirements/stripping.txt",)
EXPORT = "requirements/export.txt"
MODULES = {"ipython": "IPython", "pillow": "PIL", "scikit-learn": "sklearn"}
MODULES["simpleitk"] = "SimpleITK"
PYTHONS = ("3.10.13", "3.11.7", "3.12.1", "3.13.0")
SYSTEMS = ("linux", "darwin")


def parsed(name):
    lines = install_missing.requirements(ROOT / name)
    return [requirements.Requirement(line) for line in lines]


def names(*files):
    return {one.name for name in files for one in parsed(name)}


def pins(python, system):
    """Return the versions that the lock gives one Python on one system."""
    machine = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": system,
        "os_name": "posix",
        "implementation_name": "cpython",
    }
    lock = parsed("requirements.lock")
    valid = [one for one in lock if not one.marker or one.marker.evaluate(machine)]
    return [(one.name, str(one.specifier)) for one in valid]


def imported(folder):
    """Return the top-level names that the Python files of a folder import."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    own = {"helpers", "registration", "benchmarks", "models", "tools", "tests"}
    return found - set(sys.stdlib_module_names) - own


def test_every_range_states_the_oldest_version_and_stands_in_order():
    for name in (READER, DEV, *OPTIONAL):
        lines = parsed(name)
        assert [one.name for one in lines] == sorted(one.name for one in lines)
        for one in lines:
            assert [s.operator for s in one.specifier] == [">="], one


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_gives_every_python_one_version_inside_every_range(python, system):
    chosen = pins(python, system)
    assert len(chosen) == len(dict(chosen)), "a package is pinned twice"
    chosen = dict(chosen)
    for one in [*parsed(READER), *parsed(DEV)]:
        assert re.fullmatch(r"==[\w.+]+", chosen[one.name]), one.name
        assert one.specifier.contains(chosen[one.name][2:]), one.name


def test_the_lock_names_no_host_and_no_path():
    for line in install_missing.requirements(ROOT / "requirements.lock"):
        assert not re.search(r"://|--|@|\\", line), line


def test_conda_installs_the_same_files_for_the_same_pythons():
    text = (ROOT / "environment.yml").read_text()
    assert re.findall(r"- -r (\S+)", text) == [READER, DEV]
    low, high = environment.OLDEST, environment.NEWEST
    assert f"python>={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}" in text


def test_the_hosted_service_has_versions_inside_the_ranges_and_lacks_what_it_fetches():
    ranges = {one.name: one.specifier for one in parsed(READER)}
    hosted = {one.name: one.specifier for one in parsed("requirements/colab.txt")}
    exact = {name: str(s)[2:] for name, s in hosted.items() if str(s).startswith("==")}
    assert {"tensorflow", "keras", "ipywidgets", "numpy", "nibabel"} <= exact.keys()
    for name in exact.keys() & ranges.keys():
        assert ranges[name].contains(exact[name]), name
    assert exact["tensorflow"].startswith(next(iter(ranges["tensorflow"])).version)
    assert ranges.keys() - hosted.keys() <= set(colab.MISSING)


def test_the_other_backends_replace_tensorflow_and_nothing_else():
    expected = names(READER) - {"tensorflow"}
    expected |= {"hypothesis", "jax", "torch", "pytest"}
    assert names("requirements/backends.txt") == expected


def test_requirements_name_what_is_imported_and_nothing_else():
    needed = imported("helpers") | imported("registration") | imported("notebooks")
    needed |= imported("models")
    named = {MODULES.get(name, name) for name in names(READER)}
    optional = {"jax", "torch"} | names(*OPTIONAL, EXPORT)
    assert needed - optional - named == set(), "imported and not named"
    # The classical methods are peers in benchmarks, and oracles in tests.
    assert named - needed - imported("benchmarks") == set(), "named and not imported"


def test_tools_and_tests_import_what_is_installed_for_development():
    named = {MODULES.get(name, name) for name in names(READER, DEV)}
    optional = {"jax", "torch", "packaging", "SimpleITK", "playwright"}
    assert imported("tools") - named == set()
    assert imported("tests") - named - optional == set()


def test_an_unsupported_python_is_told_what_to_type():
    for version in ((3, 9), (3, 14)):
        message = environment.complaint((3, 10), (3, 13), version)
        assert "This needs Python 3.10 to 3.13" in message
        assert f"is Python {version[0]}.{version[1]}." in message
        assert "make run PYTHON=python3.13" in message
    for minor in (10, 11, 12, 13):
        assert environment.complaint((3, 10), (3, 13), (3, minor)) is None


def test_a_python_without_venv_is_told_which_package_to_install():
    assert "apt install python3.12-venv" in environment.without_venv((3, 12))


def test_an_environment_that_holds_the_files_is_left_alone(tmp_path, monkeypatch):
    listed = tmp_path / "requirements.lock"
    listed.write_text("numpy==2.0.0\n")
    calls = []
    monkeypatch.setattr(environment.subprocess, "check_call", calls.append)
    for _ in range(2):
        environment.install(str(tmp_path), [str(listed)], [])
    assert len(calls) == 1
    listed.write_text("numpy==2.0.1\n")
    environment.install(str(tmp_path), [str(listed)], [])
    assert len(calls) == 2


@pytest.fixture
def made(monkeypatch):
    """Let the module `venv` leave an empty environment, and return whom it was for."""
    folders = []
    monkeypatch.setattr(
        environment.subprocess,
        "check_call",
        lambda command: folders.append(command[-1]),
    )
    return folders


@pytest.mark.parametrize("kept", ["own.txt", "pyvenv.cfg"])
def test_a_folder_that_make_has_not_made_is_left_as_it_is(tmp_path, made, kept):
    folder = tmp_path / ".venv"
    folder.mkdir()
    (folder / kept).write_text("mine")
    with pytest.raises(SystemExit, match="left as it was") as refusal:
        environment.create(str(folder), environment.NEWEST)
    assert "Rename or remove it, then run the same command again." in str(refusal.value)
    assert (folder / kept).read_text() == "mine"
    assert made == []


def test_a_file_or_a_link_in_the_place_of_an_environment_is_left_as_it_is(
    tmp_path, made
):
    elsewhere, file = tmp_path / "elsewhere", tmp_path / "file"
    elsewhere.mkdir()
    (elsewhere / environment.OURS).write_text("")
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    for place in (file, link):
        with pytest.raises(SystemExit, match="left as it was"):
            environment.create(str(place), environment.NEWEST)
    assert file.read_text() == "mine"
    assert link.is_symlink() and made == []


def test_an_absent_an_empty_and_a_half_made_environment_are_made_anew(tmp_path, made):
    folder = tmp_path / "deep" / ".venv"
    environment.create(str(folder), environment.NEWEST)
    assert os.listdir(folder) == [environment.OURS]
    (folder / "half").write_text("")
    environment.create(str(folder), environment.NEWEST)
    assert os.listdir(folder) == [environment.OURS]
    # Those that were made before there was a stamp of their own.
    (folder / environment.OURS).rename(folder / ".installed")
    environment.create(str(folder), environment.NEWEST)
    assert os.listdir(folder) == [environment.OURS]
    empty = tmp_path / "empty"
    empty.mkdir()
    environment.create(str(empty), environment.NEWEST)
    assert made == [*[str(folder)] * 3, str(empty)]


def test_make_refuses_an_environment_without_pip_from_the_command_line(tmp_path):
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/false")
    script = ROOT / "tools" / "environment.py"
    command = [sys.executable, str(script), str(folder), str(ROOT / READER)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{folder} is no environment that works" in done.stderr
    assert (folder / "bin" / "python").is_symlink()
