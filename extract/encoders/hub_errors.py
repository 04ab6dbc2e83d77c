"""Explain why a model cannot be downloaded from the Hugging Face hub."""

import errno

from huggingface_hub import is_offline_mode
from huggingface_hub.errors import (
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REMEDY = (
    "name a local folder of a transformers CLIP with --model, such as the embedded "
    "extract/tiny_clip, or download the model once on a machine that reaches the hub"
)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def explain_hub_error(error: OSError | ValueError) -> str:
    """Return a phrase that says why nothing was downloaded, and what to do."""
    if isinstance(error, HFValidationError):
        return f"cannot be the name of a model on the Hugging Face hub; {REMEDY}"
    if isinstance(error, RevisionNotFoundError):
        return f"the Hugging Face hub has no such revision of it; {REMEDY}"
    if isinstance(error, RepositoryNotFoundError):
        return f"the Hugging Face hub has no such model, or it needs a login; {REMEDY}"
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        where = f" at {error.filename}" if error.filename else ""
        return f"the hub's cache{where} cannot be written: {error.strerror}; see HF_HOME"
    if is_offline_mode():
        return (
            "the hub's local cache has no copy, and HF_HUB_OFFLINE forbids to download one: unset "
            f"it, or set HF_HOME to the cache that has it; or {REMEDY}"
        )
    return f"the Hugging Face hub cannot be reached and its local cache has no copy; {REMEDY}"
