"""The same examples in every run; SSHKIT_FUZZ=1 looks for new ones."""

import os

from hypothesis import settings

settings.register_profile("same", deadline=None, database=None, derandomize=True)
settings.register_profile("new", deadline=None, database=None, max_examples=1000)
settings.load_profile("new" if os.environ.get("SSHKIT_FUZZ") else "same")
