"""Explain why a model cannot be downloaded from the Hugging Face hub."""

import errno
import os

from huggingface_hub import is_offline_mode
from huggingface_hub.errors import (
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from clip_cfr.extract.encoders.spec import TINY_CLIP

REMEDY = (
    "name a local folder of a transformers CLIP with --model, such as the embedded "
    f"{TINY_CLIP}, or download the model once on a machine that reaches the hub"
)
NAME_ANOTHER = (
    f"name the folder of a transformers CLIP with --model, such as the embedded {TINY_CLIP}, "
    "or the id of one on the hub"
)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def explain_hub_error(error: OSError | ValueError) -> str:
    """Return a phrase that says why nothing was downloaded, and what to do.

    It distinguishes an impossible name, a missing revision or model, a cache that cannot be
    written, offline mode, and a hub that cannot be reached.
    """
    if isinstance(error, HFValidationError):
        return f"cannot be the name of a model on the Hugging Face hub; {NAME_ANOTHER}"
    if isinstance(error, RevisionNotFoundError):
        return "the Hugging Face hub has no such revision of it; correct --revision"
    if isinstance(error, RepositoryNotFoundError):
        return (
            "the Hugging Face hub has no such model, or only for those who log in: correct the "
            "name, or run `hf auth login`"
        )
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        where = f" at {error.filename}" if error.filename else ""
        return f"the hub's cache{where} cannot be written: {error.strerror}; see HF_HOME"
    if is_offline_mode():
        return (
            f"the hub's local cache has no copy, and {offline_variable()} prevents downloading "
            f"one: unset it, or set HF_HOME to the cache that has it; or {REMEDY}"
        )
    return f"the Hugging Face hub cannot be reached and its local cache has no copy; {REMEDY}"


def explain_incomplete() -> str:
    """Return a phrase on files that may be missing in the hub's local cache only.

    It says to run again where the hub can be reached, with the variable of offline mode unset.
    """
    unset = f", with {offline_variable()} unset" if is_offline_mode() else ""
    return (
        "if the hub has more files of the model, the copy in its local cache is incomplete: run "
        f"again where the hub can be reached{unset}"
    )


def offline_variable() -> str:
    """Return the name of the environment variable that keeps the hub from being contacted.

    It is the first that is set of HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE; HF_HUB_OFFLINE if none
    is.
    """
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name)), names[0])
