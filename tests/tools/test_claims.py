import nbformat

from tools import claims

CELLS = [
    nbformat.v4.new_markdown_cell("# One\n## Is it so?"),
    nbformat.v4.new_code_cell("%matplotlib inline\nx = 3\nassert x > 2 and x | 1"),
    nbformat.v4.new_code_cell("x"),
]


def notebook(text):
    cells = [nbformat.v4.new_markdown_cell(CELLS[0].source)]
    cells += [nbformat.v4.new_code_cell(cell.source) for cell in CELLS[1:]]
    cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return nbformat.v4.new_notebook(cells=cells)


def test_each_assertion_is_listed_with_its_section_and_what_was_printed():
    found = claims.claims(notebook("x is 3\n"))
    assert found == [("Is it so?", ["x > 2 and x | 1"], "x is 3")]


def test_a_row_of_the_page_has_three_cells_whatever_was_printed(tmp_path):
    text = claims.section(tmp_path / "01_one.py", notebook("a | b\n<b>`c`\n"))
    row = text.strip().splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 4
    assert "a \\| b<br>\\<b\\>\\`c\\`" in row


def test_a_long_text_is_cut():
    cell = notebook("y" * 5000).cells[1]
    assert len(claims.printed(cell)) < 700
