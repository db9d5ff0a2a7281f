"""Curves and bars."""

import numpy as np
from matplotlib import ticker

from registration.show import style


def loss_curve(history, *, x="epoch", y="loss", log=False, size=(5.6, 2.6), alt=None):
    """Plot what training minimised, step by step.

    Args:
        history: One sequence of numbers, a dict of named ones, or an object with
            such a dict as its attribute `history`.
        x: Text of the horizontal axis; the first entry is its 1.
        y: Text of the vertical axis.
        log: Whether the vertical axis is logarithmic.
        size: Inches, width and height.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.

    Raises:
        ValueError: If there is nothing to plot.
    """
    curves = getattr(history, "history", history)
    curves = dict(curves) if hasattr(curves, "items") else {"": curves}
    curves = {k: np.asarray(v, "float64").ravel() for k, v in curves.items()}
    curves = {k: v for k, v in curves.items() if v.size}
    if not curves:
        raise ValueError(f"history should hold numbers. Received: {history!r}")
    picture, axes = style.subplots(1, 1, *size, alt or f"{y} over the {x}s")
    ax = axes[0, 0]
    for name, values in curves.items():
        steps = np.arange(1, values.size + 1)
        window = values.size // 50
        if window < 2:
            ax.plot(steps, values, label=name, marker="." if values.size < 30 else "")
            continue
        (line,) = ax.plot(steps, values, linewidth=0.6, alpha=0.35)
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        ax.plot(steps[window - 1 :], smooth, color=line.get_color(), label=name)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if log:
        ax.set_yscale("log")
    if any(curves):
        ax.legend()
    return picture


def sorted_bars(
    names, *, x="Dice", errors=None, order_by=None, limit=None, alt=None, **series
):
    """Draw one row a structure with a dot for each named series, sorted.

    Args:
        names: One text a structure.
        x: Text of the horizontal axis.
        errors: Optional dict of series name to half-widths of its error bars.
        order_by: Series to sort by; unset, the last.
        limit: Show only this many, spread evenly over the sorted list.
        alt: One sentence that says what the picture shows.
        **series: One value a structure each, such as `before=..., after=...`.

    Returns:
        The figure.

    Raises:
        ValueError: If a series has another length than `names`.
    """
    series = {k: np.asarray(v, "float64") for k, v in series.items()}
    for name, values in series.items():
        if values.shape != (len(names),):
            raise ValueError(
                f"{name} should hold {len(names)} values. Received: {values.shape}"
            )
    if not series:
        raise ValueError("sorted_bars needs a named series. Received: none")
    order = np.argsort(series[order_by or list(series)[-1]])
    if limit is not None and limit < len(order):
        order = order[np.linspace(0, len(order) - 1, limit).round().astype(int)]
    height = np.arange(len(order))
    picture, axes = style.subplots(
        1, 1, 6.4, 0.6 + 0.15 * len(order), alt or f"{x} of each structure, sorted"
    )
    ax = axes[0, 0]
    stack = np.array([values[order] for values in series.values()])
    ax.hlines(height, stack.min(0), stack.max(0), color="0.8", linewidth=1.5)
    markers = "osD^v"
    for i, (name, values) in enumerate(series.items()):
        error = None if not errors or name not in errors else errors[name][order]
        ax.errorbar(
            values[order],
            height,
            xerr=error,
            fmt=markers[i % 5],
            markersize=4,
            elinewidth=0.7,
            label=name.replace("_", " "),
        )
    ax.set_yticks(height, [names[i] for i in order], fontsize=7)
    ax.set_ylim(-0.7, len(order) - 0.3)
    ax.set_xlabel(x)
    ax.legend(loc="lower right")
    return picture
