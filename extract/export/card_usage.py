"""How an export of each format is used, for its model card."""

MEAN_PROMPTS = """\
With the class embeddings that the head was trained with (means over the prompts of each
class), which gives the predictions of the run:

```python
from safetensors.numpy import load_file
"""
TRANSFORMERS = (
    """\
```python
from transformers import pipeline

labels = {labels}
classify = pipeline("zero-shot-image-classification", "FOLDER")
print(classify("image.png", candidate_labels=labels, hypothesis_template="a photo of a {}."))
```

"""
    + MEAN_PROMPTS
    + """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

model = AutoModel.from_pretrained("FOLDER")
processor = AutoImageProcessor.from_pretrained("FOLDER", backend="pil")
classes = torch.tensor(load_file("FOLDER/head.safetensors")["class_embeddings"])
with torch.inference_mode():
    pixels = processor(Image.open("image.png"), return_tensors="pt")
    embedding = model.get_image_features(**pixels).pooler_output
    embedding = torch.nn.functional.normalize(embedding, dim=1)
    print((model.logit_scale.exp() * embedding @ classes.T).softmax(dim=1))
```

The features were computed by the image processor that uses Pillow, hence `backend="pil"`; that of
torchvision resizes images slightly differently."""
)
OPEN_CLIP = (
    MEAN_PROMPTS
    + """\
import open_clip
import torch
from PIL import Image

model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")
classes = torch.tensor(load_file("FOLDER/head.safetensors")["class_embeddings"])
with torch.inference_mode():
    embedding = model.encode_image(preprocess(Image.open("image.png"))[None], normalize=True)
    print((model.logit_scale.exp() * embedding @ classes.T).softmax(dim=1))
```"""
)
SAFETENSORS = """\
`head.safetensors` holds the arrays of the head; its metadata hold the formula that applies them to
pooled image features, before the projection and not normalized, and the class names:

```python
from safetensors import safe_open

with safe_open("FOLDER/head.safetensors", "numpy") as head:
    print(head.metadata()["formula"], head.metadata()["class_names"])
    arrays = {name: head.get_tensor(name) for name in head.keys()}
```"""
ONNX = """\
`model.onnx` takes `pixel_values` (n, 3, side, side) in float32, preprocessed as
`preprocessor_config.json` says, and returns `logits` and `probabilities` (n, classes):

```python
import onnxruntime

session = onnxruntime.InferenceSession("FOLDER/model.onnx")
logits, probabilities = session.run(None, {"pixel_values": pixels})
```"""
USAGE = {
    "transformers": TRANSFORMERS,
    "open-clip": OPEN_CLIP,
    "safetensors": SAFETENSORS,
    "onnx": ONNX,
}
