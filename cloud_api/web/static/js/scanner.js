// Reads QR codes from the camera or from a picture: the browser's own reader where it has one, else a
// small decoder that is fetched only then.

const EVERY = 180; // milliseconds between two looks
const SIDE = 640; // the decoder needs no more pixels than this

let decoder = null;

function script(href) {
  return new Promise((done, failed) => {
    const made = document.createElement('script');
    made.src = href;
    made.onload = () => done(window.jsQR);
    made.onerror = failed;
    document.head.append(made);
  });
}

/** A function that gives the text of a code in a video, canvas or picture, or "". */
async function reader(decoderHref) {
  if ('BarcodeDetector' in window && (await window.BarcodeDetector.getSupportedFormats().catch(() => [])).includes('qr_code')) {
    const detector = new window.BarcodeDetector({ formats: ['qr_code'] });
    return async (source) => (await detector.detect(source).catch(() => []))[0]?.rawValue ?? '';
  }
  decoder ??= script(decoderHref);
  const jsQR = await decoder;
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  return async (source) => {
    const width = source.videoWidth ?? source.width;
    const height = source.videoHeight ?? source.height;
    if (!width || !height) return '';
    const scale = Math.min(1, SIDE / Math.min(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.drawImage(source, 0, 0, canvas.width, canvas.height);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return jsQR(data, canvas.width, canvas.height, { inversionAttempts: 'dontInvert' })?.data ?? '';
  };
}

/** Whether this browser lets a page look through the camera at all. */
export const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);

/** Shows the camera in `video` and calls `found(text)` for each code until it returns true. Gives {stop, torch}. */
export async function watch(video, decoderHref, found) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } }, audio: false });
  let running = true;
  const stop = () => {
    running = false;
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  try {
    video.srcObject = stream;
    await video.play();
    const read = await reader(decoderHref);
    const look = async () => {
      if (!running) return;
      const text = await read(video);
      if (running && text && found(text)) stop();
      else if (running) setTimeout(look, EVERY);
    };
    look();
  } catch (error) {
    stop();
    throw error;
  }
  const [track] = stream.getVideoTracks();
  const lights = track.getCapabilities?.().torch === true;
  return { stop, torch: lights ? (on) => track.applyConstraints({ advanced: [{ torch: on }] }) : null };
}

/** The text of a code in a picture file, or "". */
export async function readFile(file, decoderHref) {
  const read = await reader(decoderHref);
  return read(await createImageBitmap(file));
}
