"""Measures 300 images with labels only: the table in docs/groups-in-words.md.

python tests/bench/labels_only.py FOLDER [--draws N]

For each draw, FOLDER/N gets 300 coloured handwritten digits with a list of file and label, and 400
other ones, in equal groups, as a test. Colour agrees with the class in 90 % of the 300; nothing
says so. extract draws the splits, each time others. calibrate then selects by its default, by
worst-class accuracy, and by groups that the colours name in words, or the words that explain
--split train suggests (without a suggestion, by its default). It prints the worst-group accuracy of
heads on the 400, in per cent, as mean and standard deviation over draws, and what calibrate
recommends.
"""

import csv
import json
import subprocess
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from clip_cfr.cache.console import COMMAND_LINE
from clip_cfr.cache.runs.run import read_run
from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten
from clip_cfr.extract.datasets.digits.rendering import render_digit

MODEL = Path(__file__).parents[2] / "extract" / "tiny_clip"
NAMES, COLOURS = ("low digit", "high digit"), ("red", "green")
SELECTION = {"default": (), "worst-class": ("--selection", "worst-class")}
NAMED = {"colours named": ("red digit", "green digit")}
METHODS = ("erm", "cfr")


def main():
    """Run all draws and print the table after each."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    found = defaultdict(list)
    for draw in range(arguments.draws):
        for row, value in measure_draw(arguments.folder / str(draw), draw).items():
            found[row].append(value)
        print_table(found, draw + 1)


def measure_draw(folder, draw):
    """Return the worst-group accuracy of each method, and the recommendation, by selection."""
    render(folder, np.random.RandomState(draw))
    cache, first = folder / "photos.h5", folder / "default"
    common = ("--model", MODEL, "--overwrite", "--out")
    options = ("--dataset", "folder", "--root", folder / "photos", "--seed", draw)
    run("extract", *options, *common, cache)
    found = {}
    for name, options in SELECTION.items():
        found |= measure_run(folder, name, options)
    explained = json.loads(run("explain", "--run", first, "--split", "train", "--json"))
    print(f"draw {draw}: explain suggests", *explained["attributes"], sep=", ", flush=True)
    for name, words in {**NAMED, "words of explain": explained["attributes"]}.items():
        options = [word for each in words for word in ("--attribute", each)]
        found |= measure_run(folder, name, options)
    return found


def measure_run(folder, name, options):
    """Calibrate with some options, and return what `measure_draw` does."""
    out = folder / name.replace(" ", "-")
    run("calibrate", "--cache", folder / "photos.h5", *options, "--out", out, "--overwrite")
    found = {(name, method): 100 * worst_group(folder, out, method) for method in METHODS}
    metrics = read_run(out).metrics
    advice = "ERM or CFR" if metrics["trade"] else metrics["recommendation"]["method"].upper()
    return {**found, (name, "advice"): advice}


def render(folder, rng):
    """Write 300 pictures with a list of labels, and 400 for the test with their group as folder."""
    digits = divide_digits().held_out
    subjects = np.stack([rng.permutation(each) for each in digits])
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(10):
        label = int(number >= 5)
        for index, subject in enumerate(subjects[number][:30]):
            colour = label if index >= 3 else 1 - label
            rows.append((f"{number}-{index}.png", NAMES[label]))
            save(rng, subject, colour, folder / "photos" / rows[-1][0])
        for index, subject in enumerate(subjects[number][30:70]):
            group = folder / "test" / f"{label}-{index % 2}"
            group.mkdir(parents=True, exist_ok=True)
            save(rng, subject, index % 2, group / f"{number}-{index}.png")
    with (folder / "photos" / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "label"), *rows])


def save(rng, subject, colour, path):
    """Render a handwritten digit in a colour."""
    Image.fromarray(render_digit(rng, load_handwritten()[0][subject], COLOURS[colour])).save(path)


def worst_group(folder, out, method):
    """Return the lowest accuracy over the groups of the test, by predict."""
    command = ("predict", "--run", out, "--method", method, "--format", "csv", folder / "test")
    rows = list(csv.DictReader(run(*command).splitlines()))
    right = defaultdict(list)
    for row in rows:
        group = Path(row["image"]).parent.name
        right[group].append(row["class"] == NAMES[int(group[0])])
    return min(map(np.mean, right.values()))


def run(*words):
    """Run a command of this program and return its standard output."""
    words = [*COMMAND_LINE, *map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    return done.stdout


def print_table(found, draws):
    """Print the accuracies by selection and method, and how often each advice was given."""
    print(f"test worst-group accuracy in per cent, {draws} draws")
    for (name, row), values in found.items():
        if row == "advice":
            shown = ", ".join(f"{each} {values.count(each)}" for each in dict.fromkeys(values))
        else:
            shown = f"{np.mean(values):.1f} ± {np.std(values):.1f}"
        print(f"  {name:16} {row:12} {shown}", flush=True)


if __name__ == "__main__":
    main()
