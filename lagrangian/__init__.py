"""Particles: backtracking of sinking particles, crossings, catchment PDFs, their stores and maps."""
