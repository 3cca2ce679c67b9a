"""What every test file shares."""

from __future__ import annotations

import gc
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from clean_packs import Cleaned, DrawnPack

settings.register_profile("facekit", deadline=None, max_examples=50)
settings.load_profile("facekit")

# A script that puts the tests into the background lets them, and every command they start, ignore Ctrl-C: what is
# tested by sending it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def little_is_left() -> Iterator[None]:
    """What a file of tests leaves behind does not slow down those after it.

    Servers must be stopped: a dozen that were only closed took the interpreter from the tests, which ran ten times as
    long. Objects that stay, of compiled code above all, are not looked through again at every collection.
    """
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if "serve_forever" in thread.name]
    assert not left, f"servers that nobody stopped: {left}"
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material beside the checkout; tests that need it skip where there is none."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("shared/ is not here")
    return folder


@pytest.fixture(scope="session")
def drawn_pack(tmp_path_factory: pytest.TempPathFactory) -> DrawnPack:
    """A pack of drawn people to read: whoever changes one makes one of its own."""
    from clean_packs import make_pack

    return make_pack(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def published(drawn_pack: DrawnPack, tmp_path_factory: pytest.TempPathFactory) -> Cleaned:
    """That pack cleaned by the published rules, to read."""
    from clean_packs import Cleaned, clean_drawn

    folder = tmp_path_factory.mktemp("published") / "out"
    return Cleaned(folder, clean_drawn(drawn_pack, folder))


# What tests may miss on a machine, by a word in the reason for which they skip; whether `make test-all` installs it.
WANTED = {"mxnet": ("real mxnet", True), "chromium": ("Chromium", True), "shared/": ("the folder shared/", False)}


def pytest_unconfigure(config: pytest.Config) -> None:
    """After everything else: what a run of the whole suite could not run, and the command that would."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr
    skipped = [report.longrepr[2] for report in reporter.stats.get("skipped", ())] if reporter and whole else []
    if skipped:
        reporter.write_line(not_run(skipped))


def not_run(reasons: list[str]) -> str:
    """One line that says how many tests want what, and how they are run."""
    words = [next((word for word in WANTED if word in reason), reason) for reason in reasons]
    counts = [(WANTED.get(word, (word, False)), count) for word, count in Counter(words).items()]
    said = ", ".join(f"{count} for want of {what}" for (what, _), count in counts)
    cure = " and ".join(what for (what, installed), _ in counts if installed)
    return f"not run: {said}" + (f"; make test-all installs {cure} and runs them" if cure else "")
