import ast
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import nibabel
import pytest

pytest.importorskip("jupytext")
requirements = pytest.importorskip("packaging.requirements")

import registration  # noqa: E402
from tests.registration import heads  # noqa: E402
from tools import install_missing, notebooks  # noqa: E402

ROOT = notebooks.ROOT
MODELS = (".json", ".md", ".onnx", ".weights.h5")
RANGES = ("requirements.txt", "requirements/dev.txt")


def pip(*words):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def seen_by_git():
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as pip does, without a network; return its path."""
    folder, before = tmp_path_factory.mktemp("wheel"), seen_by_git()
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation",
        "--wheel-dir", str(folder), ".")  # fmt: skip
    assert seen_by_git() == before
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel alone into a folder; return it."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    return folder


def run(installed, empty, *words):
    """Run Python where nothing of ours is on the path but the installed folder."""
    done = subprocess.run(
        [sys.executable, *words], cwd=empty, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder, *endings):
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.name.endswith(endings) and "__pycache__" not in
        path.parts
    }  # fmt: skip


def test_the_wheel_holds_the_tool_its_mathematics_and_its_networks(wheel):
    expected = {f"registration/{x}" for x in files("registration", "")}
    expected |= {f"registration/_helpers/{x}" for x in files("helpers", ".py")}
    expected |= {f"registration/_models/{x}" for x in files("models", *MODELS)}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = {name for name in names if ".dist-info/" not in name}
    assert found == expected
    assert {name.split("/")[0] for name in names} == {
        "registration",
        f"registration-{registration.__version__}.dist-info",
    }


def test_nothing_in_the_wheel_imports_helpers_from_outside(wheel):
    inside = 0
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.Import):
                    assert "helpers" not in [a.name.split(".")[0] for a in node.names]
                if isinstance(node, ast.ImportFrom):
                    assert node.module.split(".")[0] != "helpers", name
                    inside += node.module.startswith("registration._helpers")
    assert inside > 10


def test_every_file_that_a_contract_names_is_in_the_wheel(installed):
    folder = installed / "registration" / "_models"
    contracts = sorted(folder.glob("*.json"))
    assert contracts
    for path in contracts:
        stored = json.loads(path.read_text())
        for name in stored.get("onnx_sha256", {}):
            assert (folder / name).is_file()
        assert (folder / f"{path.stem}.weights.h5").is_file()


def test_the_installed_tool_is_the_only_name_at_the_top(installed, tmp_path):
    tops = {p.name for p in installed.iterdir() if ".dist-info" not in p.name}
    assert tops == {"bin", "registration"}
    code = (
        "import importlib.util, registration; from registration import models, quality;"
        "assert importlib.util.find_spec('helpers') is None;"
        "assert importlib.util.find_spec('models') is None;"
        "print(models.FOLDER, registration.__version__, sep='\\n')"
    )
    folder, version = run(installed, tmp_path, "-c", code).splitlines()
    assert pathlib.Path(folder) == installed / "registration" / "_models"
    assert version == registration.__version__


@pytest.mark.parametrize("words", [["-m", "registration"], ["bin/registration"]])
def test_the_command_works_from_an_empty_folder(installed, tmp_path, words):
    if words[0] != "-m":
        words = [str(installed / words[0])]
    name = "registration" if words[0] != "-m" else "python -m registration"
    assert f"usage: {name} " in run(installed, tmp_path, *words, "--help")
    assert run(installed, tmp_path, *words, "--version").strip() == (
        registration.__version__
    )


def test_the_installed_tool_registers_two_scans_from_an_empty_folder(
    installed, tmp_path
):
    for seed, name in ((0, "moving"), (1, "fixed")):
        head = heads.head(seed, voxel_mm=6.0)
        nibabel.save(
            nibabel.Nifti1Image(head.image, head.affine), tmp_path / f"{name}.nii.gz"
        )
        mask = nibabel.Nifti1Image(head.brain().astype("uint8"), head.affine)
        nibabel.save(mask, tmp_path / f"{name}_mask.nii.gz")
    words = (
        "-m registration pair moving.nii.gz fixed.nii.gz --out out --transform affine "
        "--no-refine --moving-mask moving_mask.nii.gz --fixed-mask fixed_mask.nii.gz "
        "--json"
    )
    record = json.loads(run(installed, tmp_path, *words.split()))
    before, after = (record["numbers"][when]["ncc"] for when in ("before", "after"))
    assert after > before
    assert (tmp_path / "out" / "report.html").is_file()
    # Where the check says failed, the network for whole heads may be taken.
    assert set(record["transform"]["models"]) < {"affine_t1", "affine_any", "dense_t1"}


def metadata(wheel):
    """Return what the wheel needs, by extra: dict of name → set of requirements."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    found = {}
    for line in re.findall(r"^Requires-Dist: (.+)$", text, re.MULTILINE):
        one = requirements.Requirement(line)
        extra = re.search(r'extra == "(\w+)"', line)
        found.setdefault(extra.group(1) if extra else "", set()).add(
            f"{one.name}{one.specifier}"
        )
    return found


def test_the_wheel_asks_for_the_ranges_that_are_tested(wheel):
    stated = set()
    for name in RANGES:
        for line in install_missing.requirements(ROOT / name):
            one = requirements.Requirement(line)
            stated.add(f"{one.name}{one.specifier}")
    needs = metadata(wheel)
    assert needs.keys() == {"", "cohort", "report", "all"}
    asked = set().union(*needs.values()) - {"registration"}
    assert asked <= stated
    reader = {
        str(requirements.Requirement(line))
        for line in install_missing.requirements(ROOT / RANGES[0])
    }
    assert reader <= asked, "the extra `all` is what the notebooks use"


def test_the_light_install_starts_what_it_asks_for_and_no_more(wheel):
    """The modules that `pair` and `apply` load are those of the light requirements."""
    code = (
        "import sys; from registration import apply, pair, runtime, itk; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    ours = {re.split(r"\W", one)[0] for one in metadata(wheel)[""]}
    heavy = {
        re.split(r"\W", one)[0] for extra in ("report", "all")
        for one in metadata(wheel)[extra]
    } - {"registration"}  # fmt: skip
    assert ours - set(loaded) <= {"onnxruntime"}
    assert not heavy & set(loaded)
    assert importlib.util.find_spec("onnxruntime")
