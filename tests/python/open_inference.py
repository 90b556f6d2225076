"""Asks a server about itself and about a picture with Triton's clients, over HTTP and gRPC, and prints the answers.

Usage: open_inference.py HTTP GRPC MODEL PICTURE SAMPLES HEIGHT WIDTH
"""

import base64
import json
import pathlib
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

http, grpc, model, picture, samples, height, width = sys.argv[1:]
encoded = np.array([pathlib.Path(picture).read_bytes()], dtype=np.object_)
text = np.array([base64.b64encode(encoded[0]).decode()], dtype=np.object_)
pixels = np.fromfile(samples, dtype=np.uint8).reshape(int(height), int(width), 3)


def tensor(protocol, array, **form):
    datatype = "UINT8" if array.dtype == np.uint8 else "BYTES"
    return protocol.InferInput("image", list(array.shape), datatype).set_data_from_numpy(array, **form)


def found(result, outputs):
    def plain(array):
        return [one.decode() if isinstance(one, bytes) else one for one in array.flatten().tolist()]

    return {name: plain(result.as_numpy(name)) for name in outputs}


def about(client):
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model) and client.is_model_ready(model, "1"),
    }


def refusal(client, image):
    try:
        client.infer("nonesuch", [image])
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}


NAMES = ["boxes", "scores", "class_ids", "labels", "masks", "picture_size"]
answers = {}

protocol = tritonclient.http
with protocol.InferenceServerClient(http) as client:
    image = tensor(protocol, encoded)
    chosen = [protocol.InferRequestedOutput(name, binary_data=name != "labels") for name in NAMES]
    as_json = [protocol.InferRequestedOutput(name, binary_data=False) for name in NAMES]
    some = client.infer(
        model,
        [image],
        outputs=[protocol.InferRequestedOutput("labels"), protocol.InferRequestedOutput("scores")],
        request_id="mine",
        parameters={"threshold": 0.5, "max_detections": 3, "classes": "person,bird"},
    )
    answers["http"] = {
        **about(client),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata(model),
        "found": [
            found(client.infer(model, [image]), NAMES),
            found(client.infer(model, [image], outputs=chosen), NAMES),
            found(client.infer(model, [image], outputs=as_json), NAMES),
            found(client.infer(model, [image], response_compression_algorithm="gzip"), NAMES),
            found(client.infer(model, [tensor(protocol, text, binary_data=False)]), NAMES),
            found(client.infer(model, [tensor(protocol, pixels)]), NAMES),
            found(client.infer(model, [tensor(protocol, pixels[np.newaxis], binary_data=False)]), NAMES),
        ],
        "some": found(some, ["labels", "scores"]),
        "id": some.get_response()["id"],
        "names": [output["name"] for output in some.get_response()["outputs"]],
        "refusal": refusal(client, image),
    }

protocol = tritonclient.grpc
with protocol.InferenceServerClient(grpc) as client:
    image = tensor(protocol, encoded)
    some = client.infer(
        model,
        [image],
        outputs=[protocol.InferRequestedOutput("labels"), protocol.InferRequestedOutput("scores")],
        request_id="mine",
        parameters={"threshold": 0.5, "max_detections": 3, "classes": "person,bird"},
    )
    answers["grpc"] = {
        **about(client),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata(model, as_json=True),
        "found": [
            found(client.infer(model, [image]), NAMES),
            found(client.infer(model, [tensor(protocol, pixels)]), NAMES),
            found(client.infer(model, [tensor(protocol, pixels[np.newaxis])]), NAMES),
        ],
        "some": found(some, ["labels", "scores"]),
        "id": some.get_response().id,
        "names": [output.name for output in some.get_response().outputs],
        "refusal": refusal(client, image),
    }

print(json.dumps(answers))
