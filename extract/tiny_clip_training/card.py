"""Template of the tiny CLIP's model card."""

CARD = """\
---
library_name: transformers
pipeline_tag: zero-shot-image-classification
license: mit
---

# A tiny CLIP of coloured handwritten digits

A transformers `CLIPModel` with {num_parameters:,} parameters for pictures of 32 x 32 pixels, and a
`CLIPTokenizer` with {num_tokens} tokens: the words of its captions, and all bytes. It knows ten
digits and five colours ({colours}), and nothing else.

**Intended use.** The demo and the tests of this project, which need a real CLIP that is small and
needs no network. Results obtained with it show that the code works, not how good a method is.

## Training

- Command: `python -m clip_cfr.extract.tiny_clip_training.train --seed {seed} --steps {num_steps}`.
  It took {seconds:.0f} seconds on one CPU core with torch {torch}; the same command on the same
  machine gives the same weights.
- Data: {num_digits} of the 1,797 digits of scikit-learn, a fixed selection
  (`clip_cfr.extract.datasets.digits.handwritten.divide_digits`). Rotation, scale, shift and colour
  are drawn again for every batch. Colours are drawn uniformly, so digit and colour are independent.
  The other {num_held_out} digits are held out, and the data set `digits` consists of these alone.
- Captions: digit, colour or both ("red three", "digit three in red"), in plain words or in one of
  CLIP's prompt templates for ImageNet.
- Loss: CLIP's symmetric loss, in which every caption that is true of a picture is a positive.
  {num_steps} steps with batches of {batch_size}; AdamW with peak learning rate {learning_rate}.

## Evaluation

Zero-shot accuracy over the ten digits is **{accuracy:.3f}**, on one picture of each of the
{num_held_out} held-out digits in random colours, with the prompts {prompts}.

It is worse at the two classes of the data set `digits`, zero to four and five to nine: the mean of
the text embeddings of five digits describes such a class only roughly. The zero-shot column of
`python cli.py demo` shows the result. Loss and number of steps were chosen by the accuracy on the
held-out digits, so no number here is from untouched data.

## Licence

The weights are under the project's licence (MIT). The digits are the test set of *Optical
Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998, as shipped with scikit-learn, under CC BY 4.0.
"""
