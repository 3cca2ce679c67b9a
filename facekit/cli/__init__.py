"""The command line: arguments become a frozen config, the config a job, and its result a summary.

One file a command, imported when the command is called. Nothing outside this folder prints or exits.
"""

from __future__ import annotations

import io
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from facekit import __version__
from facekit.cli.logs import log_options, log_to_stderr, say_error, with_log_options
from facekit.cli.streams import prepare_streams
from facekit.errors import ConfigError, FacekitError, RecordError, did_you_mean

__all__ = ["COMMANDS", "main", "program"]

COMMANDS = {
    "mask": "Put worn masks on the faces of a pack.",
    "textures": "List, show and check mask types, custom ones among them.",
    "synth": "Draw a pack of people with everything known about them.",
    "pack": "Make a pack of a folder of people or a list of pictures.",
    "embed": "Turn the faces of a pack into vectors.",
    "clean": "Purify a pack: merge identities, drop wrong faces.",
    "apply": "Apply decisions to a pack, or undo them.",
    "lists": "Lists of decisions that travel without the pictures.",
    "diff": "Compare two sets of decisions.",
    "explain": "Say why an image was kept, moved or dropped.",
    "sweep": "Show what every threshold of Intra-ID would keep.",
    "review": "Look at decisions in a browser and change them.",
    "eval": "Score a model, or the vectors it made.",
    "convert": "Rewrite a pack in another layout, with contiguous labels.",
    "check": "Find every fault of a pack, and save what can be saved.",
    "inspect": "Show what is in a pack.",
    "unpack": "Write the pictures of a pack as files.",
    "merge": "Merge packs into one, with a table of identities.",
    "split": "Split a pack in two, with no identity in both.",
    "passport": "Describe a pack, and find what changed since.",
    "overlap": "Find what two sets of faces share.",
    "cost": "Predict hours, disk and memory of every step for a large pack.",
    "reindex": "Make the index of a pack anew from its records.",
    "bins": "Make verification .bin files, or look into one.",
    "benchmark": "Draw a benchmark, and score recognizers and cleaners on it.",
    "train": "Train a recognizer on a pack.",
    "export": "Turn a trained network into an ONNX file.",
    "plugins": "List the training plugins and their recipes.",
    "selflearn": "Clean a pack and train on it, in rounds.",
    "doctor": "Say what this machine has of what facekit can use.",
}
"""Each command's one line; the command itself is ``facekit.cli.<name>.command``."""

RESUMABLE = ("mask", "synth", "benchmark make", "pack", "unpack", "embed", "selflearn")
"""Commands that keep what is done when they are interrupted."""


class _Commands(click.Group):
    """Lists the commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"facekit.cli.{cmd_name}").command
        return with_log_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], COMMANDS, 1) if args and args[0] not in COMMANDS else []
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, params=log_options())
@click.version_option(__version__, prog_name="facekit")
def program() -> None:
    """Face recognition datasets: worn masks, cleaning, training, on InsightFace RecordIO packs.

    facekit COMMAND --help explains a command and shows an example.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 bad data, 2 bad usage, 130 interrupted."""
    prepare_streams()
    log_to_stderr()
    try:
        with quiet_threads():
            code = program.main(args=arguments, prog_name="facekit", standalone_mode=False)
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        near = nearest_choice(error)
        said = usage.getvalue().rstrip("\n")
        say_error(said.removesuffix(".") + near if near else said)
        sys.exit(error.exit_code)
    except FacekitError as error:
        say_error(f"facekit: {cure_of(error)}{repair_hint(error)}")
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except (KeyboardInterrupt, click.Abort):
        words = sys.argv[1:] if arguments is None else arguments
        say_error(f"facekit: interrupted{resume_hint(words)}")
        sys.exit(130)
    except Exception as error:
        words_of_it = explained(error)
        if words_of_it is None:
            raise
        say_error(f"facekit: {words_of_it}")
        sys.exit(1)
    sys.exit(code or 0)


def nearest_choice(error: click.ClickException) -> str:
    """The end of the refusal of an option's word: the nearest of those allowed, where one is near."""
    if not isinstance(error, click.BadParameter) or error.param is None:
        return ""
    kind = error.param.type
    given = error.message.partition("' is not one of ")[0].removeprefix("'")
    return did_you_mean(given, map(str, kind.choices)) if isinstance(kind, click.Choice) else ""


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Print no traceback of a thread that the system refused something: who waits for it raises that again."""
    before = threading.excepthook

    def hook(ended: threading.ExceptHookArgs) -> None:
        if not isinstance(ended.exc_value, OSError):
            before(ended)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def cure_of(error: FacekitError) -> FacekitError:
    """The error, with what helps where the system refused to read or write a pack."""
    from facekit.output.system import cured

    return (cured(error) if isinstance(error, RecordError) else None) or error


def explained(error: Exception) -> str | None:
    """What the system refused, in words with a cure; None where an error is something else."""
    from facekit.output.system import memory_limit, refusal_in_words, system_refusal

    if isinstance(error, MemoryError):
        return "not enough memory: end other programs, or choose fewer --workers or a smaller --batch"
    refusal = system_refusal(error)
    if refusal is not None:
        return refusal_in_words(refusal, "the system")
    limit = memory_limit()
    if isinstance(error, (ImportError, OSError)) and limit is not None:
        said = " ".join(str(error).split())
        return f"a library cannot be loaded ({said}): memory is limited to {limit} (ulimit -v): raise the limit"
    return None


def repair_hint(error: FacekitError) -> str:
    """A line that names what helps where a pack is damaged; nothing where a file is missing or cannot be read."""
    if not isinstance(error, RecordError) or isinstance(error.__cause__, OSError):
        return ""
    path = Path(error.path)
    rec = path.with_suffix(".rec")
    # A fault without an offset is none of the bytes: a key that the pack does not have.
    if path.suffix not in (".rec", ".idx") or error.offset is None or not rec.is_file():
        return ""
    if "not a RecordIO file" in error.problem:
        return ""  # nothing of it is whole
    return f"\nfacekit check {shlex.quote(str(rec))} --repair DST saves what is whole"


def resume_hint(words: Sequence[str]) -> str:
    """How to go on after an interruption, for the commands that do."""
    name, sub, *_ = [*(word for word in words if not word.startswith("-")), "", ""]
    if name == "train" and "--resume" not in words:
        return "; the same command with --resume goes on from the last checkpoint"
    goes_on = name in (*RESUMABLE, "train") or f"{name} {sub}" in RESUMABLE
    return "; run the same command again to go on from here" if goes_on else ""
