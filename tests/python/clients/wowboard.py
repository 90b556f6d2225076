"""What the backend of wowboard-detector asks of TensorFlow Serving, and what its own clients ask of it.

Usage: wowboard.py BASE PICTURE

Prints the detections of the first and the reply of the second.
"""

import json
import pathlib
import sys

import numpy
import requests
from PIL import Image, ImageOps

base, path = sys.argv[1:]
picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB").resize((1024, 1024))
request = {
    "signature_name": "serving_default",
    "instances": numpy.expand_dims(numpy.asarray(picture), 0).tolist(),
}
reply = requests.post(f"{base}/v1/models/wowboard:predict", data=json.dumps(request))
found = reply.json()["predictions"][0]
certain = [score for score in found["detection_scores"] if score > 0.65]
crops = [
    [int(side * 1024) for side in box] for box in found["detection_boxes"][: len(certain)]
]

content = pathlib.Path(path).read_bytes()
upload = requests.post(f"{base}/upload", files={"file": ("board.jpg", content)}).json()
print(json.dumps({
    "detections": int(found["num_detections"]),
    "certain": certain,
    "classes": found["detection_classes"][: len(certain)],
    "crops": crops,
    "upload": upload,
}))
