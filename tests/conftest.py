"""Settings of all tests."""

import os

from hypothesis import settings

# a loaded machine is no fault of ours: no deadlines. `HYPOTHESIS_PROFILE=thorough` looks further.
settings.register_profile("quick", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
