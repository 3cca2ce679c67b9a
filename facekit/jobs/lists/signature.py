"""Signatures of lists: those of OpenSSH, detached, so that ``ssh-keygen -Y verify -n facekit-list`` verifies them too.

Format: PROTOCOL.sshsig of OpenSSH. Keys and passwords are ssh-keygen's affair; facekit sees neither.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.clean_list import read_list
from facekit.jobs.lists.config import SignConfig
from facekit.output import FileKind, check_files, input_of, open_files
from facekit.records.named_inputs import require_there

__all__ = ["NAMESPACE", "SIGNATURE", "sign", "signature_path", "verify"]

NAMESPACE = "facekit-list"
SIGNATURE = FileKind("a signature", (b"-----BEGIN SSH SIGNATURE-----",), (".sig",))


def signature_path(path: str | Path) -> Path:
    """Where the signature of a list lies."""
    return Path(f"{path}.sig")


def sign(config: SignConfig) -> Path:
    """Sign a list.

    Parameters
    ----------
    config : SignConfig

    Returns
    -------
    Path
        The signature, beside the list.

    Raises
    ------
    ConfigError, DestinationExists
        There is no list, no key or no ssh-keygen, or it is signed already.
    FacekitError
        ssh-keygen refuses the key.
    """
    require_there(config.key, "key")
    read_list(config.path)
    inputs = [input_of(config.path), input_of(config.key, lambda: (config.key,))]
    target = str(signature_path(config.path))
    check_files({target: SIGNATURE}, inputs, config.overwrite)
    program = _ssh_keygen()
    with open_files({target: SIGNATURE}, "lists sign", inputs, {}, config.overwrite) as output:
        if not output.published:
            words = [program, "-Y", "sign", "-f", config.key, "-n", NAMESPACE]
            output.paths[0].write_bytes(_run(words, config.path, f"{config.key} signs nothing", "choose another key"))
    return Path(target)


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
    require_there(signature, "signature")
    names = [_ssh_keygen(), "-Y", "find-principals", "-s", str(signature), "-f", allowed_signers]
    cure = f"choose a file of signers that has the key, or do not trust {path}"
    found = _run(names, path, f"{signature} is by nobody in {allowed_signers}", cure)
    who = found.decode("utf-8", "replace").splitlines()[0].strip()
    words = [names[0], "-Y", "verify", "-f", allowed_signers, "-I", who, "-n", NAMESPACE, "-s", str(signature)]
    said = _run(words, path, f"{path} is not what {who} signed", "restore both from where they came")
    key = said.decode("utf-8", "replace").partition(" with ")[2].strip()
    return f"{who} ({key})" if key else who


def _ssh_keygen() -> str:
    found = shutil.which("ssh-keygen")
    if found is None:
        raise ConfigError(
            "signatures are made and verified by ssh-keygen, which is not on this machine: install OpenSSH's client, "
            "or choose another machine; a list works without a signature"
        )
    return found


def _run(words: list[str], path: str, wrong: str, cure: str) -> bytes:
    """Run ssh-keygen on a list, and return what it prints."""
    with open(path, "rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
        raise FacekitError(f"{wrong}: ssh-keygen says {said or f'{done.returncode}'!r}; {cure}")
    return done.stdout
