// Computes on a device, each library in a frame of its own: one failure in a page of theirs may spoil what it
// computes afterwards.

// Bytes that a frame may keep of artifacts that were unloaded.
const MAX_KEPT = 256 * 2 ** 20;

let open = null; // {frame, how, page, artifact, seconds}
// What the libraries said where a backend of theirs did not start: it is not tried again.
const without = new Map();
// Artifacts that a GPU backend ran only with TF.js's default of computing small tensors on the CPU.
const forwarding = new Set();

/** The GPU as WebGPU has it; none in a page that is not secure, and in browsers without one. */
async function adapter() {
  return navigator.gpu?.requestAdapter().catch(() => null);
}

/** What renders here: a reader must know a real GPU from a software one. */
export async function adapters() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const debug = gl?.getExtension("WEBGL_debug_renderer_info");
  const { vendor, architecture, device, description } = (await adapter())?.info ?? {};
  return {
    "WebGL renderer": gl ? String(gl.getParameter(debug ? debug.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : "none",
    "WebGPU adapter": [vendor, architecture, device, description].filter(Boolean).join(" ") || "none",
  };
}

/** A fresh frame that computes in one way. */
async function openFrame(page, how) {
  close();
  const place = `${page} ${how.backend}`;
  if (without.has(place)) throw without.get(place);
  const frame = document.createElement("iframe");
  frame.title = "what computes";
  frame.src = `app/page/${page}.html`;
  await new Promise((resolve, reject) => {
    frame.onload = resolve;
    frame.onerror = () => reject(new Error(`${page} is not loaded`));
    document.body.append(frame);
  });
  open = { frame, how, page, artifact: null, seconds: 0 };
  if (!frame.contentWindow.portproof) throw new Error(`this browser does not run ${page}'s library`);
  try {
    await frame.contentWindow.portproof.start(how);
  } catch (error) {
    without.set(place, error);
    throw error;
  }
}

export function close() {
  open?.frame.remove();
  open = null;
}

async function load(task) {
  const { portproof } = open.frame.contentWindow;
  const kept = open.artifact ? await portproof.unload() : 0;
  if (kept > MAX_KEPT) await openFrame(open.page, open.how);
  const address = new URL(`artifact/${task.artifact.split("/").map(encodeURIComponent).join("/")}`, location.href);
  const started = performance.now();
  await open.frame.contentWindow.portproof.load(address.href, task.format);
  open.seconds = (performance.now() - started) / 1000;
  open.artifact = task.artifact;
}

async function attempt(task, inputs, forward) {
  const { page, backend, signature, byRow, timed } = task;
  try {
    if (backend === "webgpu" && !(await adapter())) {
      const why = window.isSecureContext ? "" : ": it was opened over http";
      throw new Error(`this page has no WebGPU${why}`);
    }
    const how = { backend, forward };
    const same = open && open.page === page && open.how.backend === backend && open.how.forward === forward;
    if (!same) await openFrame(page, how);
    if (open.artifact !== task.artifact) await load(task);
    const what = { signature, byRow, inspect: "", timed, inputs: inputs.slice(0) };
    const { outputs, ...answer } = await open.frame.contentWindow.portproof.run(what);
    return [{ ...answer, load: open.seconds, size: outputs.length }, outputs];
  } catch (error) {
    close(); // a frame in which something failed is not used again
    throw error;
  }
}

/** An answer's words, and its outputs as safetensors. Throws what a library says. */
export async function compute(task, inputs) {
  const key = `${task.artifact} ${task.backend}`;
  try {
    return await attempt(task, inputs, forwarding.has(key));
  } catch (error) {
    if (task.page !== "tfjs" || !["webgl", "webgpu"].includes(task.backend) || forwarding.has(key)) throw error;
    // What a person's page does, by TF.js's defaults, is what counts.
    const result = await attempt(task, inputs, true);
    forwarding.add(key);
    return result;
  }
}

/** What a library threw, in a line. */
export function reason(error) {
  return String(error?.message ?? error).trim().split("\n")[0].slice(0, 400) || "an error without a message";
}
