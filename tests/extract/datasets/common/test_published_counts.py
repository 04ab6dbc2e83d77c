from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.manifest.manifest import make_rows


def test_counts_every_group_of_every_split():
    rows = make_rows("abcde", [0, 0, 1, 1, 1], [0, 1, 1, 1, 2], [0, 0, 0, 0, 2])
    assert count_groups(rows, num_groups=6, num_attributes=3) == {
        "train": [1, 1, 0, 0, 2, 0],
        "val": [0, 0, 0, 0, 0, 0],
        "test": [0, 0, 0, 0, 0, 1],
    }


def test_warns_of_each_part_that_differs():
    found = {"train": [1, 2], "val": [3, 4]}
    assert compare_counts("birds", found, {"train": (1, 2), "val": (3, 5)}) == (
        "birds: val has 3/4 rows, the published counts are 3/5",
    )
    assert compare_counts("birds", found, found) == ()
