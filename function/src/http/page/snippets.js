// The request behind what the page shows, for other programs.

/** How to ask for what is shown, by language. A request has a `picture`, which is `{name}` or `{url}`, a
 * `threshold`, and `classes`, which is empty for all. */
export const snippets = {
  curl(request) {
    const data = request.picture.url
      ? `-d ${shell(JSON.stringify({ url: request.picture.url }))}`
      : `--data-binary ${shell(`@${request.picture.name}`)}`;
    return `curl ${shell(address(request))} \\\n    ${data}\n`;
  },

  python(request) {
    const { name, url } = request.picture;
    const data = url
      ? `data = json.dumps({"url": ${JSON.stringify(url)}}).encode()`
      : `data = open(${JSON.stringify(name)}, "rb").read()`;
    return `import json
from urllib.request import urlopen

${data}
with urlopen(${JSON.stringify(address(request))}, data) as reply:
    for found in json.load(reply)["detections"]:
        print(found["label"], found["score"], found["box"])
`;
  },

  grpc({ picture, threshold, classes }) {
    const rest = { threshold, ...(classes.length && { classes }), masks: "MASK_FORMAT_POLYGON" };
    const call = `grpcurl -plaintext -d @ ${location.hostname}:9090 segmenter.v1.Segmenter/Predict`;
    if (picture.url) return `${call} <<'END'\n${JSON.stringify({ url: picture.url, ...rest })}\nEND\n`;
    const json = JSON.stringify(rest).slice(1);
    return `${call} <<END\n{"image":"$(base64 -w0 ${shell(picture.name)})",${json}\nEND\n`;
  },
};

function address({ threshold, classes }) {
  const url = new URL("v1/predict", document.baseURI);
  url.searchParams.set("threshold", threshold);
  if (classes.length) url.searchParams.set("classes", classes.join(","));
  url.searchParams.set("masks", "polygon");
  return url.href;
}

function shell(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
