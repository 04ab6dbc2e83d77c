"""The orientation of an image in its EXIF data."""

from PIL import ExifTags, Image

# What turns an image of each EXIF orientation upright.
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_transpose(image: Image.Image) -> Image.Transpose | None:
    """Return what turns a loaded image upright, or None if it is upright.

    Raises:
        ValueError: the EXIF data cannot be read.
    """
    try:
        return TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    # Pillow lets through whatever its parser raises: SyntaxError, struct.error, TypeError and more.
    except Exception as error:
        raise ValueError("the EXIF data cannot be read") from error
