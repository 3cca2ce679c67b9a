"""What every test file shares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("facekit", deadline=None, max_examples=50)
settings.load_profile("facekit")

# A script that puts the tests into the background lets them, and every command they start, ignore Ctrl-C: what is
# tested by sending it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material beside the checkout; tests that need it skip where there is none."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("shared/ is not here")
    return folder
