"""What event files hold, as TensorBoard reads them."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

HPARAMS = "_hparams_/session_start_info"


def read_events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def curve(events: EventAccumulator, name: str) -> dict[int, float]:
    """Return the values of a scalar by step."""
    return {each.step: make_ndarray(each.tensor_proto).item() for each in events.Tensors(name)}


def text(events: EventAccumulator) -> str:
    return make_ndarray(events.Tensors("summary")[0].tensor_proto).item().decode()


def parameters(events: EventAccumulator) -> dict[str, object]:
    """Return the hyperparameters of a run by name."""
    data = HParamsPluginData.FromString(
        events.summary_metadata[HPARAMS].plugin_data.content
    ).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in data.items()}
