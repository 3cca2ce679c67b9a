"""What a signature beside a list says of it. Signatures are OpenSSH's, detached: PROTOCOL.sshsig."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from facekit.errors import ConfigError, FacekitError, WrongInput
from facekit.output import Input, input_of
from facekit.records.named_inputs import describe_path, require_there

__all__ = [
    "NAMESPACE",
    "check_signature",
    "run_ssh_keygen",
    "signature_inputs",
    "signature_path",
    "ssh_keygen",
    "verify",
]

NAMESPACE = "facekit-list"
UNSIGNED = "unsigned"


def signature_path(path: str | Path) -> Path:
    """Where the signature of a list lies."""
    return Path(f"{path}.sig")


def signature_inputs(path: str, allowed_signers: str | None) -> list[Input]:
    """What is read to check a signature, for the output room; `check_signature` says what is missing."""
    files = [str(signature_path(path)), *([] if allowed_signers is None else [allowed_signers])]
    return [input_of(file) for file in files if os.path.lexists(file)]


def check_signature(path: str, allowed_signers: str | None = None) -> str:
    """Refuse a list with a bad signature.

    Parameters
    ----------
    path : str
        The list.
    allowed_signers : str, optional
        A file of them, as ssh-keygen(1) has it: one of these must have signed. Without it a signature has to be that of
        the list, by whatever key.

    Returns
    -------
    str
        What is known, in words that follow "the list is": unsigned, or signed by whom or with which key.

    Raises
    ------
    ConfigError
        Signers are named, and there is no such file, no signature or no ssh-keygen.
    FacekitError
        The signature is not of this list, or by none of the signers.
    """
    if allowed_signers is not None:
        return f"signed by {verify(path, allowed_signers)}"
    signature = signature_path(path)
    if not os.path.lexists(signature):
        return UNSIGNED
    if shutil.which("ssh-keygen") is None:
        return "signed, which was not verified: ssh-keygen is not on this machine"
    words = [ssh_keygen(), "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)]
    said = run_ssh_keygen(
        words, path, f"{path} is not what {signature} signs", "restore both from where they came, or do not trust them"
    )
    key = said.decode("utf-8", "replace").partition(" with ")[2].strip()
    return f"signed with {key}; --allowed-signers FILE verifies whose that is"


def verify(path: str, allowed_signers: str) -> str:
    """Who signed a list.

    Parameters
    ----------
    path : str
        The list, with its signature beside it.
    allowed_signers : str
        Lines of PRINCIPAL KEY, as ssh-keygen(1) has them.

    Returns
    -------
    str
        The principal, and the key that signed.

    Raises
    ------
    ConfigError
        A file is missing, or ssh-keygen.
    FacekitError
        The key is nobody's of those, or the list is not what was signed.
    """
    signature = signature_path(path)
    require_there(path, "list")
    require_there(allowed_signers, "file of allowed signers")
    _refuse_other_kind(allowed_signers, "a file of allowed signers", "with a line NAME KEY for each")
    require_there(signature, "signature")
    names = [ssh_keygen(), "-Y", "find-principals", "-s", str(signature), "-f", allowed_signers]
    cure = f"choose a file of signers that has the key, or do not trust {path}"
    found = run_ssh_keygen(names, path, f"{signature} is by nobody in {allowed_signers}", cure)
    who = found.decode("utf-8", "replace").splitlines()[0].strip()
    words = [names[0], "-Y", "verify", "-f", allowed_signers, "-I", who, "-n", NAMESPACE, "-s", str(signature)]
    said = run_ssh_keygen(words, path, f"{path} is not what {who} signed", "restore both from where they came")
    key = said.decode("utf-8", "replace").partition(" with ")[2].strip()
    return f"{who} ({key})" if key else who


def _refuse_other_kind(path: str, what: str, cure: str) -> None:
    found = describe_path(path)
    if found not in ("a text file", "an empty file"):
        raise WrongInput(f"it is {found}, not {what}: name a text file {cure}", path)


def ssh_keygen() -> str:
    """Where the program is that makes and verifies signatures."""
    found = shutil.which("ssh-keygen")
    if found is None:
        raise ConfigError(
            "signatures are made and verified by ssh-keygen, which is not on this machine: install OpenSSH's client, "
            "or choose another machine; a list works without a signature"
        )
    return found


def run_ssh_keygen(words: list[str], path: str, wrong: str, cure: str) -> bytes:
    """Run ssh-keygen on a list, and return what it prints."""
    with open(path, "rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
        raise FacekitError(f"{wrong}: ssh-keygen says {said or f'{done.returncode}'!r}; {cure}")
    return done.stdout
