"""What runs in the processes of a cluster, called here as any class."""

import os
import socket

import numpy as np
import pytest
import torch

from clip_cfr.extract.encoders.load import load_encoder
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


def test_it_encodes_as_the_encoder_does(actor, pixels, small_clip):
    encoder = load_encoder(EncoderSpec(str(small_clip), device="cpu"))
    card = actor.card()
    assert (card.view, card.dim, card.device) == (encoder.view, encoder.dim, encoder.device)
    assert card.provenance == encoder.provenance()
    features, size, said = actor.encode(pixels, 8, card.provenance)
    np.testing.assert_array_equal(features, encoder.encode(torch.tensor(pixels)))
    assert (size, said) == (8, [])


def test_an_encoder_of_another_kind_is_refused(actor, pixels):
    expected = actor.provenance | {"device": "cuda (Z)"}
    with pytest.raises(ExtractError) as caught:
        actor.encode(pixels, 8, expected)
    host, device = socket.gethostname(), actor.provenance["device"]
    assert str(caught.value) == (
        f"the encoder on {host} is not like the first one of this job: "
        f'device was "cuda (Z)", now "{device}"; a file holds the features of one kind of device, '
        "with one set of versions: give Ray nodes that are alike"
    )


def test_a_model_that_a_node_does_not_have_is_named_with_the_node(tmp_path):
    spec = EncoderSpec(str(tmp_path / "clip"), device="cpu")
    with pytest.raises(ExtractError) as caught:
        EncodingActor(spec, str(tmp_path)).card()
    assert str(caught.value).startswith(f"model {spec.model} is no local folder, and ")
    assert str(caught.value).endswith(
        f"(so says {socket.gethostname()}: every node of a Ray cluster must reach the model)"
    )
