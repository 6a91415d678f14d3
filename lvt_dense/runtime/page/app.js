// The page: pictures, videos and the webcam in, drawings out.
import { Model, projectCorners, readCamera } from './model.js';

const EDGES = [0, 1, 2, 3].flatMap(
  (i) => [[i, (i + 1) % 4], [i + 4, ((i + 1) % 4) + 4], [i, i + 4]],
);
const at = (id) => document.getElementById(id);
const shown = []; // pictures, for when a filter changes
let model = null;
let camera = null;
let running = 0; // number of the stream that is shown

function say(text, isError = false) {
  at('status').textContent = text;
  at('status').classList.toggle('error', isError);
}

function chosen() {
  const boxes = document.querySelectorAll('#classes input');
  return new Set(
    [...boxes].filter((box) => box.checked).map((box) => Number(box.value)),
  );
}

function colorOf(index) {
  const { palette, classes } = model.info;
  if (palette.length >= classes.length && palette.length) {
    return palette[index % palette.length];
  }
  const hue = (360 * index) / Math.max(classes.length, 1);
  const pen = document.createElement('canvas').getContext('2d');
  pen.fillStyle = `hsl(${hue} 80% 60%)`;
  return [1, 3, 5].map((k) => parseInt(pen.fillStyle.slice(k, k + 2), 16));
}

function kept(found) {
  const classes = chosen();
  const threshold = Number(at('threshold').value);
  return found.objects.filter(
    (item) => item.score >= threshold && classes.has(item.index),
  );
}

function draw(canvas, image, found) {
  canvas.width = image.width;
  canvas.height = image.height;
  const pen = canvas.getContext('2d');
  const pixels = new Uint8ClampedArray(image.data);
  const blend = (k, color) => {
    for (let c = 0; c < 3; c++) {
      pixels[k * 4 + c] = (pixels[k * 4 + c] + color[c]) / 2;
    }
  };
  const colors = model.info.classes.map((_, index) => colorOf(index));
  if (found.labels) {
    const classes = chosen();
    found.labels.forEach((label, k) => {
      if (classes.has(label)) {
        blend(k, colors[label]);
      }
    });
  }
  const objects = found.labels ? [] : kept(found);
  for (const item of objects.filter((each) => each.mask)) {
    const mask = item.mask();
    mask.pixels.forEach((inside, k) => {
      if (inside) {
        const y = mask.y + Math.floor(k / mask.width);
        blend(y * image.width + mask.x + (k % mask.width), colors[item.index]);
      }
    });
  }
  pen.putImageData(new ImageData(pixels, image.width, image.height), 0, 0);
  objects.reverse().forEach((item) => drawObject(pen, item, colors[item.index]));
}

function drawObject(pen, item, rgb) {
  const color = `rgb(${rgb.join(' ')})`;
  const unit = Math.max(pen.canvas.width / 400, 1.5);
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = unit;
  const [x1, y1, x2, y2] = item.box;
  const corners = item.box_3d && camera && projectCorners(item.box_3d, camera);
  if (corners) {
    for (const [i, j] of EDGES) {
      pen.beginPath();
      pen.moveTo(...corners[i]);
      pen.lineTo(...corners[j]);
      pen.stroke();
    }
  } else if (!item.box_3d) {
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  pen.font = `${8 * unit}px system-ui, sans-serif`;
  const text = `${item.label} ${item.score.toFixed(2)}`;
  const top = Math.max(y1 - 10 * unit, 0);
  pen.fillRect(x1, top, pen.measureText(text).width + 4 * unit, 10 * unit);
  pen.fillStyle = rgb[0] * 0.3 + rgb[1] * 0.6 + rgb[2] * 0.1 > 110 ? '#000' : '#fff';
  pen.fillText(text, x1 + 2 * unit, top + 8 * unit);
}

function describe(entry) {
  if (entry.found.labels) {
    const counts = {};
    for (const label of entry.found.labels) {
      const name = model.info.classes[label] ?? String(label);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return { image: entry.name, pixels: counts };
  }
  const objects = kept(entry.found).map(({ mask, ...item }) => (
    mask
      ? { ...item, mask_area: mask().pixels.reduce((a, b) => a + b, 0) }
      : item
  ));
  return { image: entry.name, objects };
}

function show(entry) {
  draw(entry.canvas, entry.image, entry.found);
  const record = describe(entry);
  const count = record.objects
    ? `${record.objects.length} objects`
    : `${Object.keys(record.pixels).length} classes`;
  entry.caption.textContent =
    `${entry.name}: ${count}, ${entry.milliseconds.toFixed(0)} ms`;
  return record;
}

function refresh() {
  at('threshold-value').textContent = Number(at('threshold').value).toFixed(2);
  const records = shown.map(show);
  at('results').hidden = !records.length;
  at('json').textContent = JSON.stringify(records, null, 1);
}

function newEntry(name) {
  const figure = document.createElement('figure');
  const canvas = document.createElement('canvas');
  const caption = document.createElement('figcaption');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `Prediction on ${name}`);
  figure.append(canvas, caption);
  at('pictures').prepend(figure);
  return { name, canvas, caption, figure };
}

function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(source, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

async function predictInto(entry, image) {
  const begin = performance.now();
  entry.found = await model.predict(image, camera);
  entry.milliseconds = performance.now() - begin;
  entry.image = image;
}

async function addPicture(blob, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none' });
  } catch {
    throw new Error(`${name} cannot be read as a picture`);
  }
  const entry = newEntry(name);
  try {
    await predictInto(entry, pixelsOf(bitmap, bitmap.width, bitmap.height));
  } catch (error) {
    entry.figure.remove();
    throw error;
  }
  shown.push(entry);
}

async function play(name, source) {
  const video = at('video');
  const stream = ++running;
  at('stop').hidden = false;
  if (source instanceof MediaStream) {
    video.srcObject = source;
  } else {
    video.srcObject = null;
    video.src = source;
  }
  try {
    await video.play();
  } catch {
    stop();
    throw new Error(`${name} cannot be played as a video`);
  }
  const entry = newEntry(name);
  while (stream === running && !video.ended) {
    const image = pixelsOf(video, video.videoWidth, video.videoHeight);
    await predictInto(entry, image);
    show(entry);
    await new Promise(requestAnimationFrame);
  }
  if (entry.found) {
    shown.push(entry); // the last frame
  } else {
    entry.figure.remove();
  }
  if (stream === running) {
    stop();
  }
}

function stop() {
  running++;
  const video = at('video');
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  at('stop').hidden = true;
}

async function take(files) {
  const faults = [];
  for (const file of files) {
    say(`${file.name} …`);
    try {
      if (file.type.startsWith('video/')) {
        await play(file.name, URL.createObjectURL(file));
      } else {
        await addPicture(file, file.name);
      }
    } catch (error) {
      faults.push(error.message);
    }
  }
  refresh();
  say(faults.join('; ') || 'Done.', faults.length > 0);
}

function listClasses() {
  model.info.classes.forEach((name, index) => {
    const label = document.createElement('label');
    const box = document.createElement('input');
    const swatch = document.createElement('span');
    Object.assign(box, { type: 'checkbox', checked: true, value: index });
    swatch.className = 'swatch';
    swatch.style.background = `rgb(${colorOf(index).join(' ')})`;
    label.append(box, swatch, name);
    at('classes').append(label);
  });
  at('classes').addEventListener('change', refresh);
  for (const [id, checked] of [['all', true], ['none', false]]) {
    at(id).addEventListener('click', () => {
      document.querySelectorAll('#classes input').forEach((box) => {
        box.checked = checked;
      });
      refresh();
    });
  }
}

function listen() {
  at('files').addEventListener('change', (event) => take(event.target.files));
  at('threshold').addEventListener('input', refresh);
  at('stop').addEventListener('click', stop);
  at('camera').addEventListener('change', async (event) => {
    try {
      camera = readCamera(await event.target.files[0].text());
      say('Camera file read.');
    } catch (error) {
      say(error.message, true);
    }
  });
  at('webcam').addEventListener('click', async () => {
    try {
      const media = await navigator.mediaDevices.getUserMedia({ video: true });
      await play('webcam', media);
    } catch (error) {
      say(`webcam: ${error.message}`, true);
    }
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', () => {
    document.body.classList.remove('dragging');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    take(event.dataTransfer.files);
  });
}

async function start() {
  try {
    model = await Model.load();
  } catch (error) {
    at('about').textContent = '';
    say(`The model cannot be loaded: ${error.message}`, true);
    return;
  }
  const { info, backend } = model;
  at('title').textContent = info.config.replace(/\.py$/, '');
  at('about').textContent =
    `${info.task}, ${info.classes.length} classes, on ${backend}`;
  at('threshold').value = info.score_thr;
  at('threshold-label').hidden = info.task === 'semantic';
  at('camera-label').hidden = !model.needsCamera;
  listClasses();
  listen();
  refresh();
  say('Ready.');
}

start();
