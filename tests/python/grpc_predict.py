"""Asks inference.InstanceDetector for the objects of a picture, with a client made from the proto.

Usage: grpc_predict.py ADDRESS URL
"""

import json
import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).parents[2] / "proto"))
messages, services = grpc.protos_and_services("inference.proto")

address, url = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    detector = services.InstanceDetectorStub(channel)
    reply = detector.Predict(messages.InstanceDetectorInput(url=url), timeout=60)
print(json.dumps(list(reply.objects)))
