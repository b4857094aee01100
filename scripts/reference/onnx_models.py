"""What onnx's checker and onnxruntime say about exported models, for tests/export_onnx.rs.

    python scripts/reference/onnx_models.py answer < questions.json > answers.json

A question has a model, a file of float32 inputs and the shape of one; the answer what comes out for the first alone and for all in one
batch, and the model's metadata.

    python scripts/reference/onnx_models.py make FILE < interface.json

writes a model that nobody trained, twice and three times the mean of the features, with the metadata that `affect predict` goes by.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
options.log_severity_level = 3


def answer(question):
    onnx.checker.check_model(question["model"], full_check=True)
    session = onnxruntime.InferenceSession(question["model"], options, providers=["CPUExecutionProvider"])
    (expected,) = session.get_inputs()
    assert expected.shape[0] == "batch", expected.shape
    inputs = np.fromfile(question["inputs"], np.float32).reshape(-1, *question["shape"])
    run = lambda batch: session.run(None, {expected.name: batch})[0].tolist()
    return {
        "one": run(inputs[:1]),
        "all": run(inputs),
        "inputs": expected.name,
        "metadata": session.get_modelmeta().custom_metadata_map,
    }


def make(path, interface):
    from onnx import TensorProto, helper

    shape = ["n", *json.loads(interface)["shape"]]
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "factors"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor("factors", TensorProto.FLOAT, [1, 2], [2.0, 3.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"affect.interface": interface, "affect.input": "features"})
    onnx.save(model, path)


match sys.argv[1:]:
    case ["answer"]:
        json.dump([answer(question) for question in json.load(sys.stdin)], sys.stdout)
    case ["make", path]:
        make(path, sys.stdin.read())
    case _:
        sys.exit(__doc__)
