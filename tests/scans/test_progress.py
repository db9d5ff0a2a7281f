import pytest

from registration.scans import progress


class Display:
    """Stand in for IPython's display: keep what is shown and how it changes."""

    def __init__(self):
        self.texts = []

    def display(self, thing, display_id):
        """Show a thing that may be changed later."""
        assert display_id
        self.update(thing)
        return self

    def update(self, thing):
        """Show another thing in its place."""
        self.texts.append(repr(thing))

    Pretty = str


@pytest.fixture
def kernel(monkeypatch):
    from IPython import display

    shown = Display()
    monkeypatch.setattr(display, "display", shown.display)
    monkeypatch.setattr(progress, "_in_kernel", lambda: True)
    return shown


def test_in_a_notebook_one_line_is_rewritten_and_ends_full(kernel, capfd):
    bar = progress.bar(4, "loading scans")
    for _ in range(4):
        bar.update()
    bar.close()
    assert kernel.texts[0].startswith(f"loading scans {'░' * 30} 0/4")
    assert kernel.texts[-1].startswith(f"loading scans {'█' * 30} 4/4")
    assert capfd.readouterr() == ("", "")


def test_in_a_notebook_the_line_is_not_redrawn_for_every_step(kernel):
    bar = progress.bar(10_000, "loading scans")
    for _ in range(10_000):
        bar.update()
    bar.close()
    assert len(kernel.texts) < 100


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_bar_that_is_not_wanted_draws_nothing(monkeypatch, capfd, in_kernel):
    monkeypatch.setattr(progress, "_in_kernel", lambda: in_kernel)
    bar = progress.bar(3, "loading", shown=False)
    bar.update()
    bar.close()
    assert capfd.readouterr() == ("", "")


def test_elsewhere_the_bar_is_on_stderr_and_leaves_no_line(capfd):
    bar = progress.bar(3, "loading")
    bar.update(3)
    bar.close()
    out, err = capfd.readouterr()
    assert out == "" and "loading" in err and not err.endswith("\n")
