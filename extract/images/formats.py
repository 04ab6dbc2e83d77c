"""Pillow's formats and limits, and the optional readers of other formats."""

import warnings

from PIL import Image, PngImagePlugin

# Without this list Pillow also tries formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
HEIF = "HEIF"
# Decompressed size of one text or colour profile of a PNG file, and of all its texts. Pillow's own
# limit of 1 MB refuses sound images: a printer's profile takes several MB.
MAX_TEXT_BYTES, MAX_TEXTS_BYTES = 64 << 20, 256 << 20

# Warning filters are global to the process: set them once, never inside a thread. Pillow only warns
# of a decompression bomb between its limit and twice its limit; here every image above the limit is
# an error. Pillow's other warnings, such as those about odd EXIF entries, do not affect the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)
PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT_BYTES
PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXTS_BYTES


def limit_pixels(max_pixels: int) -> None:
    """Make Pillow refuse images of more than `max_pixels` pixels, in the whole process."""
    if max_pixels != Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def register_heif() -> None:
    """Let Pillow read HEIF images, in the whole process.

    Raises:
        ModuleNotFoundError: pillow-heif is not installed.
    """
    import pillow_heif

    if HEIF not in Image.OPEN:
        pillow_heif.register_heif_opener()
