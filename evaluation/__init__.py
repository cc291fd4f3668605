"""Scores, diagnostics, figures and the report."""
