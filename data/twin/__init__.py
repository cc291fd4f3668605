"""The twin ocean: a quasi-geostrophic ocean at PAP-SO, dynamically consistent from surface to bottom, whose truth is known."""
