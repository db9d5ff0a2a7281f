"""One progress bar: a line that is rewritten in a notebook, tqdm elsewhere."""

import sys
import time

import tqdm

WIDTH = 30
SECONDS_BETWEEN = 0.3


class NotebookBar:
    """Rewrite one line of output through IPython's display handle.

    Unlike a widget it survives in a stored notebook, and unlike carriage returns
    it leaves one line behind, not hundreds.
    """

    def __init__(self, total, description):
        """Show an empty bar of `total` steps."""
        from IPython import display

        self._make = display.Pretty
        self.total, self.description, self.done = total, description, 0
        self.started = self.drawn = time.monotonic()
        self._handle = display.display(self._line(), display_id=True)

    def update(self, steps=1):
        """Count `steps` more and redraw, a few times a second at most."""
        self.done += steps
        now = time.monotonic()
        if now - self.drawn > SECONDS_BETWEEN:
            self.drawn = now
            self._handle.update(self._line())

    def close(self):
        """Draw the last state."""
        self._handle.update(self._line())

    def _line(self):
        full = round(WIDTH * self.done / max(self.total, 1))
        bar = "█" * full + "░" * (WIDTH - full)
        seconds = time.monotonic() - self.started
        text = f"{self.description} {bar} {self.done}/{self.total}, {seconds:.0f} s"

        class Line:
            def __repr__(self):
                return text

        return Line()


def bar(total, description, shown=True):
    """Return a bar with `update(steps)` and `close()`.

    Args:
        total: Number of steps.
        description: What is being counted.
        shown: False returns a bar that draws nothing.

    Returns:
        A `NotebookBar` in a Jupyter kernel, a `tqdm.tqdm` elsewhere.
    """
    if shown and _in_kernel():
        return NotebookBar(total, description)
    return tqdm.tqdm(total=total, desc=description, disable=not shown, leave=False)


def _in_kernel():
    """Say whether this process is a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
