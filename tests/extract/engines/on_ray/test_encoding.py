"""The actor of a cluster, called here as an ordinary class."""

import os
import socket

import numpy as np
import pytest
import torch

from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.on_ray.encoding import EncodingActor
from clip_cfr.extract.errors import ExtractError


@pytest.fixture
def actor(small_clip) -> EncodingActor:
    return EncodingActor(EncoderSpec(str(small_clip), device="cpu"), os.getcwd())


@pytest.fixture
def pixels() -> np.ndarray:
    found = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    found.flags.writeable = False
    return found


def test_it_encodes_as_the_encoder_does(actor, pixels, encoder):
    info = actor.describe()
    assert info.preprocessing == encoder.preprocessing
    assert (info.dim, info.device) == (encoder.dim, encoder.device)
    assert info.provenance == encoder.provenance()
    features, size, messages = actor.encode(pixels, 8, info.provenance)
    np.testing.assert_array_equal(features, encoder.encode(torch.tensor(pixels)))
    assert (size, messages) == (8, [])


def test_an_encoder_of_another_provenance_is_an_error(actor, pixels):
    expected = actor.provenance | {"device": "cuda (Z)"}
    with pytest.raises(ExtractError) as caught:
        actor.encode(pixels, 8, expected)
    host, device = socket.gethostname(), actor.provenance["device"]
    assert str(caught.value) == (
        f"the encoder on {host} differs from the first one of this job: "
        f'device was "cuda (Z)", now "{device}"; all features of a file must come from one kind of '
        "device and one set of versions: use Ray nodes of one kind"
    )


def test_a_model_that_a_host_does_not_have_is_an_error_that_names_the_host(tmp_path):
    spec = EncoderSpec(str(tmp_path / "clip"), device="cpu")
    with pytest.raises(ExtractError) as caught:
        EncodingActor(spec, str(tmp_path)).describe()
    assert str(caught.value).startswith(f"model {spec.model}: there is no such folder or file; ")
    assert str(caught.value).endswith(
        f"(reported by {socket.gethostname()}: every node of a Ray cluster must reach the model)"
    )
