"""Signatures of lists: those of OpenSSH, detached, so that ``ssh-keygen -Y verify -n facekit-list`` verifies them too.

Format: PROTOCOL.sshsig of OpenSSH. Keys and passwords are ssh-keygen's affair; facekit sees neither.
"""

from __future__ import annotations

from pathlib import Path

from facekit.jobs.inputs.clean_list import read_list
from facekit.jobs.inputs.signatures import NAMESPACE, run_ssh_keygen, signature_path, ssh_keygen
from facekit.jobs.lists.config import SignConfig
from facekit.output import FileKind, check_files, input_of, open_files
from facekit.output.dry_run import Forecast
from facekit.records.named_inputs import require_text, require_there

__all__ = ["SIGNATURE", "sign"]

SIGNATURE = FileKind("a signature", (b"-----BEGIN SSH SIGNATURE-----",), (".sig",))
SIGNATURE_BYTES = 10_000
SECONDS = Forecast(timed="seconds; whether ssh-keygen takes the key is found when it signs")


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
    require_text(config.key, "a key", "name a private key of SSH, or the public one of a key in ssh-agent")
    read_list(config.path)
    inputs = [input_of(config.path), input_of(config.key, lambda: (config.key,))]
    target = str(signature_path(config.path))
    check_files({target: SIGNATURE}, inputs, config.overwrite)
    program = ssh_keygen()
    with open_files(
        {target: SIGNATURE}, "lists sign", inputs, {}, config.overwrite, SIGNATURE_BYTES, forecast=SECONDS
    ) as output:
        if not output.published:
            words = [program, "-Y", "sign", "-f", config.key, "-n", NAMESPACE]
            said = run_ssh_keygen(words, config.path, f"{config.key} signs nothing", "choose another key")
            output.paths[0].write_bytes(said)
    return Path(target)
