// What was found, over the picture.

const SVG = "http://www.w3.org/2000/svg";

/** A colour for a class, far from those of its neighbours: the same hues and lightnesses as in drawn pictures. */
export function colour(classId) {
  const lightness = 0.5 + 0.35 * ((0.5 + classId * 0.7320508) % 1);
  const hue = (25 + classId * 137.50777) % 360;
  const paint = `oklch(${lightness.toFixed(3)} 0.17 ${hue.toFixed(1)})`;
  // At this luminance black and white stand out alike, by 4.58 to 1.
  return { paint, ink: luminance(paint) > 0.179 ? "#000" : "#fff" };
}

const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
  willReadFrequently: true,
});

/** The relative luminance of a colour as the screen shows it: <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>. */
function luminance(paint) {
  pixel.fillStyle = paint;
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue] = [...pixel.getImageData(0, 0, 1, 1).data].map((sample) => {
    const channel = sample / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The outline of an object as an SVG path: its mask, or its box where it has none. */
export function outline({ mask, box }) {
  if (!mask?.polygon) return `M${box.x0} ${box.y0}H${box.x1}V${box.y1}H${box.x0}Z`;
  const rings = mask.polygon.flatMap(({ exterior, holes }) => [exterior, ...holes]);
  return rings.map((ring) => `M${ring.map((corner) => corner.join(" ")).join("L")}Z`).join("");
}

export class Overlay {
  #svg;
  #labels;
  #objects = [];

  constructor(svg, labels) {
    this.#svg = svg;
    this.#labels = labels;
    new ResizeObserver(() => this.#place()).observe(labels);
  }

  /** Shows these objects of a picture of this size. */
  show({ width, height, detections }) {
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#objects = detections.map((found) => {
      const { paint, ink } = colour(found.class_id);
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", outline(found));
      path.setAttribute("fill", paint);
      path.setAttribute("fill-rule", "evenodd");
      path.setAttribute("stroke", paint);
      const label = document.createElement("span");
      label.className = "label";
      label.textContent = `${found.label} ${found.score.toFixed(2)}`;
      label.style.color = ink;
      label.style.background = paint;
      label.style.left = `${(100 * found.box.x0) / width}%`;
      label.style.top = `${(100 * found.box.y0) / height}%`;
      return { path, label, shown: true };
    });
    // The smallest last, on top of the others.
    const size = ({ box }) => (box.x1 - box.x0) * (box.y1 - box.y0);
    const order = [...detections.keys()].sort((a, b) => size(detections[b]) - size(detections[a]));
    this.#svg.replaceChildren(...order.map((index) => this.#objects[index].path));
    this.#labels.replaceChildren(...this.#objects.map(({ label }) => label));
  }

  /** Shows only those whose index is in the set. */
  only(indices) {
    this.#objects.forEach((object, index) => (object.shown = indices.has(index)));
    this.#place();
  }

  /** Brings one object to the fore, or none. */
  choose(index) {
    this.#svg.classList.toggle("choice", index !== null);
    this.#objects.forEach((object, at) => {
      object.chosen = at === index;
      object.path.classList.toggle("chosen", object.chosen);
    });
    this.#place();
  }

  set opacity(opacity) {
    this.#svg.style.fillOpacity = opacity;
  }

  /** Leaves out labels that would cover one of a surer object, and moves the others into the picture. */
  #place() {
    const frame = this.#labels.getBoundingClientRect();
    const taken = [];
    const overlaps = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const chosenFirst = [...this.#objects].sort((a, b) => Boolean(b.chosen) - Boolean(a.chosen));
    const choice = this.#svg.classList.contains("choice");
    for (const { path, label, shown, chosen } of chosenFirst) {
      path.style.display = shown ? "" : "none";
      label.hidden = !shown || (choice && !chosen);
      if (label.hidden) continue;
      label.style.translate = "";
      const box = label.getBoundingClientRect();
      const left = Math.min(0, frame.right - box.right);
      const up = box.top - box.height < frame.top ? Math.min(0, frame.bottom - box.bottom) : -box.height;
      label.style.translate = `${left}px ${up}px`;
      const at = { left: box.left + left, right: box.right + left, top: box.top + up, bottom: box.bottom + up };
      label.hidden = taken.some((other) => overlaps(at, other));
      if (!label.hidden) taken.push(at);
    }
  }
}

/** These objects in white on black, as large as the picture. */
export function mask(reply, objects) {
  const { canvas, context } = sheet(reply);
  context.fillRect(0, 0, canvas.width, canvas.height);
  paint(context, objects);
  return png(canvas);
}

/** The picture where these objects are, and nothing elsewhere. */
export function cutout(reply, objects, picture) {
  const { canvas, context } = sheet(reply);
  paint(context, objects);
  context.globalCompositeOperation = "source-in";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return png(canvas);
}

function sheet({ width, height }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return { canvas, context: canvas.getContext("2d") };
}

function paint(context, objects) {
  context.fillStyle = "#fff";
  for (const found of objects) context.fill(new Path2D(outline(found)), "evenodd");
}

function png(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
