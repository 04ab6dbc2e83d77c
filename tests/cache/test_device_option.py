import click
import pytest
from click.testing import CliRunner

from clip_cfr.cache.device_option import DeviceName


@pytest.mark.parametrize("gpu", ["cuda", "gpu"])
@pytest.mark.parametrize("given", ["auto", "cpu", "gpu", "cuda"])
def test_each_command_takes_both_names_of_a_gpu(gpu, given):
    @click.command()
    @click.option("--device", type=DeviceName(gpu))
    def show(device):
        click.echo(device)

    expected = gpu if given in ("gpu", "cuda") else given
    assert CliRunner().invoke(show, ["--device", given]).output == f"{expected}\n"


def test_an_unknown_device_is_an_error_with_the_names():
    with pytest.raises(click.BadParameter, match="'tpu' is not one of 'auto', 'cpu', 'gpu', 'cud"):
        DeviceName("gpu").convert("tpu", None, None)
