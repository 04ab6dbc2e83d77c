"""Compile an image tower with torch.compile.

torch has no public name for the errors of torch.compile. This is the only module that imports the
private one, `torch._dynamo.exc`, to tell "cannot be compiled here" from errors of the model.
"""

import torch

from clip_cfr.extract.errors import ExtractError


class CompiledNetwork:
    """A network that torch.compile compiles in its first call.

    Args:
        network: the network, in evaluation mode.
    """

    def __init__(self, network: torch.nn.Module):
        # The import takes 3 s, so only a compiled network imports it.
        from torch._dynamo.exc import TorchDynamoException

        self.compile_error = TorchDynamoException
        self.compiled = torch.compile(network)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's output.

        Raises:
            ExtractError: torch.compile does not work on this machine.
        """
        try:
            return self.compiled(images)
        except self.compile_error as error:
            first_line = (str(error).splitlines() or [""])[0]
            raise ExtractError(
                f"torch.compile fails here ({type(error).__name__}: {first_line}); it needs a C++ "
                "compiler on a CPU and Triton on a GPU: install that, or leave out --compile"
            ) from error
