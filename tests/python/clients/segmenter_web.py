"""What the page of "Segmenter" does: a random picture, and the same with all but its objects half transparent.

Usage: segmenter_web.py BASE

Prints the size of the picture, of what came back, and the alphas in it.
"""

import base64
import io
import json
import sys

import requests
from PIL import Image

(base,) = sys.argv[1:]
picture = requests.get(f"{base}/api/random_image")
picture.raise_for_status()
uri = "data:image/jpeg;base64," + base64.b64encode(picture.content).decode()
reply = requests.post(f"{base}/api/run_model", json={"image": uri})
reply.raise_for_status()
head, encoded = reply.text.split(",")
cut_out = Image.open(io.BytesIO(base64.b64decode(encoded)))
served = requests.post(f"{base}/predictions/deeplabv3_resnet_101", data=picture.content).json()
print(json.dumps({
    "head": head,
    "mode": cut_out.mode,
    "picture": Image.open(io.BytesIO(picture.content)).size,
    "cut_out": cut_out.size,
    "alphas": sorted(set(cut_out.getchannel("A").getdata())),
    "served": [len(served), len(served[0]), len(served[0][0])],
}))
