"""The model card of the tiny CLIP, with what was measured when it was trained."""

CARD = """\
---
library_name: transformers
pipeline_tag: zero-shot-image-classification
license: mit
---

# A tiny CLIP of coloured handwritten digits

A transformers `CLIPModel` of {num_parameters:,} parameters for pictures of 32 by 32 pixels, with a
`CLIPTokenizer` of {num_tokens} tokens: the words of its captions, and all bytes. It knows ten
digits and five colours ({colours}), and nothing else.

**Intended use.** The demo and the tests of this project, which need a real CLIP that is small and
needs no network. Figures got with it say that the code works, not how well a method does.

## Training

- Command: `python -m extract.tiny_clip_training.train --seed {seed} --steps {num_steps}`. With
  torch {torch} it took {seconds:.0f} seconds of one core of a CPU; the same command on the same
  machine gives the same weights.
- Data: {num_digits} of the 1,797 digits of scikit-learn, a fixed list
  (`extract.coloured_digits.division`), turned, scaled, shifted and coloured anew in every batch.
  Colours are drawn uniformly, so that digit and colour are learnt apart. The other {num_held_out}
  digits were never seen, and the data set `digits` is made of these alone.
- Captions: digit, colour or both ("red three", "digit three in red") in plain words or in one of
  CLIP's templates for ImageNet.
- Loss: CLIP's, in both directions, where every caption that is true of a picture counts as right.
  {num_steps} steps of {batch_size} pictures with AdamW; peak learning rate {learning_rate}.

## Measured

Zero-shot accuracy over the ten digits is **{accuracy:.3f}**, on one picture of each of the
{num_held_out} held-out digits in random colours, with the prompts {prompts}.

That does not make it good at the two classes of the data set `digits`, zero to four and five to
nine: the mean of five digits' text embeddings is a blunt description of a class. The zero-shot
row that `python cli.py demo` prints is what comes of that. The loss and the number of steps were
chosen with the held-out digits in view, so no figure here is one of untouched data.

## Licence

The weights are under the project's licence (MIT). The digits are the test set of *Optical
Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998, as shipped with scikit-learn, under CC BY 4.0.
"""
