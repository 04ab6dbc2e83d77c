"""Colored MNIST, made from MNIST's own files by one of two protocols.

Layout of the root, itself or in raw/ or MNIST/raw/ (torchvision), each file with or without .gz:

    train-images-idx3-ubyte, train-labels-idx1-ubyte
    t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte    for five-class only

or train-images.idx3-ubyte and so on, or each file in a folder of its own name (Kaggle). Files with
these names are also found a few folders deeper.
"""

from pathlib import Path

from clip_cfr.extract.datasets.cmnist.five_class import load_five_class
from clip_cfr.extract.datasets.cmnist.subpopbench import load_subpopbench
from clip_cfr.extract.datasets.common.options import DatasetOptions, resolve_choice
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("protocol", "seed")
# Values of --protocol, the default first.
PROTOCOLS = {"subpopbench": load_subpopbench, "five-class": load_five_class}


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read Colored MNIST. The label is a range of digits, the attribute a colour.

    Images stay in memory and are coloured when they are read. `options.protocol` selects the
    classes, colours and splits.

    Raises:
        OptionError: the protocol is unknown.
        ExtractError: a file is missing, damaged or not one of MNIST's.
    """
    protocol = resolve_choice("protocol", options.protocol, tuple(PROTOCOLS))
    return PROTOCOLS[protocol](root, options.seed)
