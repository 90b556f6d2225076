"""The example client of Image-Segmentation-API: a class map of a URL and of a file.

Usage: segmentation_api.py BASE URL FILE

Prints the shapes of the maps and the classes in them.
"""

import json
import sys

import numpy
import requests

base, url, path = sys.argv[1:]
options = {"infer_model_type": "torch", "requested_results_types": ["segmentation_map"]}
# With the slash at the end that the example has.
of_url = requests.post(f"{base}/infer/url/", data={**options, "url_image": url})
with open(path, "rb") as file:
    of_file = requests.post(f"{base}/infer/file", data=options, files={"file": file})


def describe(reply):
    reply.raise_for_status()
    seg_map = numpy.array(reply.json()["requested_results"]["segmentation_map"])
    return {"shape": seg_map.shape, "classes": numpy.unique(seg_map).tolist()}


print(json.dumps({
    "url": describe(of_url),
    "file": describe(of_file),
    "redirected": [hop.status_code for hop in of_url.history],
}))
