"""The same figures as pictures."""

from pathlib import Path

from userstack.bench.figures import FIGURES, GROWTH
from userstack.bench.report import Summaries
from userstack.errors import SetupError

PICTURES = {
    "bulk": ("bulk_in", "bulk_out", "bulk_both"),
    "cpu": ("cpu_in", "cpu_out", "cpu_both"),
    "connections": ("connections", "connections_64"),
    "round_trip": ("round_trip", "round_trip_p99", "round_trip_one_cpu", "round_trip_one_cpu_p99"),
    "memory": ("kib_per_idle_connection",),
    "flood": ("usual_connect", "flood_connect", "flood_connect_p99"),
}
"""File name, and the figures side by side in it: all of one unit."""


def require() -> None:
    """Make sure that pictures can be drawn, before hours are spent.

    Raises:
        SetupError: matplotlib is missing.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise SetupError("matplotlib is missing: install it with pip install 'userstack[plot]'") from None
    mpl.use("agg")


def draw(summaries: Summaries, directory: Path) -> list[Path]:
    """Draw what there is into PNG files. Returns their paths.

    Raises:
        OSError: the directory cannot be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, figures in PICTURES.items():
        if any(figure in row for row in summaries.values() for figure in figures):
            drawn.append(_bars(summaries, figures, directory / f"{name}.png"))
    if any(f"bulk_{number}" in row for row in summaries.values() for number in GROWTH):
        drawn.append(_growth(summaries, directory / "growth.png"))
    return drawn


def _bars(summaries: Summaries, figures: tuple[str, ...], path: Path) -> Path:
    from matplotlib import pyplot as plt

    rows = {contender: row for contender, row in summaries.items() if any(figure in row for figure in figures)}
    picture, axes = plt.subplots(figsize=(9, 1.5 + 0.3 * len(rows) * len(figures)), layout="constrained")
    thickness = 0.8 / len(figures)
    for place, figure in enumerate(figures):
        shown = [(at, row[figure]) for at, row in enumerate(rows.values()) if figure in row]
        axes.barh(
            [at + place * thickness for at, _ in shown],
            [summary.median for _, summary in shown],
            thickness,
            label=FIGURES[figure].title,
            xerr=[
                [summary.median - summary.low for _, summary in shown],
                [summary.high - summary.median for _, summary in shown],
            ],
        )
    axes.set_yticks([at + 0.4 - thickness / 2 for at in range(len(rows))], list(rows))
    axes.invert_yaxis()
    axes.set_xlabel(FIGURES[figures[0]].unit)
    axes.legend()
    picture.savefig(path)
    plt.close(picture)
    return path


def _growth(summaries: Summaries, path: Path) -> Path:
    from matplotlib import pyplot as plt

    picture, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for contender, row in summaries.items():
        shown = [(number, row[f"bulk_{number}"]) for number in GROWTH if f"bulk_{number}" in row]
        if shown:
            axes.plot([at for at, _ in shown], [summary.median for _, summary in shown], marker="o", label=contender)
    axes.set_xscale("log")
    axes.set_xlabel("established connections, of which at most 100 send")
    axes.set_ylabel("Gbit/s")
    axes.set_ylim(bottom=0)
    axes.legend()
    picture.savefig(path)
    plt.close(picture)
    return path
