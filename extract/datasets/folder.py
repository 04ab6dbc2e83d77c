"""A folder of your own images, with a list of them or with folders that are classes.

Layouts of the root:

    metadata.csv, a.jpg, b/c.png        a list: filename,label[,attribute][,split][,subject]. It may
                                        have another name and form (see `tables.read_table`), be
                                        given by --metadata, or be in several folders, with paths
                                        relative to its folder (Hugging Face)
    train/cat/a.jpg, test/dog/b.jpg     folders of splits, in them folders of classes
    cat/a.jpg, dog/b.jpg                folders of classes; splits are drawn
"""

from dataclasses import replace
from pathlib import Path

from clip_cfr.extract.datasets.common.class_folders import read_class_folders
from clip_cfr.extract.datasets.common.find_files import require_folder
from clip_cfr.extract.datasets.common.find_list import (
    FoundList,
    find_list,
    find_list_below,
    list_files,
    read_given_list,
)
from clip_cfr.extract.datasets.common.metadata_manifest import LIST_OPTIONS, make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.roles import LABEL
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata", *LIST_OPTIONS)
EXPECTED = "your images, in folders of classes or with a list of filename,label[,attribute][,split]"


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read the images of a folder that a list or the names of folders describe.

    A list comes first; folders of classes are used without a list, or if it has no labels. See
    `read_list` for the order.

    Raises:
        ExtractError: there is no list and no folder of a class, an image is missing, or the list is
            not valid.
        OptionError: an option does not fit the list.
    """
    require_folder(root, EXPECTED)
    found = read_list(root, options)
    manifest = make_manifest(found.table, dataset="folder", root=root, options=options).manifest
    return replace(manifest, warnings=(*found.warnings, *manifest.warnings))


def read_list(root: Path, options: DatasetOptions) -> FoundList:
    """Return the list of images of a root, and warnings.

    It is the first of these that exists: the list `options.metadata`; the list in the root (see
    `find_list`); the list that the folders of classes make; the only list in the folders directly
    below.

    Raises:
        ExtractError: no such list exists, or a list is not valid.
    """
    if options.metadata is not None:
        return FoundList(read_given_list(root, options.metadata, options.columns))
    found = find_list(root, options.columns)
    if found is not None:
        return found if found.table.find_candidates(LABEL) else take_labels_of_folders(root, found)
    found = read_class_folders(root) or find_list_below(root, options.columns)
    if found is not None:
        return found
    files = list_files(root)
    if len(files) == 1:
        # Its columns are not those of a list: let the error say so.
        return FoundList(read_given_list(root, files[0], options.columns))
    names = ", ".join(path.name for path in files)
    raise ExtractError(
        f"{root} has neither a list nor folders of classes, such as train/cat/ or cat/"
        f"{f' ({names} have no columns of image names and labels)' if names else ''}; set --root "
        f"to a folder that contains {EXPECTED}, or --metadata to the list"
    )


def take_labels_of_folders(root: Path, found: FoundList) -> FoundList:
    """Return the list that the folders of classes make, with a warning, instead of the found one.

    The found list, which has no labels, is returned unchanged if there are no such folders. Its
    other columns are not used otherwise.

    Args:
        root: root folder.
        found: a list without a column of labels.
    """
    by_folders = read_class_folders(root)
    if by_folders is None:
        return found
    warning = f"folder: {found.table.path} has no column label; using folders as classes"
    return replace(by_folders, warnings=(warning, *by_folders.warnings))
