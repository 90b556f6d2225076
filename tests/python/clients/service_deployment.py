"""The three tests of "Service deployment": names over HTTP, names over gRPC, and the count of calls.

Usage: service_deployment.py BASE GRPC PICTURES EVAL

BASE is the server, GRPC its other address, PICTURES the URL before the names in EVAL, a file of
{"name.jpg": ["label", ...]}. Prints the mean scores and the increase of the counter.
"""

import collections
import json
import pathlib
import sys

import grpc
import requests
from prometheus_client.parser import text_string_to_metric_families

sys.path.append(str(pathlib.Path(__file__).parents[3] / "proto"))
messages, services = grpc.protos_and_services("inference.proto")

base, address, pictures, evaluation = sys.argv[1:]
expected = json.loads(pathlib.Path(evaluation).read_text())


def score(actual, predicted):
    """Of two lists of labels, twice what they share in parts of what both have."""
    shared = collections.Counter(actual) & collections.Counter(predicted)
    return 2 * shared.total() / (len(actual) + len(predicted))


def mean(predict):
    scores = [score(labels, predict(pictures + name)) for name, labels in expected.items()]
    return sum(scores) / len(scores)


def over_http(url):
    return requests.post(f"{base}/predict", json={"url": url}).json()["objects"]


def inference_count():
    families = text_string_to_metric_families(requests.get(f"{base}/metrics").text)
    first = {family.name: family.samples[0].value if family.samples else 0 for family in families}
    return int(first["app_http_inference_count"])


with grpc.insecure_channel(address) as channel:
    detector = services.InstanceDetectorStub(channel)

    def over_grpc(url):
        return detector.Predict(messages.InstanceDetectorInput(url=url)).objects

    means = {"http": mean(over_http), "grpc": mean(over_grpc)}

before = inference_count()
reply = requests.post(f"{base}/predict", json={"url": pictures + next(iter(expected))})
print(json.dumps({**means, "status": reply.status_code, "counted": inference_count() - before}))
