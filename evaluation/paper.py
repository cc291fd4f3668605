"""The paper's scores, to compare with a run's: Picard et al. (2025), Figure 4, read off the figure."""

from __future__ import annotations

DOI = "10.5194/bg-22-4309-2025"
CITATION = "Picard, Baker, Gula, Fablet, Mémery, Lampitt (2025), Biogeosciences 22, 4309"
SPEEDS = (80.0, 100.0, 150.0, 200.0, 300.0)
#: Scores by model at each of :data:`SPEEDS`: smoothed PDFs at 200 m, the test simulation (CROCO at 2 km around PAP-SO).
VALID_PERCENT = {
    "box100": (1, 2, 6, 11, 22), "box200": (10, 13, 19, 21, 20), "sst-ssh": (46, 52, 62, 70, 82),
    "5v-1l": (52, 57, 69, 79, 90), "5v-4l": (76, 88, 96, 98, 99.5),
}  # fmt: skip
OVERLAP_PERCENT = {
    "box100": (10, 12, 15, 19, 26), "box200": (20, 22, 26, 30, 34), "sst-ssh": (41, 43, 49, 54, 62),
    "5v-1l": (43, 46, 54, 59, 69), "5v-4l": (56, 63, 72, 77, 82),
}  # fmt: skip


def found_by_the_paper(model: str, w: float) -> tuple[float, float] | None:
    """(valid %, F %) of the paper for a model and sinking speed (m/d); None where it has neither.

    >>> found_by_the_paper("sst-ssh", 80.0)
    (46, 41)
    """
    if model not in VALID_PERCENT or w not in SPEEDS:
        return None
    place = SPEEDS.index(w)
    return VALID_PERCENT[model][place], OVERLAP_PERCENT[model][place]
