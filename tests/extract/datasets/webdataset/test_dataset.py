import io
import pickle
import tarfile
from functools import partial
from pathlib import Path

import pytest

from clip_cfr.extract.errors import OptionError
from tests.extract.datasets import loading
from tests.extract.datasets.webdataset.tars import make_link, make_samples, write_tar

load = partial(loading.load, "webdataset")
load_error = partial(loading.load_error, "webdataset")


@pytest.fixture
def root(tmp_path: Path, jpeg: bytes) -> Path:
    """Two archives of six samples."""
    for shard in range(2):
        write_tar(tmp_path / f"{shard:05d}.tar", make_samples(jpeg, 6, 6 * shard))
        (tmp_path / f"{shard:05d}_stats.json").write_text("{}")
    return tmp_path


def test_reads_archives_as_img2dataset_writes_them(root: Path, jpeg: bytes):
    manifest = load(root)
    assert manifest.dataset == "webdataset"
    assert manifest.rows.ids == tuple(f"{number:06d}" for number in range(12))
    assert manifest.class_names == ("cat", "dog")
    assert manifest.attribute_names == ("indoors", "outdoors")
    assert manifest.rows.labels.tolist() == [0, 1] * 6
    assert manifest.rows.attributes.tolist() == [0, 0, 1, 1] * 3
    assert manifest.rows.splits.tolist() == [0, 1, 2] * 4
    assert manifest.warnings == ()
    images = pickle.loads(pickle.dumps(manifest.images))
    assert [images.read(row) for row in range(12)] == [jpeg + row.to_bytes(4) for row in range(12)]


@pytest.mark.parametrize("pattern", ["{00000..00001}.tar", "*.tar", "0000?.tar"])
def test_a_pattern_gives_the_same_manifest(root: Path, pattern: str):
    assert load(root / pattern).sha256() == load(root).sha256()


def test_reads_one_archive(root: Path):
    assert load(root / "00001.tar").rows.ids == tuple(f"{number:06d}" for number in range(6, 12))


def test_fields_are_chosen_by_name(root: Path, jpeg: bytes):
    fields = {"meta": {"species": "owl"}, "habitat": "wood", "fold": "train", "label": 3}
    other = {"meta": {"species": "duck"}, "habitat": "lake", "fold": "test", "label": 4}
    members = [("a.png", jpeg), ("a.json", fields), ("b.png", jpeg), ("b.json", other)]
    path = write_tar(root / "own.tar", members)
    columns = {"label": "meta.species", "attribute": "habitat", "split": "fold"}
    manifest = load(path, columns=columns)
    assert manifest.class_names == ("duck", "owl")
    assert manifest.attribute_names == ("lake", "wood")
    assert manifest.rows.splits.tolist() == [0, 2]


def test_reads_files_of_one_value(tmp_path: Path, jpeg: bytes):
    members = [
        *[("0.webp", jpeg), ("0.cls", "1\n"), ("0.place.txt", "sea"), ("0.split", "train")],
        *[("1.webp", jpeg), ("1.cls", "0\n"), ("1.place.txt", "land"), ("1.split", "test")],
    ]
    manifest = load(write_tar(tmp_path / "a.tar", members))
    assert manifest.class_names == ("0", "1")
    assert manifest.rows.labels.tolist() == [1, 0]
    assert manifest.attribute_names == ("land", "sea")
    assert manifest.rows.splits.tolist() == [0, 2]


def test_class_names_may_be_beside_the_archives(tmp_path: Path, jpeg: bytes):
    for split, value in (("train", "0"), ("test", "2")):
        write_tar(tmp_path / split / "0.tar", [("s0.jpg", jpeg), ("s0.cls", value)])
    (tmp_path / "classnames.txt").write_text("airplane\nbird\ncat\n")
    manifest = load(tmp_path)
    assert manifest.class_names == ("airplane", "bird", "cat")
    assert manifest.rows.labels.tolist() == [2, 0]
    assert manifest.rows.splits.tolist() == [2, 0]
    assert manifest.rows.ids == ("test/0/s0", "train/0/s0")


def test_a_text_is_the_label_if_values_repeat(tmp_path: Path, jpeg: bytes):
    members = [(f"{i}.jpg", jpeg) for i in range(6)]
    members += [(f"{i}.txt", ("a cat", "a dog")[i % 2]) for i in range(6)]
    manifest = load(write_tar(tmp_path / "a.tar", members))
    assert manifest.class_names == ("a cat", "a dog")


def test_captions_are_not_labels(tmp_path: Path, jpeg: bytes):
    members = [(f"{i}.jpg", jpeg) for i in range(4)]
    members += [(f"{i}.json", {"url": "http://a.b"}) for i in range(4)]
    members += [(f"{i}.txt", f"caption {i}") for i in range(4)]
    write_tar(tmp_path / "a.tar", members)
    assert load_error(tmp_path) == (
        "ROOT: no field of the samples is called label, and .txt holds 4 different texts for 4 "
        "samples, as captions do; the fields are url, txt: name the one to take with --columns "
        "label=FIELD, or give a list of keys and labels with --metadata"
    )


def test_names_the_fields_if_none_is_the_label(tmp_path: Path, jpeg: bytes):
    write_tar(tmp_path / "a.tar", [("0.jpg", jpeg), ("0.json", {"diagnosis": "x", "age": 3})])
    message = load_error(tmp_path)
    assert message == (
        "ROOT: no field of the samples is called label, the fields are diagnosis, age; name the "
        "one to take with --columns label=FIELD, or give a list of ids and labels with --metadata"
    )


def test_names_a_chosen_field_that_does_not_exist(root: Path):
    assert load_error(root, columns={"label": "diagnosis"}) == (
        "--columns label=diagnosis: ROOT has no such field, found the fields label, place, split, "
        "caption, key, url, width, txt"
    )


def test_labels_come_from_a_list_by_key(root: Path):
    lines = ["000007.jpg,fox,train", "000001,owl,val", "00000/000002,owl,test", "000011,fox,test"]
    (root / "list.csv").write_text("\n".join(["key,label,split", *lines]) + "\n")
    manifest = load(root, metadata=root / "list.csv")
    assert manifest.rows.ids == ("000001", "000002", "000007", "000011")
    assert manifest.rows.labels.tolist() == [1, 1, 0, 0]
    assert manifest.rows.splits.tolist() == [1, 2, 0, 2]
    assert [manifest.images.read(row)[-1] for row in range(4)] == [1, 2, 7, 11]
    assert manifest.warnings == (
        f"{root}/list.csv: left out 8 of 12 samples that the list does not name, the first is "
        "'000000'",
    )
    assert load(root, metadata=Path("list.csv")).sha256() == manifest.sha256()


def test_a_list_may_lack_leading_zeros(root: Path):
    lines = ["7,fox,train", "1,owl,val", "11,fox,test", "000002,owl,test"]
    (root / "list.csv").write_text("\n".join(["key,label,split", *lines]) + "\n")
    manifest = load(root, metadata=root / "list.csv")
    assert manifest.rows.ids == ("000001", "000002", "000007", "000011")
    assert manifest.rows.labels.tolist() == [1, 1, 0, 0]
    assert manifest.warnings[0] == (
        f"{root}/list.csv: 3 of 4 entries lack the leading zeros of the samples: row 2 is '7', "
        "the sample is '000007'"
    )


def test_entries_without_a_sample_are_refused_or_kept_as_not_valid(root: Path):
    lines = ["gone,fox,train", "000001,owl,val", "000003,owl,test"]
    (root / "list.csv").write_text("\n".join(["key,label,split", *lines]) + "\n")
    assert load_error(root, metadata=root / "list.csv") == (
        "ROOT/list.csv, row 2: the sample 'gone' is in none of the 2 archives (1 of 3 samples is "
        "missing); complete the archives, correct --root, shorten the list, or keep their rows as "
        "not valid with --on-error skip"
    )
    manifest = load(root, metadata=root / "list.csv", skip_missing=True)
    assert manifest.rows.ids == ("000001", "000003", "gone")
    with pytest.raises(OSError, match="in none of the archives"):
        manifest.images.read(2)


def test_a_list_of_other_samples_is_refused(root: Path):
    (root / "list.csv").write_text("key,label\nx,owl\ny,fox\n")
    message = load_error(root, metadata=root / "list.csv", skip_missing=True)
    assert message.endswith("correct --root, now ROOT, which hold '000000', or the list")


def test_repeated_keys_get_the_names_of_their_archives(tmp_path: Path, jpeg: bytes):
    for name in ("a", "b"):
        write_tar(tmp_path / f"{name}.tar", [("0.jpg", jpeg), ("0.cls", name)])
    assert load(tmp_path).rows.ids == ("a/0", "b/0")


def test_splits_come_from_the_names_of_archives(tmp_path: Path, jpeg: bytes):
    for number, name in enumerate(("x-test-0", "x-train-0", "x-val-0")):
        write_tar(tmp_path / f"{name}.tar", make_samples(jpeg, 2, 2 * number)[:2])
        write_tar(
            tmp_path / f"{name}.tar", [(f"{number}.jpg", jpeg), (f"{number}.cls", str(number))]
        )
    assert load(tmp_path).rows.splits.tolist() == [2, 0, 1]


def test_a_sample_may_be_spread_over_an_archive(tmp_path: Path, jpeg: bytes):
    members = [("./", tarfile.TarInfo("./")), ("./x/0.jpg", jpeg), ("./x/1.jpg", jpeg)]
    members += [("./x/0.cls", "owl"), ("./x/1.cls", "fox"), ("./x/._0.jpg", b"junk")]
    members[0][1].type = tarfile.DIRTYPE
    manifest = load(write_tar(tmp_path / "a.tar", members))
    assert manifest.rows.ids == ("x/0", "x/1")
    assert manifest.class_names == ("fox", "owl")


def test_samples_with_several_images_need_a_choice(tmp_path: Path, jpeg: bytes):
    members = [("0.jpg", jpeg), ("0.png", jpeg + b"png"), ("0.cls", "1")]
    write_tar(tmp_path / "a.tar", members)
    assert load_error(tmp_path) == (
        "ROOT/a.tar, sample 0: there are 2 images, with the endings jpg, png after the first dot "
        "of the name; choose one with --columns filename=jpg"
    )
    manifest = load(tmp_path, columns={"filename": "png"})
    assert manifest.images.read(0) == jpeg + b"png"
    write_tar(tmp_path / "a.tar", [("0.mask.png", b"mask"), ("0.jpg", jpeg), ("0.cls", "1")])
    assert load(tmp_path).images.read(0) == jpeg


def test_samples_without_an_image_are_left_out(tmp_path: Path, jpeg: bytes):
    path = write_tar(tmp_path / "a.tar", [("0.jpg", jpeg), ("0.cls", "x"), ("1.cls", "y")])
    manifest = load(tmp_path)
    assert manifest.rows.ids == ("0",)
    assert f"{path}: the sample '1' has no image; left out 1 such sample of 2" in manifest.warnings


def test_links_and_other_members_are_unreadable_images(tmp_path: Path, jpeg: bytes):
    members = [("0.jpg", jpeg), make_link("1.jpg", "0.jpg", tarfile.LNKTYPE)]
    members += [make_link("2.jpg", "/etc/passwd"), make_link("3.jpg", "", tarfile.FIFOTYPE)]
    members += [(f"{number}.cls", str(number % 2)) for number in range(4)]
    path = write_tar(tmp_path / "a.tar", members)
    images = load(tmp_path).images
    assert images.read(1) == jpeg
    with pytest.raises(OSError, match=rf"2\.jpg in {path} is a link to /etc/passwd"):
        images.read(2)
    with pytest.raises(OSError, match=r"3\.jpg in .* is not a regular file"):
        images.read(3)


def test_paths_that_lead_out_of_the_archive_are_shortened(tmp_path: Path, jpeg: bytes):
    members = [("../../x/0.jpg", jpeg), ("../../x/0.cls", "a")]
    members += [("/y/1.jpg", jpeg), ("/y/1.cls", "b")]
    path = write_tar(tmp_path / "a.tar", members)
    manifest = load(tmp_path)
    assert manifest.rows.ids == ("x/0", "y/1")
    assert manifest.warnings[0] == (
        f"{path}: the path '../../x/0.jpg' leads out of the archive; ids are without its start"
    )


def test_invalid_json_is_named(tmp_path: Path, jpeg: bytes):
    write_tar(tmp_path / "a.tar", [("0.jpg", jpeg), ("0.json", '{"label": ')])
    message = load_error(tmp_path)
    assert message.startswith("ROOT/a.tar: 0.json is not valid JSON (")
    assert "--metadata" in message
    write_tar(tmp_path / "a.tar", [("0.jpg", jpeg), ("0.json", "[1]")])
    assert 'is a JSON list, expected an object such as {"label": "cat"}' in load_error(tmp_path)


def test_names_the_sample_of_an_invalid_value(root: Path, jpeg: bytes):
    fields = {"label": "cat", "place": "indoors", "split": "spare"}
    write_tar(root / "00002.tar", [("0.jpg", jpeg), ("0.json", fields)])
    assert load_error(root).startswith("ROOT/00002.tar, sample 0: split is 'spare', expected ")


def test_archives_without_images_are_refused(tmp_path: Path):
    write_tar(tmp_path / "a.tar", [("0.mp3", b"x")])
    assert load_error(tmp_path) == (
        "ROOT: no archive holds an image (the first of 1 is ROOT/a.tar); set --root to archives of "
        "images"
    )


def test_rejects_options_of_other_data_sets(root: Path):
    assert load_error(root, OptionError, target="Male") == (
        "webdataset has no option --target; its options are --metadata, --columns, --drop-missing, "
        "--ignore-splits, --split-by, --seed, --class-names, --prompts, --val-fraction"
    )


def test_the_digest_covers_the_archives(root: Path, jpeg: bytes):
    before = load(root).sha256()
    (root / "00001.tar").rename(root / "00002.tar")
    renamed = load(root).sha256()
    members = make_samples(jpeg, 6, 6)
    write_tar(root / "00002.tar", [(members[0][0], jpeg + b"other image"), *members[1:]])
    assert len({before, renamed, load(root).sha256()}) == 3


def test_damage_near_the_start_of_the_first_archive_is_left_out_on_demand(root: Path):
    path = root / "00000.tar"
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"000004.jpg") + 600])
    assert load_error(root).startswith("ROOT/00000.tar is truncated or damaged after 13 members (")
    manifest = load(root, skip_missing=True)
    assert manifest.rows.ids == tuple(f"{number:06d}" for number in (*range(4), *range(6, 12)))
    assert manifest.warnings[0].startswith(f"{path} is truncated or damaged after 13 members (")


def test_an_image_above_the_limit_of_size_is_not_read(tmp_path: Path, jpeg: bytes):
    """Its bytes take no space on disk."""
    header = tarfile.TarInfo("000000.jpg")
    header.size = 200 << 30
    path = tmp_path / "0.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(512 + header.size)
        file.seek(0, 2)
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, content in (("000000.cls", b"a"), ("000001.cls", b"b"), ("000001.jpg", jpeg)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    images = load(tmp_path).images
    assert images.read(1) == jpeg
    with pytest.raises(OSError, match="it has 214,748,364,800 bytes, more than the limit of 1,07"):
        images.read(0)
