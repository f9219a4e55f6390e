// Runs TF.js or LiteRT.js models in a page of a headless Chromium. A page stays, with its shaders and
// compiled libraries, for as long as its backend is wanted and nothing in it fails.
// The argument is the page: tfjs, litert or onnxruntime. A request's options name the backend.
import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { launch } from "./browser.mjs";
import { redirectConsole, serve } from "./loop.mjs";
import { environment, requireFrom } from "./packages.mjs";
import { start } from "./server.mjs";

redirectConsole();
const [page] = process.argv.slice(2);
const [packages, library] = {
  tfjs: ["tfjs", "@tensorflow/tfjs-core"],
  litert: ["litertjs", "@litertjs/core"],
  onnxruntime: ["onnxruntime-web", "onnxruntime-web"],
}[page];
const { origin, current } = await start(environment(packages));
let browser = await launch();
let open = null;
// Bytes that a page may keep of artifacts that were unloaded.
const MAX_KEPT = 256 * 2 ** 20;
// Artifacts that a GPU backend ran only with TF.js's default of computing small tensors on the CPU.
const forwarding = new Set();

/** A fresh page that computes in one way, in a context of its own. */
async function openPage(how) {
  await open?.context.close();
  const context = await browser.newContext();
  const opened = await context.newPage();
  opened.on("crash", () => (open ? (open.crashed = true) : null));
  opened.on("console", (message) => console.error(`page: ${message.text()}`));
  open = { page: opened, context, crashed: false, how, artifact: null };
  await opened.goto(`${origin}/page/${page}.html`);
  await opened.evaluate((how) => window.portproof.start(how), how);
}

/** Loads the artifact in place of the one that is there, into a fresh page where that keeps too much. */
async function load({ artifact, format }) {
  const kept = open.artifact ? await open.page.evaluate(() => window.portproof.unload()) : 0;
  if (kept > MAX_KEPT) await openPage(open.how);
  const address = `/artifact/${encodeURIComponent(basename(artifact))}`;
  open.seconds = await open.page.evaluate(async ([address, format]) => {
    const started = performance.now();
    await window.portproof.load(address, format);
    return (performance.now() - started) / 1000;
  }, [address, format]);
  open.artifact = artifact;
}

async function answer(request, inputs) {
  const key = JSON.stringify([request.artifact, request.options]);
  Object.assign(current, { artifact: request.artifact, inputs, outputs: null });
  try {
    return await attempt(key, request);
  } catch (error) {
    if (!["webgl", "webgpu"].includes(request.options.backend) || forwarding.has(key)) throw error;
    // What a person's page does, by TF.js's defaults, is what counts.
    forwarding.add(key);
    if (error.restart) {
      await browser.close().catch(() => null);
      browser = await launch();
    }
    return await attempt(key, request).catch((again) => {
      forwarding.delete(key);
      throw again;
    });
  }
}

async function attempt(key, request) {
  try {
    const how = { backend: request.options.backend, forward: forwarding.has(key) };
    if (!isDeepStrictEqual(open?.how, how)) await openPage(how);
    if (open.artifact !== request.artifact) await load(request);
    const { signature, by_row: byRow, inspect, timed } = request;
    const what = { signature, byRow, inspect, timed, inputs: "/inputs", outputs: "/outputs" };
    const answer = await open.page.evaluate((what) => window.portproof.run(what), what);
    return { ...answer, load: open.seconds, outputs: current.outputs };
  } catch (error) {
    // A page that failed once is not used again, and after a crash neither is the browser.
    error.restart = open?.crashed || !browser.isConnected();
    error.message = open?.crashed ? "the page crashed" : error.message.replace(/^page\.\w+: (Error: )?/, "");
    await open?.context.close().catch(() => null);
    open = null;
    throw error;
  }
}

/** Versions, and the names of what renders: a reader must know a real GPU from a software one. */
async function versions() {
  const blank = await browser.newPage();
  await blank.goto(`${origin}/page/blank.html`);
  const names = await blank.evaluate(async () => {
    const gl = document.createElement("canvas").getContext("webgl2");
    const debug = gl?.getExtension("WEBGL_debug_renderer_info");
    const adapter = await navigator.gpu?.requestAdapter();
    const { vendor, architecture, device, description } = adapter?.info ?? {};
    return {
      "WebGL renderer": gl ? gl.getParameter(debug ? debug.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "none",
      "WebGPU adapter": [vendor, architecture, device, description].filter(Boolean).join(" ") || "none",
    };
  });
  await blank.close();
  // Without `require.resolve`, which goes by what a package exports.
  const { version } = requireFrom(packages)(`./node_modules/${library}/package.json`);
  return { chromium: browser.version(), [packages]: version, ...names };
}

await serve(await versions(), answer);
await browser.close();
process.exit(0);
