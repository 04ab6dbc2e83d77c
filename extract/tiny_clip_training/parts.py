"""The parts of the tiny CLIP before training: tokenizer, image processor, network."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from clip_cfr.extract.datasets.digits.rendering import SIDE

LONGEST_TEXT = 77
WORD_END = "</w>"


def make_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """A tokenizer with one token for each word of the texts; other words fall into bytes."""
    split = CLIPTokenizer().backend_tokenizer.pre_tokenizer.pre_tokenize_str
    merges = learn_merges({word for text in texts for word, _ in split(text)})
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges)]
    # The end token comes last, as in CLIP: transformers pools at the highest number where the
    # configuration names the old end token, 2, and at the end token otherwise.
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(numbers, merges, model_max_length=LONGEST_TEXT)


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """The byte pair merges, in their order, that make each word one token.

    The trainer of tokenizers breaks ties by a hash, so that its merges differ from run to run.
    """
    merges = []
    pieces = [[*word[:-1], word[-1] + WORD_END] for word in words]
    while pairs := Counter(pair for word in pieces for pair in pairwise(word)):
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        pieces = [merged(word, merges[-1]) for word in pieces]
    return merges


def merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces of a word, with each occurrence of the pair made one."""
    done: list[str] = []
    for piece in pieces:
        if done and (done[-1], piece) == pair:
            done[-1] += piece
        else:
            done.append(piece)
    return done


def make_processor() -> CLIPImageProcessorPil:
    """An image processor whose pixels go from -1 to 1."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def make_network(tokenizer: CLIPTokenizer) -> CLIPModel:
    """A CLIP of under half a million weights, all of them random."""
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": LONGEST_TEXT,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    vision = {
        "image_size": SIDE,
        "patch_size": 8,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))
