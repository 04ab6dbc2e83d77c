"""How the pixels of an image file are stored, where that decides how they are scaled to 8 bits."""

from PIL import Image

# Storage of images whose values Pillow scales to 16 bits by a range that the file declares.
DECLARED_RANGE = "declared range"
# Storage of 16-bit colours of which Pillow gives nothing but the high bytes.
HIGH_BYTES = "high bytes"
# Read as 8-bit colours, grey and alpha give all four bytes.
GREY_AND_ALPHA = "LA;16B"
# Pillow keeps the high byte of 16-bit colours; read with the other byte order, it keeps the low
# byte. A single letter is one plane of a TIFF file.
LOW_BYTE_MODES = {
    **{f"{name};16B": f"{name};16L" for name in ("RGB", "RGBA", "RGBX", *"RGBA")},
    **{f"{name};16L": f"{name};16B" for name in ("RGB", "RGBA", "RGBX", *"RGBA")},
    **{f"{name};16N": f"{name};16B" for name in ("RGB", "RGBA", "RGBX")},
    GREY_AND_ALPHA: "RGBA",
}
PREMULTIPLIED = ("RGBa;16B", "RGBa;16L", "RGBa;16N")
BITS_TAG, PLANES_TAG, SEPARATE = 258, 284, 2
# The bits of a component follow the start of a JPEG 2000 codestream at this distance.
JPEG2000_START, JPEG2000_BITS_OFFSET = b"\xff\x4f\xff\x51", 42
MAX_PPM_VALUE = 65535


def find_storage(image: Image.Image, raw: bytes) -> str:
    """Return how the pixels of an image are stored, before it is loaded.

    Args:
        image: the opened image; the planes of a TIFF file have been named by `name_planes`.
        raw: its encoded file.

    Returns:
        DECLARED_RANGE, HIGH_BYTES, or Pillow's raw mode such as `RGB;16B`; empty if the storage
        does not matter or is unknown.
    """
    if image.format == "JPEG2000":
        return find_jpeg2000_storage(image, raw)
    if not image.tile:
        return ""
    tile = image.tile[0]
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    if image.format == "PPM" and tile.codec_name != "raw":
        if image.mode == "RGB":
            return HIGH_BYTES if arguments[-1] == MAX_PPM_VALUE else ""
        return DECLARED_RANGE
    mode = arguments[0] if isinstance(arguments[0], str) else ""
    # libtiff reads planes in its own way, whatever the mode.
    if mode in PREMULTIPLIED or (tile.codec_name == "libtiff" and has_deep_planes(image)):
        return HIGH_BYTES
    return mode


def find_jpeg2000_storage(image: Image.Image, raw: bytes) -> str:
    """Return how the pixels of a JPEG 2000 image are stored.

    Colours of 16 bits give HIGH_BYTES, and grey of any other depth than 8 or 16 bits
    DECLARED_RANGE; any other image an empty string.
    """
    index = raw.find(JPEG2000_START) + JPEG2000_BITS_OFFSET
    bits = (raw[index] & 0x7F) + 1
    if image.mode.startswith("I"):
        return "" if bits == 16 else DECLARED_RANGE
    return HIGH_BYTES if bits == 16 else ""


def has_deep_planes(image: Image.Image) -> bool:
    """Return whether an image is a TIFF file with a plane of 16 bits for each colour."""
    tags = getattr(image, "tag_v2", {})
    is_separate = tags.get(PLANES_TAG) == SEPARATE and 16 in tags.get(BITS_TAG, ())
    return is_separate and not image.mode.startswith("I")


def name_planes(image: Image.Image) -> None:
    """Name the 16-bit planes of a TIFF file without compression, which Pillow takes for 8 bits.

    The raw modes of the opened image's tiles are changed in place. Other images are left alone.
    """
    if not has_deep_planes(image):
        return
    order = "L" if image.tag_v2.prefix == b"II" else "B"
    image.tile = [
        replace_mode(tile, f"{tile.args[0]};16{order}") if len(tile.args[0]) == 1 else tile
        for tile in image.tile
    ]


def swap_bytes(image: Image.Image) -> None:
    """Change an image's tiles in place, so that it gives the low bytes of its colours when loaded.

    Args:
        image: the opened image, of a storage in LOW_BYTE_MODES.
    """
    image.tile = [replace_mode(tile, LOW_BYTE_MODES[read_mode(tile)]) for tile in image.tile]


def read_mode(tile: tuple) -> str:
    """Return the raw mode of a tile of Pillow, such as `RGB;16B`."""
    return tile.args[0] if isinstance(tile.args, tuple) else tile.args


def replace_mode(tile: tuple, mode: str) -> tuple:
    """Return a copy of a tile of Pillow with another raw mode."""
    arguments = (mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode
    return tile._replace(args=arguments)
