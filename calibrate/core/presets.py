"""Presets: settings of the authors' release."""

# Values of the authors' release for the settings that exist here, and what is not reproduced.
PRESETS = {
    "release": {
        "lr": 1e-4,
        "steps": 3700,
        "identification_lr": 1e-4,
        "identification_steps": 4000,
        "erm_lr": 1e-4,
        "erm_steps": 4000,
        "positive": "rps",
        "negative": "nns",
        "temperature": 1.0,
        "holistic": "supcon",
        "holistic_weight": 1.0,
        "alpha": 1.5,
        "cross_entropy": "calibration",
        "init": "clip",
        "selection": "worst-group",
    }
}
NOT_REPRODUCED = {
    "release": "not reproduced from the release: its learning rates and weight decay act on "
    "features and projections as CLIP gives them, here on ones of mean norm 1; it also trains the "
    "text projection, the token embeddings and, for CLIP-ResNet50, the whole attention pool; "
    "dropout acts in evaluation too; its supcon has targets (weight 0.2) and a queue of 1,280 "
    "embeddings; its negatives are rows of the anchor's own class, here they are of other classes"
}
