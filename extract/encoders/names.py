"""Explain model names in the spelling of another library."""

import re

from clip_cfr.extract.encoders.checkpoints.published import PublishedClip, find_published

OPEN_CLIP = re.compile(r"^open[-_ ]?clip(_torch)?[:/]+", re.IGNORECASE)
HUB_URL = re.compile(r"^(?:hf:/|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co))/([^/]+/[^/]+)")
# First letters of the names of open_clip's architectures.
ARCHITECTURE = re.compile(
    r"^(vit|rn\d|eva\d|convnext|coca|roberta-vit|xlm-roberta|nllb-clip|mt5-xl|mobileclip|pe-core"
    r"|vitamin|swin_|timm-)",
    re.IGNORECASE,
)


def explain_name(name: str) -> str | None:
    """Return a clause on a name in another library's spelling, with the name to use here.

    It continues `model M: `; for `hf-hub:ORG/NAME`, it names open_clip and
    `open-clip:hf-hub:ORG/NAME`. None stands for a name that is none of those, or is right as it is.
    """
    if name.startswith("hf-hub:"):
        repository = name.removeprefix("hf-hub:")
        return (
            f"hf-hub: is the spelling of open_clip; write open-clip:{name} for a model of "
            f"open_clip, or {repository} for one of transformers"
        )
    if name.startswith("local-dir:"):
        folder = name.removeprefix("local-dir:")
        return f"local-dir: is the spelling of open_clip; write open-clip:{folder}"
    if prefix := OPEN_CLIP.match(name):
        rest = name[prefix.end() :]
        return f"names of open_clip's models begin with open-clip: here; write open-clip:{rest}"
    if url := HUB_URL.match(name):
        return f"a URL of the hub; write the name of the model alone, {url.group(1)}"
    clip = find_published(name)
    return describe_spelling(clip) if clip and name != clip.hub_id else None


def guess_meaning(name: str) -> str | None:
    """Return a clause on a name that no hub has, if it begins like an architecture of open_clip.

    Otherwise None.
    """
    if ARCHITECTURE.match(name):
        form = name if "/" in name else f"{name}/TAG"
        return (
            f"it looks like a model of open_clip: write open-clip:{form}, or the hub id "
            "ORG/NAME of a transformers CLIP"
        )
    return None


def describe_spelling(clip: PublishedClip) -> str:
    """Return a clause that a name is another library's spelling of a published CLIP.

    It lists the names to use here, the hub id if there is one, and that with open_clip: `another
    library's spelling of RN50; write open-clip:RN50/openai (open_clip)`.
    """
    transformers = f"{clip.hub_id} (transformers) or " if clip.hub_id else ""
    return (
        f"another library's spelling of {clip.architecture}; write "
        f"{transformers}{clip.open_clip_name} (open_clip)"
    )
