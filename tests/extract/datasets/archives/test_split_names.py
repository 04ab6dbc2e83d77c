import pytest

from clip_cfr.extract.datasets.archives.split_names import read_split_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train-00000-of-00002", "test-00000-of-00001"], ["train", "test"]),
        (["train/0", "val/0"], ["train", "val"]),
        (["imagenet-train-000001", "imagenet-val-000000"], ["train", "val"]),
        (["Train_1", "Validation_1", "TEST"], ["Train", "Validation", "TEST"]),
        (["train-0", "test-0", "extra-00000-of-00002"], ["train", "test", "extra"]),
        (["train-0", "train-1"], None),
        (["000000", "000001"], None),
        (["latest-0", "pretrained-0"], None),
    ],
)
def test_reads_the_splits_in_the_names_of_archives(names: list[str], expected: list[str] | None):
    assert read_split_names(names) == expected
