"""The model card of an export: README.md with metadata, figures, use and limits."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from clip_cfr.cache.format.schema import Texts
from clip_cfr.extract.export.card_tables import (
    group_cells,
    group_columns,
    markdown,
    percent,
    prompt_cells,
    prompt_columns,
)
from clip_cfr.extract.export.card_usage import USAGE
from clip_cfr.extract.export.group_accuracies import (
    group_accuracies,
    seed_metrics,
    unit_of_groups,
)
from clip_cfr.extract.export.other_prompts import PromptAccuracy
from clip_cfr.extract.export.selected_head import SelectedHead

CARD = "README.md"
LIBRARIES = {"transformers": "transformers", "open-clip": "open_clip", "onnx": "onnx"}
# Prompts of a class in the card; a class may have hundreds.
SHOWN_PROMPTS = 10
LIMITS = """\
- The head was trained to tell the classes above apart on {dataset}. On other data, and with other
  classes, nothing was measured.
- The figures are from images of the same data set. Groups that nobody labelled there may be worse.
- The weights, the licence and the other limits of the base model apply."""


def write_card(
    path: Path,
    head: SelectedHead,
    form: str,
    prompts: Sequence[PromptAccuracy],
    texts: Texts | None,
) -> None:
    """Write the model card.

    Args:
        path: the file to write.
        head: the exported head.
        form: the format of the export.
        prompts: accuracies with other prompts; empty if none were measured.
        texts: class names and prompts of the cache; None if it was not read.
    """
    sections = [
        front_matter(head, form),
        f"# {head.model['model']}, calibrated on {head.run.metrics['dataset']} with {head.method}",
        introduction(head),
        "## Use\n\n" + USAGE[form].replace("{labels}", repr(list(head.class_names))),
        "## Classes\n\n" + list_classes(head, texts),
        f"## Accuracy by {unit_of_groups(head)}\n\n" + describe_groups(head),
        *(["## Other prompts\n\n" + describe_prompts(head, prompts)] if prompts else []),
        "## Limits\n\n" + LIMITS.format(dataset=head.run.metrics["dataset"]),
        "## How it was made\n\n" + describe_origin(head, form),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def front_matter(head: SelectedHead, form: str) -> str:
    """Return the YAML metadata of the card, with its fences.

    `base_model` is given only for a model of the hub, because other names mean nothing there.
    """
    values: dict[str, Any] = {"tags": ["clip", "clip-cfr", "group-robustness"]}
    if form in LIBRARIES:
        values["library_name"] = LIBRARIES[form]
        is_classifier = form == "onnx"
        values["pipeline_tag"] = (
            "image-classification" if is_classifier else "zero-shot-image-classification"
        )
    if head.model.get("revision") and ":" not in head.model["model"]:
        values["base_model"] = head.model["model"]
    return f"---\n{yaml.safe_dump(values, sort_keys=True, allow_unicode=True)}---"


def introduction(head: SelectedHead) -> str:
    """Return the first paragraph: which head this is, and what it is for."""
    recommended = "the recommended head" if head.run.recommended == head.name else "a head"
    return (
        f"This is {recommended} of a clip-cfr run on `{head.run.metrics['dataset']}`, made by the "
        f"method `{head.method}` with seed {head.seed}, for features of `{head.model['model']}`. "
        "It is meant to classify images like those of that data set into the classes below."
    )


def list_classes(head: SelectedHead, texts: Texts | None) -> str:
    """Return the classes as a list, with their prompts if they are known."""
    prompts = texts.class_prompts if texts is not None else ()
    listed = prompts or [()] * len(head.class_names)
    return "\n".join(
        f"- `{name}`" + shown_prompts(each)
        for name, each in zip(head.class_names, listed, strict=True)
    )


def shown_prompts(prompts: Sequence[str]) -> str:
    """Return the first prompts of a class, and how many more there are; empty without prompts."""
    if not prompts:
        return ""
    more = len(prompts) - SHOWN_PROMPTS
    shown = ", ".join(f"`{prompt}`" for prompt in prompts[:SHOWN_PROMPTS])
    return f": {shown}" + (f" and {more} more" if more > 0 else "")


def describe_groups(head: SelectedHead) -> str:
    """Return the accuracy on each group with intervals, and those of the whole split."""
    found, metrics = group_accuracies(head), seed_metrics(head, head.method)
    total, unit = sum(group.count for group in found), unit_of_groups(head)
    table = markdown(group_columns(unit), (group_cells(group, unit) for group in found))
    return (
        f"In per cent, on the test split ({total:,} images): average "
        f"{percent(metrics['average'])}, worst {unit} {percent(metrics['worst_group'])}"
        f"{worst_interval(head)}.\n\n{table}\n\nThe intervals of the table are Clopper-Pearson "
        f"intervals, one {unit} at a time, which take images as independent."
    )


def worst_interval(head: SelectedHead) -> str:
    """Return the run's interval of the worst group on test; empty for all but its first seed."""
    interval = head.run.metrics["methods"][head.method]["test"].get("worst_group_interval")
    if interval is None or head.seed != head.run.config["seeds"][0]:
        return ""
    low, high = map(percent, interval)
    units = {"group": "groups", "class": "classes"}[unit_of_groups(head)]
    return f" (95 % interval of the lowest accuracy over {units}: {low} to {high})"


def describe_prompts(head: SelectedHead, prompts: Sequence[PromptAccuracy]) -> str:
    """Return what calibration does to other prompts, as measured."""
    table = markdown(prompt_columns(unit_of_groups(head)), map(prompt_cells, prompts))
    return (
        "Calibration changes the projection of every image, and so the answer to every prompt. It "
        "was trained against one embedding for each class, the mean over all its prompts. A "
        "single sentence has another embedding: the pipeline of transformers, which uses one "
        "template, is this kind of use. Zero-shot accuracy before -> after calibration, in per "
        f"cent, on the test split; `agreement` is the share of images that get "
        f"the class of the run's head:\n\n{table}\n\nWhere the second number is below the first, "
        "use the base model for such prompts. Embeddings of images from this model cannot be "
        "compared with those of the base model, and nothing here says how it does on classes "
        "that are not listed."
    )


def describe_origin(head: SelectedHead, form: str) -> str:
    """Return the command, the digests and the settings with which the export was made."""
    run, words = head.run, ["--method", head.method, "--seed", str(head.seed), "--format", form]
    command = f"clip-cfr export --run {shlex.quote(str(head.directory))} {shlex.join(words)}"
    facts = {
        "model": head.model["model"],
        "revision": head.model.get("revision"),
        "weights_sha256": head.model.get("weights_sha256"),
        "cache_sha256": run.provenance["cache_sha256"],
        "formula": head.saved.formula,
        "versions": run.provenance["versions"],
        "settings": method_settings(run.config, head.method),
    }
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100)
    return f"```\n{command} --out DIR\n```\n\n```yaml\n{text}```"


def method_settings(config: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the settings that a run fitted a method with, those that it tuned included."""
    return config["settings"] | config.get("tuned_settings", {}).get(method, {})
