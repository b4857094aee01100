"""Prints, as JSON, what TensorBoard's own reader finds below a folder.

Usage: python read_events.py FOLDER

The runs are found as TensorBoard finds them: every folder with an event file is one. A step that a resumed run took back
is dropped by TensorBoard's accumulator itself.
"""

import io
import json
import math
import sys

from PIL import Image
from tensorboard.backend.event_processing import event_multiplexer
from tensorboard.util import tensor_util


def point(event):
    # JSON has no NaN.
    return [event.step, None if math.isnan(event.value) else event.value, event.wall_time]


def picture(event):
    image = Image.open(io.BytesIO(event.encoded_image_string))
    return {
        "step": event.step,
        "header": [event.width, event.height],
        "size": list(image.size),
        "mode": image.mode,
        "corner": list(image.getpixel((image.size[0] - 1, 0))),
    }


def text(event):
    value = tensor_util.make_ndarray(event.tensor_proto)
    return {"step": event.step, "text": [item.decode("utf-8") for item in value.ravel()]}


def main(folder):
    multiplexer = event_multiplexer.EventMultiplexer(
        size_guidance={"scalars": 0, "tensors": 0, "images": 0}
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
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
