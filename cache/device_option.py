"""The type of the option --device, which takes the same names in every command."""

import click

GPU_NAMES = ("gpu", "cuda")


class DeviceName(click.Choice):
    """Click type of a device: `auto`, `cpu`, or a GPU as `gpu` or `cuda`.

    Args:
        gpu: the name to which both names of a GPU are converted: torch calls it `cuda`, JAX `gpu`.
    """

    def __init__(self, gpu: str):
        super().__init__(["auto", "cpu", *GPU_NAMES])
        self.gpu = gpu

    def convert(self, value, param, ctx):
        """Return the chosen name; for `gpu` and `cuda` it is the class's argument `gpu`."""
        name = super().convert(value, param, ctx)
        return self.gpu if name in GPU_NAMES else name
