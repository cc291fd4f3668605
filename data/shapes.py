"""Shapes of arrays as types, for the signatures of the functions between rooms. Dimensions of one name are equal in a call.

No command imports this module: signatures name these types under ``TYPE_CHECKING``, and tests/test_data/test_shapes.py holds
calls against them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int16, Int32, Int64, UInt32

#: A field at rho points.
Rho = Float[np.ndarray, "eta xi"]
#: A field at u points: xi_u is xi - 1, on an A-grid xi.
U = Float[np.ndarray, "s eta xi_u"]
#: A field at v points: eta_v is eta - 1, on an A-grid eta.
V = Float[np.ndarray, "s eta_v xi"]
#: A field at rho points of layer centres.
Layers = Float32[np.ndarray, "s eta xi"]
#: A field at rho points of layer interfaces, from the sea floor to the surface.
Interfaces = Float32[np.ndarray, "s+1 eta xi"]

#: Displacements of particles where they crossed levels, km.
Displacements = Float[np.ndarray, "experiment particle level"]
Counts = UInt32[np.ndarray, "experiment level y x"]
Reached = UInt32[np.ndarray, "experiment level"]
#: Probability by bin.
Pdfs = Float[np.ndarray, "*n y x"]
#: A number for each PDF or pair of PDFs.
Scores = Float[np.ndarray, "*n"]

#: Fields on a frame, and the window of the networks cut out of them.
Fields = Float[np.ndarray, "*n y x"]
Windows = Float32[np.ndarray, "*n 100 100"]
Instants = Int[np.ndarray, "lag"]
#: Normalised inputs of a network: a channel is a variable at a lag.
Channels = Float32[np.ndarray, "channel 100 100"]

#: Of particles in the kernel: positions, clocks, speeds; where they are in their way; rows and identities.
Particles = Float64[np.ndarray, "p"]
States = Int32[np.ndarray, "p"]
HalfLayers = Int16[np.ndarray, "p"]
Numbers = Int64[np.ndarray, "p"]
#: xi, eta and time of each crossing.
Crossings = Float64[np.ndarray, "rows level 3"]
