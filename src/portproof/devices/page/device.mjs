// Runs on a device what the server asks for, one task after the other, each library in a frame of its own:
// one failure in a page of theirs may spoil what it computes afterwards.
const KEY = `portproof:${location.pathname}`;
// Bytes that a frame may keep of artifacts that were unloaded.
const MAX_KEPT = 256 * 2 ** 20;
const element = (id) => document.getElementById(id);

let open = null; // {frame, how, page, artifact, seconds}
// Artifacts that a GPU backend ran only with TF.js's default of computing small tensors on the CPU.
const forwarding = new Set();

/** What renders here: a reader must know a real GPU from a software one. */
async function adapters() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const debug = gl?.getExtension("WEBGL_debug_renderer_info");
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const { vendor, architecture, device, description } = adapter?.info ?? {};
  return {
    "WebGL renderer": gl ? String(gl.getParameter(debug ? debug.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : "none",
    "WebGPU adapter": [vendor, architecture, device, description].filter(Boolean).join(" ") || "none",
  };
}

/** A fresh frame that computes in one way. */
async function openFrame(page, how) {
  close();
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
  await frame.contentWindow.portproof.start(how);
}

function close() {
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
    if (backend === "webgpu" && !navigator.gpu) {
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

async function compute(task, inputs) {
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

/** The answer's line, and the outputs behind it. */
async function answer(task, inputs) {
  try {
    const [line, outputs] = await compute(task, inputs);
    return new Blob([`${JSON.stringify(line)}\n`, outputs]);
  } catch (error) {
    const reason = String(error?.message ?? error).trim().split("\n")[0].slice(0, 400);
    return new Blob([`${JSON.stringify({ error: reason || "an error without a message" })}\n`]);
  }
}

function show({ model, rows, done, outcome, counts, notTo }) {
  element("model").textContent = model;
  document.title = `${model} on this device`;
  document.querySelector("table").hidden = !rows.length;
  element("rows").replaceChildren(
    ...rows.map(({ artifact, runtime, verdict, detail }) => {
      const row = document.createElement("tr");
      const words = document.createElement("td");
      words.append(Object.assign(document.createElement("span"), { className: verdict, textContent: verdict }));
      if (detail) words.append(Object.assign(document.createElement("small"), { textContent: detail }));
      const head = Object.assign(document.createElement("th"), { scope: "row", textContent: artifact });
      row.append(head, Object.assign(document.createElement("td"), { textContent: runtime }), words);
      return row;
    }),
  );
  if (!done) return;
  element("progress").hidden = true;
  const status = element("status");
  status.className = outcome === "not proven" ? "bad" : "good";
  status.textContent = `${outcome === "not proven" ? "Not proven" : "The numbers are the same"} on this device: ${counts}`;
  element("end").textContent = notTo ? `It does not run, or is not the same, in: ${notTo}.` : "";
}

async function json(address, options) {
  const response = await fetch(address, options);
  if (response.status === 409 || response.status === 404 || response.status === 429) {
    throw Object.assign(new Error((await response.text()) || "this link is over"), { final: true });
  }
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return response;
}

/** The tasks of one opening of the link, until all is done. */
async function work() {
  const words = { key: localStorage.getItem(KEY) ?? "", agent: navigator.userAgent, versions: await adapters() };
  const opened = await (await json("devices", { method: "POST", body: JSON.stringify(words) })).json();
  localStorage.setItem(KEY, opened.key);
  const base = `devices/${opened.key}/${opened.page}`;
  addEventListener("pagehide", () => navigator.sendBeacon(`${base}/left`), { once: true });
  for (;;) {
    element("status").textContent = `Running as ${opened.name} …`;
    const { state, task } = await (await json(`${base}/task`)).json();
    show(state);
    if (state.done) return;
    if (!task) continue;
    element("status").textContent = `Running ${task.artifact} on ${task.backend} …`;
    const query = `task=${task.number}`;
    const inputs = await (await json(`${base}/inputs?${query}`)).arrayBuffer();
    const body = await answer(task, inputs);
    const sent = await fetch(`${base}/answer?${query}`, { method: "POST", body });
    if (!sent.ok && sent.status !== 409) throw new Error(`the server refuses the answer: ${await sent.text()}`);
  }
}

/** Without the network it waits, and goes on. */
for (let pause = 1000; ; pause = Math.min(2 * pause, 30_000)) {
  try {
    await work();
    break;
  } catch (error) {
    close();
    element("status").textContent = error.final ? error.message : `Waiting for the computer that the link is from … (${error.message})`;
    if (error.final) {
      element("progress").hidden = true;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
