"""Velocities below the surface, learnt from what a satellite sees; the particles are left to the kernel of :mod:`lagrangian`."""
