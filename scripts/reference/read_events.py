"""Prints, as JSON, what TensorBoard's own reader finds below a folder.

Usage: python read_events.py FOLDER

`runs`: found as TensorBoard finds them, every folder with an event file is one. `hparams`: the rows of that page, as its own
code makes them. A step that a resumed run took back
is dropped by TensorBoard's accumulator itself.
"""

import io
import json
import math
import sys

from google.protobuf import json_format
from PIL import Image
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, event_multiplexer, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups
from tensorboard.util import tensor_util


def number(value):
    # JSON has no NaN.
    return None if math.isnan(value) else value


def point(event):
    return [event.step, number(event.value), event.wall_time]


def picture(event):
    image = Image.open(io.BytesIO(event.encoded_image_string))
    return {
        "step": event.step,
        "header": [event.width, event.height],
        "size": list(image.size),
        "mode": image.mode,
        "corner": list(image.getpixel((image.size[0] - 1, 0))),
    }


def histogram(event):
    value = event.histogram_value
    return {
        "step": event.step,
        "min": value.min,
        "max": value.max,
        "num": value.num,
        "sum": value.sum,
        "sum_squares": value.sum_squares,
        "limits": list(value.bucket_limit),
        "counts": list(value.bucket),
    }


def hparams(folder):
    """What the hparams page shows: the columns, and for each run its row."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(folder)
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, folder)
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    experiment = get_experiment.Handler(request, backend, "", api_pb2.GetExperimentRequest()).run()
    columns = [api_pb2.ColParams(hparam=info.name, include_in_result=True) for info in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    wanted = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=statuses, col_params=columns, start_index=0, slice_size=1000
    )
    rows = list_session_groups.Handler(request, backend, "", wanted).run()
    sessions = {}
    for group in rows.session_groups:
        for session in group.sessions:
            sessions[session.name] = {
                "status": api_pb2.Status.Name(session.status),
                "hparams": {name: json_format.MessageToDict(value) for name, value in group.hparams.items()},
                "metrics": {
                    f"{value.name.group}:{value.name.tag}": [value.training_step, number(value.value)]
                    for value in session.metric_values
                },
            }
    return sessions


def text(event):
    value = tensor_util.make_ndarray(event.tensor_proto)
    return {"step": event.step, "text": [item.decode("utf-8") for item in value.ravel()]}


def main(folder):
    multiplexer = event_multiplexer.EventMultiplexer(
        size_guidance={"scalars": 0, "tensors": 0, "images": 0, "histograms": 0}, purge_orphaned_data=True
    ).AddRunsFromDirectory(folder)
    multiplexer.Reload()
    found = {}
    for run, tags in multiplexer.Runs().items():
        plugin = multiplexer.PluginRunToTagToContent("text").get(run, {})
        found[run] = {
            "scalars": {
                tag: [point(event) for event in multiplexer.Scalars(run, tag)]
                for tag in tags["scalars"]
            },
            "text": {tag: [text(event) for event in multiplexer.Tensors(run, tag)] for tag in plugin},
            "images": {tag: [picture(event) for event in multiplexer.Images(run, tag)] for tag in tags["images"]},
            "histograms": {
                tag: [histogram(event) for event in multiplexer.Histograms(run, tag)] for tag in tags["histograms"]
            },
        }
    json.dump({"runs": found, "hparams": hparams(folder)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
