import pytest

from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

WRONG = [
    ({"num_classes": 1}, "--num-classes is 1, expected a whole number from 2 to 100"),
    ({"num_attributes": 2.0}, "--num-attributes is 2.0, expected a whole number from 2 to 100"),
    ({"correlation": 1.01}, "--correlation is 1.01, expected a number from 0 to 1"),
    ({"correlation": None}, "--correlation is None, expected a number from 0 to 1"),
    ({"val_correlation": -1}, "--val-correlation is -1, expected a number from 0 to 1"),
    ({"test_correlation": "1"}, "--test-correlation is '1', expected a number from 0 to 1"),
    ({"dim": 20_000}, "--dim is 20000, expected a whole number from 4 to 16,384"),
    ({"class_signal": 0}, "--class-signal is 0, expected a number from 0.1 to 20"),
    ({"attribute_signal": float("nan")}, "--attribute-signal is nan, expected a number from 0 to"),
    ({"text_lean": float("inf")}, "--text-lean is inf, expected a number from 0 to 100"),
    ({"label_noise": True}, "--label-noise is True, expected a number from 0 to 1"),
    ({"train_rows": 2_000_000}, "--train-rows is 2000000, expected a whole number from 2 to 1,000"),
    ({"seed": -1}, "--seed is -1, expected a whole number from 0 to 4,294,967,295"),
    (
        {"num_classes": 4, "dim": 5},
        "--dim is 5, expected at least 6: a direction for each of 4 classes and 2 attributes",
    ),
    (
        {"num_classes": 3, "val_rows": 2},
        "--val-rows is 2, expected at least 3, one for each class",
    ),
    (
        {"label_noise": 0.5},
        "--label-noise is 0.5, expected less than 0.5: with 2 classes such labels say nothing",
    ),
]


@pytest.mark.parametrize(("parameters", "message"), WRONG, ids=lambda each: str(each)[:30])
def test_a_wrong_value_names_its_option(parameters, message):
    with pytest.raises(OptionError) as error:
        SyntheticWorld(**parameters)
    assert str(error.value).startswith(message)


def test_val_and_test_have_equal_groups_by_default():
    world = SyntheticWorld(num_attributes=4, correlation=0.9)
    assert world.correlations == (0.9, 0.25, 0.25)
    assert world.to_json()["val_correlation"] == 0.25
    assert SyntheticWorld(test_correlation=0.0).correlations == (0.95, 0.5, 0.0)


def test_the_json_rebuilds_the_world():
    world = SyntheticWorld(num_classes=3, label_noise=0.2, seed=7)
    again = SyntheticWorld(**world.to_json())
    assert again.to_json() == world.to_json()
