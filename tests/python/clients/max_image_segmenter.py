"""The test of MAX Image Segmenter, and its notebook's way to a class map: a form that pycurl posts.

Usage: max_image_segmenter.py BASE PICTURE

Prints what the test looks at.
"""

import io
import json
import sys

import numpy
import pycurl
import requests

base, path = sys.argv[1:]
with open(path, "rb") as file:
    reply = requests.post(f"{base}/model/predict", files={"image": ("stc.jpg", file, "image/jpeg")})
segmented = reply.json()

posted = io.BytesIO()
curl = pycurl.Curl()
curl.setopt(curl.URL, f"{base}/model/predict")
curl.setopt(curl.HTTPPOST, [("image", (curl.FORM_FILE, path))])
curl.setopt(curl.WRITEDATA, posted)
curl.perform()
curl.close()
seg_map = numpy.array(json.loads(posted.getvalue())["seg_map"])

labels = requests.get(f"{base}/model/labels").json()
print(json.dumps({
    "code": reply.status_code,
    "status": segmented["status"],
    "image_size": segmented["image_size"],
    "rows": len(segmented["seg_map"]),
    "points": {
        f"{y},{x}": segmented["seg_map"][y][x] for y, x in [(0, 0), (128, 128), (200, 500)]
    },
    "posted_alike": bool((seg_map == numpy.array(segmented["seg_map"])).all()),
    "label_3": labels[3],
    "title": requests.get(f"{base}/swagger.json").json()["info"]["title"],
    "license": requests.get(f"{base}/model/metadata").json()["license"],
}))
