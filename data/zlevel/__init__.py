"""Oceans on z-levels: longitude-latitude-depth files (GLORYS, IBI, HYCOM on depths) and NEMO's C-grid."""
