import ast
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

pytest.importorskip("jupytext")

from tools import house, notebooks  # noqa: E402


def test_the_drawing_is_that_of_the_present_imports():
    stored = house.PATH.read_text(encoding="utf-8")
    assert stored == house.drawn(), "run `make readme`"


def test_an_arrow_is_an_import_between_two_rooms(tmp_path):
    files = {
        "helpers/losses.py": "import numpy\nfrom helpers import backend\n",
        "registration/scans/sources/ixi.py": "from registration import settings\n",
        "registration/affine.py": (
            "def late():\n    import helpers.affines\n"
            "from registration.scans import grid as grids\n"
        ),
        "registration/__init__.py": "",
        "notebooks/00.py": "from registration import show, affine\n",
        "tests/test_x.py": "import helpers\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert house.arrows(tmp_path) == {
        ("registration.scans", "registration.settings"),
        ("registration", "helpers"),
        ("registration", "registration.scans"),
        ("notebooks", "registration"),
        ("notebooks", "registration.show"),
    }


def test_an_arrow_beside_a_longer_way_is_left_out():
    pairs = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    assert house.reduced(pairs) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_the_drawing_can_be_read_by_a_machine_and_says_what_it_shows():
    root = xml.etree.ElementTree.fromstring(house.drawn())
    texts = [node.text for node in root.iter() if node.tag.endswith(("text", "desc"))]
    for name in house.ROOMS:
        assert name.split(".")[-1] in texts
    assert any("registration imports" in (text or "") for text in texts)


def test_every_room_is_a_folder_or_a_file():
    for name in house.ROOMS:
        path = notebooks.ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").exists(), name


MAY = {
    "helpers": set(),
    "registration.settings": set(),
    "registration.scans": {"registration.settings"},
    "registration.show": {"registration.settings"},
    "registration": {
        "helpers",
        "registration.scans",
        "registration.show",
        "registration.settings",
    },
}


def test_the_imports_run_one_way():
    found = house.arrows(notebooks.ROOT)
    for here, allowed in MAY.items():
        assert {there for one, there in found if one == here} <= allowed, here
    for path in (notebooks.ROOT / "registration").glob("s*/**/*.py"):
        names = {name.split(".")[0] for name in house.modules(path)}
        assert not names & {"keras", "tensorflow", "jax", "torch", "helpers"}, path


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("helpers", {"keras", "numpy"}),
        ("helpers.metrics", {"keras", "scipy", "registration"}),
        ("registration.scans.cohort", {"keras", "helpers", "registration.show"}),
        ("registration.show", {"keras", "helpers", "registration.scans"}),
        ("registration.transform", {"keras", "helpers", "registration.show"}),
        ("registration.runtime", {"keras", "helpers", "registration.show"}),
        ("registration.itk", {"keras", "helpers", "registration.show"}),
        ("registration.pair", {"keras", "tensorflow", "matplotlib", "PIL"}),
        ("registration.apply", {"keras", "tensorflow", "matplotlib", "PIL"}),
        ("registration.__main__", {"keras", "numpy", "registration.pair"}),
    ],
)
def test_a_fresh_process_starts_no_more_than_it_needs(module, without):
    code = (
        f"import sys, {module}; found = {without} & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=notebooks.ROOT)


def variables_read(text):
    """Return the names of the environment's variables that Python code reads.

    One that is not written out is `"?"`. Setting a variable, and handing the whole
    environment on to another process, is not reading it.
    """
    found = set()

    def is_environment(node):
        return ast.unparse(node) in ("environ", "os.environ")

    def note(node):
        found.add(node.value if isinstance(node, ast.Constant) else "?")

    nodes = list(ast.walk(ast.parse(text)))
    statements = [node.value for node in nodes if isinstance(node, ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Call) and node not in statements:
            called = node.func
            by_method = (
                isinstance(called, ast.Attribute)
                and is_environment(called.value)
                and called.attr in ("get", "pop", "setdefault")
            )
            if by_method or ast.unparse(called) in ("getenv", "os.getenv"):
                note(node.args[0] if node.args else node)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if is_environment(node.value):
                note(node.slice)
        elif isinstance(node, ast.Compare):
            if any(is_environment(one) for one in node.comparators):
                note(node.left)
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import os\nx = os.environ.get('REGISTRATION_X') or 1", {"REGISTRATION_X"}),
        ("x = os.environ['REGISTRATION_X']", {"REGISTRATION_X"}),
        ("x = os.getenv(\n    'REGISTRATION_X', ''\n)", {"REGISTRATION_X"}),
        ("if 'REGISTRATION_X' in os.environ: pass", {"REGISTRATION_X"}),
        ("x = environ.pop(name)", {"?"}),
        ("x = os.environ.setdefault('REGISTRATION_X', 'y')", {"REGISTRATION_X"}),
        ("os.environ.setdefault('REGISTRATION_X', 'y')", set()),
        ("os.environ['REGISTRATION_X'] = 'y'", set()),
        ("run(env=os.environ | {'REGISTRATION_X': 'y'})", set()),
    ],
)
def test_a_variable_is_read_however_it_is_written(text, names):
    assert variables_read(text) == names


def test_our_variables_are_read_in_one_place():
    folders = ("helpers", "registration", "benchmarks", "models", "tools", "notebooks")
    found = {}
    for path in (p for f in folders for p in (notebooks.ROOT / f).rglob("*.py")):
        for name in variables_read(path.read_text(encoding="utf-8")):
            if name == "?" or name.startswith("REGISTRATION_"):
                found.setdefault(name, set()).add(path.relative_to(notebooks.ROOT))
    assert found.pop("?") == {pathlib.Path("registration/settings.py")}
    # The first cell of a notebook runs before anything of ours can be imported.
    first_cells = found.pop("REGISTRATION_URL")
    assert pathlib.Path("tools/bootstrap_cell.py") in first_cells
    assert {path.parent.name for path in first_cells} == {"tools", "notebooks"}
    assert found == {}


def test_helpers_stays_a_small_vocabulary():
    files = (notebooks.ROOT / "helpers").rglob("*.py")
    assert sum(len(path.read_text().splitlines()) for path in files) < 3100
