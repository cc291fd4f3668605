"""Settings of all tests."""

from hypothesis import settings

# the same examples in every run, and no failure for a slow machine
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
