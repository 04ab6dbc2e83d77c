"""Imported by the server that workers are forked from, so that they need not import torch."""

import sys

import clip_cfr.extract.images.batches  # noqa: F401
from clip_cfr.extract.images.workers import ignore_broken_connection

# For a worker whose parent ends before `initialize_worker` runs.
sys.excepthook = ignore_broken_connection
