import re
from math import exp, log

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
)

from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS
from clip_cfr.extract.datasets.digits.handwritten import load_handwritten
from clip_cfr.extract.datasets.digits.rendering import COLOURS, render_digit
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import TINY_CLIP, EncoderSpec
from clip_cfr.extract.prompts.templates import TEMPLATES
from clip_cfr.extract.tiny_clip_training.captions import Example, draw_examples, match_captions
from clip_cfr.extract.tiny_clip_training.train import (
    contrastive_loss,
    main,
    make_inputs,
    measure_accuracy,
)

START, END = "<|startoftext|>", "<|endoftext|>"


@pytest.fixture(scope="module")
def tiny_encoder():
    return load_encoder(EncoderSpec(str(TINY_CLIP), device="cpu"))


@pytest.fixture(scope="module")
def network():
    return CLIPModel.from_pretrained(TINY_CLIP).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(TINY_CLIP)


def tokens_of(tokenizer, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


def test_the_folder_is_complete_and_small():
    sizes = {path.name: path.stat().st_size for path in TINY_CLIP.iterdir()}
    assert sorted(sizes) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sum(sizes.values()) <= 2_000_000


def test_it_has_fewer_than_half_a_million_parameters(network):
    assert network.num_parameters() < 500_000


def test_it_classifies_with_plain_transformers(network, tokenizer):
    inks, numbers = load_handwritten()
    rng = np.random.RandomState(0)
    pictures = [render_digit(rng, ink, "red") for ink in inks[:100]]
    pixels = CLIPImageProcessorPil.from_pretrained(TINY_CLIP)(images=pictures, return_tensors="pt")
    texts = [f"a photo of a red {word}." for word in DIGIT_WORDS]
    with torch.inference_mode():
        output = network(**pixels, **tokenizer(texts, padding=True, return_tensors="pt"))
    predicted = output.logits_per_image.argmax(1).numpy()
    assert np.mean(predicted == numbers[:100]) >= 0.9


def test_the_auto_classes_load_the_same_parts(tokenizer):
    assert type(AutoTokenizer.from_pretrained(TINY_CLIP)) is CLIPTokenizer
    processor = AutoImageProcessor.from_pretrained(TINY_CLIP, backend="pil")
    assert type(processor) is CLIPImageProcessorPil


def test_its_held_out_accuracy_is_that_of_its_card(tiny_encoder):
    accuracy = measure_accuracy(tiny_encoder)
    assert accuracy >= 0.9
    stated = re.search(r"\*\*([\d.]+)\*\*", TINY_CLIP.joinpath("README.md").read_text()[-2000:])
    assert accuracy == pytest.approx(float(stated[1]), abs=0.005)


def test_the_text_tower_pools_at_the_first_end_token(network, tokenizer):
    config = network.config.text_config
    assert config.eos_token_id == tokenizer.eos_token_id == len(tokenizer) - 1
    assert config.vocab_size == len(tokenizer)
    tokens = tokenizer(["the digit two", "a photo of a red three."], padding=True)
    ids = torch.tensor(tokens["input_ids"])
    ends = [4, 8]
    assert ids[0].tolist()[ends[0] :] == [tokenizer.eos_token_id] * 5
    with torch.inference_mode():
        output = network.text_model(input_ids=ids)
    assert torch.equal(output.pooler_output, output.last_hidden_state[[0, 1], ends])


def test_padding_does_not_change_an_embedding(tiny_encoder):
    short = "the digit two"
    alone = tiny_encoder.embed_texts([short])
    beside_a_longer = tiny_encoder.embed_texts([short, "a black and white photo of the digit two."])
    np.testing.assert_allclose(beside_a_longer[0], alone[0], atol=1e-6)


def test_each_word_of_captions_and_templates_is_one_token(tokenizer):
    frames = [template.replace("{}", "digit") for template in TEMPLATES["imagenet"]]
    for text in (*frames, *DIGIT_WORDS, *COLOURS, "a digit from zero to four"):
        words = re.findall(r"\w+|[^\w\s]+", text)
        assert tokens_of(tokenizer, text) == [START, *(f"{word}</w>" for word in words), END]


def test_other_words_are_split_into_bytes(tokenizer):
    tokens = tokens_of(tokenizer, "Zürich ☃")
    assert tokens[:3] == [START, "z", "Ã"]
    assert tokens.count(END) == 1
    assert tokenizer.decode(tokenizer("Zürich ☃")["input_ids"][1:-1]) == "zürich ☃"


def test_training_uses_the_pixels_of_the_image_processor(tiny_encoder, tokenizer):
    examples = draw_examples(np.random.RandomState(0), 8)
    apply = tiny_encoder.preprocessing.apply
    pixels = np.stack([apply(Image.fromarray(example.pixels)) for example in examples])
    in_training = make_inputs(tokenizer, examples)["pixel_values"]
    in_extraction = tiny_encoder.tower.normalize(torch.from_numpy(pixels))
    np.testing.assert_allclose(in_training.numpy(), in_extraction.numpy(), atol=1e-6)


def test_a_caption_matches_every_picture_that_it_describes():
    def example(digit: str, colour: str, template: str) -> Example:
        return Example(np.zeros((32, 32, 3), np.uint8), digit, colour, template)

    examples = [
        example("three", "red", "a {colour} {digit}"),
        example("three", "green", "the digit {digit}"),
        example("four", "red", "a {colour} digit"),
        example("four", "blue", "a digit"),
    ]
    assert [each.caption for each in examples] == [
        "a red three",
        "the digit three",
        "a red digit",
        "a digit",
    ]
    assert match_captions(examples).astype(int).tolist() == [
        [1, 1, 1, 1],
        [0, 1, 0, 1],
        [0, 0, 1, 1],
        [0, 0, 0, 1],
    ]


def mean_log_probability(logits: np.ndarray, is_match: np.ndarray) -> float:
    """Return the mean over rows of the mean log-probability of each row's positives, as loops."""
    total = 0.0
    for scores, matches in zip(logits, is_match, strict=True):
        log_sum = log(sum(exp(score) for score in scores))
        positives = [
            score - log_sum
            for score, is_positive in zip(scores, matches, strict=True)
            if is_positive
        ]
        total += sum(positives) / len(positives)
    return total / len(logits)


def test_the_loss_is_the_negative_mean_log_probability_of_positives():
    logits = np.random.default_rng(0).normal(size=(3, 3))
    is_match = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]], bool)
    expected = mean_log_probability(logits, is_match) + mean_log_probability(logits.T, is_match.T)
    loss = contrastive_loss(torch.tensor(logits), torch.tensor(is_match))
    assert loss.item() == pytest.approx(-expected / 2, abs=1e-6)


def test_training_is_deterministic(tmp_path):
    for name in ("first", "second"):
        arguments = ["--out", str(tmp_path / name), "--seed", "3", "--steps", "2"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0
    first, second = tmp_path / "first", tmp_path / "second"
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in TINY_CLIP.iterdir())
    for name in set(names) - {"README.md"}:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    card = (first / "README.md").read_text()
    assert "`python -m clip_cfr.extract.tiny_clip_training.train --seed 3 --steps 2`" in card
