import numpy as np

from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten


def test_ink_is_in_the_unit_interval():
    inks, numbers = load_handwritten()
    assert (inks.shape, numbers.shape) == ((1797, 8, 8), (1797,))
    assert (inks.min(), inks.max()) == (0, 1)


def test_every_digit_is_on_one_side_of_the_division():
    division = divide_digits()
    indices = np.concatenate([division.tiny_clip, division.held_out.ravel()])
    assert sorted(indices) == list(range(1797))


def test_held_out_rows_show_their_number():
    _, numbers = load_handwritten()
    expected = np.arange(10)[:, None].repeat(97, axis=1)
    np.testing.assert_array_equal(numbers[divide_digits().held_out], expected)


def test_the_division_never_changes():
    """The saved weights of the tiny CLIP depend on it."""
    division = divide_digits()
    first = [1615, 479, 723, 91, 1114, 245, 1115, 1381, 127, 1488]
    assert division.held_out[:, 0].tolist() == first
    assert division.tiny_clip[:5].tolist() == [1205, 1258, 1105, 79, 328]
