"""The plots of a training, as PNG files."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.data import Arrays

_SIZE = (6.4, 4.2)  # inches, at 150 dots each


def draw(history: Arrays, folder: Path) -> None:
    """Draw a history's data, predictions before and after training, and loss, into `folder`.

    `history` has float32 [n] arrays `x`, `y`, `truth`, `before` and `after`, and `losses` [epochs].
    """
    _curves(folder / "data.png", history, "Data", {})
    _curves(folder / "before.png", history, "Before training", {"Predictions": history["before"]})
    _curves(folder / "after.png", history, "After training", {"Predictions": history["after"]})
    _loss(folder / "loss.png", history["losses"])


def _curves(path: Path, history: Arrays, title: str, predictions: Arrays) -> None:
    figure, axes = _axes(title, "x", "y")
    axes.plot(history["x"], history["y"], ".", color="tab:blue", alpha=0.6, label="Data")
    axes.plot(history["x"], history["truth"], color="tab:green", label="Ground truth")
    for label, values in predictions.items():
        axes.plot(history["x"], values, "--", color="tab:red", linewidth=2, label=label)
    _save(figure, axes, path)


def _loss(path: Path, losses: Any) -> None:
    figure, axes = _axes("Training progress", "Epoch", "Mean squared error")
    axes.plot(losses, color="tab:blue", label="Loss")
    axes.axhline(1.0, color="tab:gray", linestyle=":", label="Variance of the noise")
    axes.set_ylim(bottom=0)
    _save(figure, axes, path)


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, dpi=150, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.legend()
    # matplotlib writes its own version into the file, and nothing else that changes.
    figure.savefig(path)
