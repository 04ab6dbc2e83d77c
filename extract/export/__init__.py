"""Export the head of a run: as a CLIP of transformers or open_clip, safetensors or ONNX."""

FORMATS = ("transformers", "open-clip", "safetensors", "onnx")
# Formats that hold a whole CLIP: both towers, with the head as the projection of images.
CLIP_FORMATS = FORMATS[:2]
