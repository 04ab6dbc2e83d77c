"""The untrained parts of the tiny CLIP: tokenizer, image processor and network."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from clip_cfr.extract.datasets.digits.rendering import SIDE

MAX_TEXT_TOKENS = 77
WORD_END = "</w>"


def make_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """Return a tokenizer with one token per word of the texts; it splits other words into bytes.

    The bytes come first, then the parts and words of the texts, then the start and the end token.
    """
    split = CLIPTokenizer().backend_tokenizer.pre_tokenizer.pre_tokenize_str
    merges = learn_merges({word for text in texts for word, _ in split(text)})
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges)]
    # The end token comes last, as in CLIP. transformers pools at the end token, or at the token of
    # highest index if the configuration has the old end token, 2: here both are the same.
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocabulary, merges, model_max_length=MAX_TEXT_TOKENS)


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return the byte-pair merges, in order, that turn each word into one token.

    Each merge is the most frequent pair, of several the last in alphabetical order: the trainer of
    the library tokenizers breaks ties by hash, so its merges differ between runs.
    """
    merges = []
    pieces = [[*word[:-1], word[-1] + WORD_END] for word in words]
    while pairs := Counter(pair for word in pieces for pair in pairwise(word)):
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        pieces = [merge_pair(word, merges[-1]) for word in pieces]
    return merges


def merge_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """Return the pieces of a word with each occurrence of the pair merged, from left to right."""
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def make_processor() -> CLIPImageProcessorPil:
    """Return an image processor for pictures of 32 x 32 pixels that scales pixels to [-1, 1]."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def make_network(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Return a CLIP with random weights and fewer than half a million parameters.

    It takes the tokens of the tokenizer and pictures of 32 x 32 pixels; features have 96 numbers
    and embeddings 64. The weights are drawn from torch's global generator.
    """
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": MAX_TEXT_TOKENS,
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
