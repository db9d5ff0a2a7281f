import nbformat
import pytest

pytest.importorskip("jupytext")

from tools import check, notebooks, readme, sync, tables  # noqa: E402

SOURCES = notebooks.sources()
NAMES = [path.stem for path in SOURCES]

SOURCE = """\
# %% [markdown]
# # A title
#
# Words.

# %%
print(1)

# %% tags=["nbval-check-output"]
print(2)
"""


@pytest.fixture
def pair(tmp_path):
    """Write a notebook, executed by hand, and return its source."""
    path = tmp_path / "00_example.py"
    path.write_text(SOURCE)
    sync.sync(path)
    page = path.with_suffix(".ipynb")
    notebook = nbformat.read(page, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
    picture = nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})
    code[1].outputs = [picture]
    nbformat.write(notebook, page)
    return path


def change(path, edit):
    """Apply `edit` to the second code cell of a stored notebook."""
    page = path.with_suffix(".ipynb")
    notebook = nbformat.read(page, as_version=4)
    edit([cell for cell in notebook.cells if cell.cell_type == "code"][1])
    nbformat.write(notebook, page)


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_the_notebook_is_paired_executed_clean_and_small(path):
    assert check.problems(path) == []


def test_every_page_has_a_source():
    pages = {path.stem for path in notebooks.FOLDER.glob("*.ipynb")}
    assert pages == set(NAMES)


def test_every_notebook_has_a_goal_of_one_sentence():
    goals = tables.goals()
    for name in NAMES:
        assert goals[name].endswith("."), name
        assert goals[name].count(". ") == 0, name


def test_the_readme_shows_what_was_measured():
    text = readme.README.read_text()
    assert text == readme.filled(text), "run `make readme`"


def test_a_clean_pair_has_no_problem(pair):
    assert check.problems(pair) == []


def test_sync_keeps_the_results_of_cells_that_did_not_change(pair):
    pair.write_text(pair.read_text().replace("print(2)", "print(3)"))
    assert sync.sync(pair)
    notebook = nbformat.read(pair.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [bool(cell.outputs) for cell in code] == [False, True, False]
    assert [cell.execution_count for cell in code] == [1, 2, None]
    assert not sync.sync(pair), "a second time changes nothing"


def test_a_source_that_was_edited_alone_is_found(pair):
    pair.write_text(pair.read_text().replace("print(2)", "print(3)"))
    assert "out of step with its .py: `make sync`" in check.problems(pair)


def test_an_edited_first_cell_is_found(pair):
    pair.write_text(pair.read_text().replace("import os\n", "import os\n\n", 1))
    assert any("bootstrap_cell" in text for text in check.problems(pair))


def test_a_cell_that_was_not_executed_is_found(pair):
    change(pair, lambda cell: cell.update(execution_count=None))
    assert any("not executed" in text for text in check.problems(pair))


def test_a_notebook_without_a_picture_is_found(pair):
    change(pair, lambda cell: cell.update(outputs=[]))
    assert check.problems(pair) == ["no picture is stored"]


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (
            {"output_type": "error", "ename": "E", "evalue": "", "traceback": []},
            "error",
        ),
        ({"output_type": "stream", "name": "stderr", "text": "x"}, "stderr"),
        (
            {"output_type": "stream", "name": "stdout", "text": "UserWarning: x"},
            "warning",
        ),
        (
            {"output_type": "stream", "name": "stdout", "text": "<a at 0x7f00aa>"},
            "address",
        ),
        ({"output_type": "stream", "name": "stdout", "text": "in /home/me/x"}, "path"),
    ],
)
def test_stored_noise_is_found(pair, output, complaint):
    change(pair, lambda cell: cell.outputs.append(nbformat.from_dict(output)))
    (found,) = check.problems(pair)
    assert complaint in found


def test_a_long_cell_is_found(pair):
    lines = "\n".join(f"print({number})" for number in range(26))
    pair.write_text(pair.read_text().replace("print(2)", lines))
    sync.sync(pair)
    assert any("26 lines" in text for text in check.problems(pair))


def test_a_page_of_two_megabytes_is_found(pair):
    picture = nbformat.v4.new_output("display_data", {"image/png": "A" * 2_000_000})
    change(pair, lambda cell: cell.update(outputs=[picture]))
    (found,) = check.problems(pair)
    assert found.startswith("2.0")
