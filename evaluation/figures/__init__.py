"""Figures: one module a kind; all are drawn on :mod:`evaluation.figures.canvas`, maps by :mod:`lagrangian.chart`."""
