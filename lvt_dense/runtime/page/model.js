// Prediction with an exported model, as lvt_dense/runtime/predictor.py does.

/** Return height and width that an image is resized to. */
export function contentSize([height, width], info) {
  const fixed = info.size;
  if (info.resize === 'stretch') {
    return fixed ?? [info.scale[1], info.scale[0]];
  }
  let factor = 1;
  if (info.resize === 'fit') {
    const longer = Math.max(...info.scale);
    const shorter = Math.min(...info.scale);
    factor = Math.min(
      longer / Math.max(height, width),
      shorter / Math.min(height, width),
    );
  }
  if (fixed) {
    factor = Math.min(factor, fixed[0] / height, fixed[1] / width);
  }
  return [height, width].map(
    (side) => Math.max(Math.floor(side * factor + 0.5), 1),
  );
}

/** Where each of `count` samples lies between two of `length` values. */
function positions(length, count) {
  const low = new Int32Array(count);
  const high = new Int32Array(count);
  const weight = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let at = ((i + 0.5) * length) / count - 0.5;
    at = Math.min(Math.max(at, 0), length - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, length - 1);
    weight[i] = at - low[i];
  }
  return { low, high, weight };
}

/**
 * Resize an image bilinearly without smoothing, and pad it.
 *
 * @param {ImageData} image
 * @param {object} info Metadata of the model.
 * @returns {{data: Uint8Array, shape: number[], size: number[]}} Input of the
 *   network (H, W, 3), its shape, and height and width of its content.
 */
export function prepare(image, info) {
  const { width, height, data } = image;
  const size = contentSize([height, width], info);
  const divisor = info.divisor || 1;
  const canvas =
    info.size ?? size.map((side) => Math.ceil(side / divisor) * divisor);
  const out = new Uint8Array(canvas[0] * canvas[1] * 3);
  const same = size[0] === height && size[1] === width;
  const rows = positions(height, size[0]);
  const columns = positions(width, size[1]);
  const order = info.color === 'bgr' ? [2, 1, 0] : [0, 1, 2];
  const line = new Float32Array(width * 3);
  for (let y = 0; y < size[0]; y++) {
    // Rows first, as the predictor does: float32 in between.
    const top = rows.low[y] * width * 4;
    const bottom = rows.high[y] * width * 4;
    const down = rows.weight[y];
    const up = Math.fround(1 - down);
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        line[x * 3 + c] = same
          ? data[top + x * 4 + c]
          : Math.fround(data[top + x * 4 + c] * up)
            + Math.fround(data[bottom + x * 4 + c] * down);
      }
    }
    for (let x = 0; x < size[1]; x++) {
      const left = columns.low[x] * 3;
      const right = columns.high[x] * 3;
      const after = columns.weight[x];
      const before = Math.fround(1 - after);
      const at = (y * canvas[1] + x) * 3;
      for (let c = 0; c < 3; c++) {
        const k = order[c];
        out[at + c] = same
          ? line[x * 3 + k]
          : Math.fround(
            Math.fround(line[left + k] * before)
              + Math.fround(line[right + k] * after) + 0.5,
          );
      }
    }
  }
  return { data: out, shape: canvas, size };
}

/** Read P2 from a calibration file of KITTI, as 3 rows of 4 numbers. */
export function readCamera(text) {
  for (const line of text.split(/\r?\n/)) {
    const [name, values] = line.split(':');
    const numbers = (values ?? '').trim().split(/\s+/).map(Number);
    if (name.trim() === 'P2' && numbers.length === 12
        && numbers.every(Number.isFinite)) {
      return [0, 4, 8].map((i) => numbers.slice(i, i + 4));
    }
  }
  throw new Error('the file has no line "P2:" with twelve numbers');
}

/** Fit a projection matrix to the network's image, 16 numbers. */
function fitCamera(camera, factor) {
  const rows = [...camera, [0, 0, 0, 1]];
  const out = new Float32Array(16);
  for (let k = 0; k < 4; k++) {
    for (let i = 0; i < 2; i++) {
      const shift = (factor[i] - 1) / 2;
      out[i * 4 + k] = factor[i] * rows[i][k] + shift * rows[2][k];
    }
    out[8 + k] = rows[2][k];
    out[12 + k] = rows[3][k];
  }
  return out;
}

/**
 * Sample the mask of a box at the pixels of an image.
 *
 * @returns {{x: number, y: number, width: number, height: number,
 *   pixels: Uint8Array}} The part of the image around the box; 1 where the
 *   probability is at least 0.5.
 */
export function sampleMask(values, side, box, [height, width]) {
  const [x1, y1, x2, y2] = box;
  const left = Math.max(Math.floor(x1), 0);
  const top = Math.max(Math.floor(y1), 0);
  const right = Math.min(Math.ceil(x2), width);
  const bottom = Math.min(Math.ceil(y2), height);
  const part = {
    x: left,
    y: top,
    width: Math.max(right - left, 0),
    height: Math.max(bottom - top, 0),
  };
  part.pixels = new Uint8Array(part.width * part.height);
  const cell = (row, column) => (
    row < 1 || column < 1 || row > side || column > side
      ? 0 : values[(row - 1) * side + column - 1]
  );
  const place = (pixel, low, high) => {
    const at = ((pixel + 0.5 - low) / Math.max(high - low, 1e-6)) * side + 0.5;
    return Math.min(Math.max(at, 0), side + 1);
  };
  for (let y = 0; y < part.height; y++) {
    const v = place(y + top, y1, y2);
    const r = Math.floor(v);
    for (let x = 0; x < part.width; x++) {
      const u = place(x + left, x1, x2);
      const c = Math.floor(u);
      const above = cell(r, c) * (1 - u + c) + cell(r, c + 1) * (u - c);
      const below =
        cell(r + 1, c) * (1 - u + c) + cell(r + 1, c + 1) * (u - c);
      const value = above * (1 - v + r) + below * (v - r);
      part.pixels[y * part.width + x] = value >= 0.5 ? 1 : 0;
    }
  }
  return part;
}

/** Corners of a 3D box in the image, or null if one lies behind. */
export function projectCorners(box, camera) {
  const [x, y, z, length, height, width, yaw] = box;
  const cos = Math.cos(yaw);
  const sin = Math.sin(yaw);
  const corners = [];
  for (let i = 0; i < 8; i++) {
    const along = ([1, 1, -1, -1][i % 4] * length) / 2;
    const across = ([1, -1, -1, 1][i % 4] * width) / 2;
    const point = [
      x + cos * along + sin * across,
      y - (i < 4 ? 0 : height),
      z - sin * along + cos * across,
      1,
    ];
    const [u, v, depth] = camera.map(
      (row) => row.reduce((sum, value, k) => sum + value * point[k], 0),
    );
    if (depth <= 0.1) {
      return null;
    }
    corners.push([u / depth, v / depth]);
  }
  return corners;
}

/** A model of which onnxruntime-web has made a session. */
export class Model {
  constructor(ort, session, info, backend) {
    Object.assign(this, { ort, session, info, backend });
  }

  /** Load `model.onnx` and `model.json` of a folder. */
  static async load(folder = '.') {
    const answer = await fetch(`${folder}/model.json`);
    if (!answer.ok) {
      throw new Error(`model.json: ${answer.status} ${answer.statusText}`);
    }
    const info = await answer.json();
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    const attempts = adapter ? ['webgpu', 'wasm'] : ['wasm'];
    let fault;
    for (const backend of attempts) {
      try {
        const ort = await import(`./ort/ort.${backend}.min.mjs`);
        ort.env.wasm.wasmPaths = new URL('./ort/', import.meta.url).href;
        ort.env.logLevel = 'error';
        const session = await ort.InferenceSession.create(
          `${folder}/model.onnx`,
          { executionProviders: [backend] },
        );
        return new Model(ort, session, info, backend);
      } catch (error) {
        fault = error;
      }
    }
    throw fault;
  }

  get needsCamera() {
    return this.session.inputNames.includes('camera');
  }

  /**
   * Predict on an image.
   *
   * @param {ImageData} image
   * @param {number[][] | null} camera Projection matrix, 3 rows of 4 numbers.
   * @returns {Promise<object>} `labels` (a class for each pixel) from a
   *   semantic model, otherwise `objects` by falling score.
   */
  async predict(image, camera = null) {
    const { Tensor } = this.ort;
    const network = prepare(image, this.info);
    const [h, w] = network.size;
    const factor = [w / image.width, h / image.height];
    const feeds = {
      image: new Tensor('uint8', network.data, [1, ...network.shape, 3]),
    };
    if (this.session.inputNames.includes('size')) {
      const size = BigInt64Array.from([h, w], BigInt);
      feeds.size = new Tensor('int64', size, [1, 2]);
    }
    if (this.needsCamera) {
      if (!camera) {
        throw new Error('choose a camera file first: this model finds 3D boxes');
      }
      feeds.camera = new Tensor('float32', fitCamera(camera, factor), [1, 4, 4]);
    }
    const outputs = await this.session.run(feeds);
    const shape = [image.height, image.width];
    if (this.info.task === 'semantic') {
      return { labels: this.#labels(outputs.labels, network.size, shape) };
    }
    return { objects: [...this.#objects(outputs, factor, shape)] };
  }

  #labels(tensor, [h, w], [height, width]) {
    const stride = tensor.dims[2];
    const out = new Int32Array(height * width);
    for (let y = 0; y < height; y++) {
      const row = Math.floor(((y + 0.5) * h) / height) * stride;
      for (let x = 0; x < width; x++) {
        out[y * width + x] = Number(
          tensor.data[row + Math.floor(((x + 0.5) * w) / width)],
        );
      }
    }
    return out;
  }

  * #objects(outputs, [fx, fy], shape) {
    const { boxes, scores, labels, masks } = outputs;
    const factor = [fx, fy, fx, fy];
    const boxes3d = outputs.boxes_3d;
    for (let i = 0; i < scores.data.length; i++) {
      const score = scores.data[i];
      if (!(score > 1e-6)) {
        continue;
      }
      const index = Number(labels.data[i]);
      const found = {
        label: this.info.classes[index] ?? String(index),
        index,
        score,
        // Pixels of 3D models count from their centers.
        box: factor.map((f, k) => (
          boxes.data[i * 4 + k] / f + (boxes3d ? (1 - f) / 2 / f : 0)
        )),
      };
      if (masks) {
        const side = masks.dims[3];
        const cells = masks.data.subarray(i * side * side, (i + 1) * side * side);
        found.mask = () => sampleMask(cells, side, found.box, shape);
      }
      if (boxes3d) {
        found.box_3d = [...boxes3d.data.subarray(i * 7, i * 7 + 7)];
      }
      yield found;
    }
  }
}
