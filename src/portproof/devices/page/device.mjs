// Runs on a device what the server asks for, one task after the other.
import { adapters, close, compute, reason } from "./computing.mjs";
import { element, show } from "./showing.mjs";

const KEY = `portproof:${location.pathname}`;

/** The answer's line, and the outputs behind it. */
async function answer(task, inputs) {
  try {
    const [line, outputs] = await compute(task, inputs);
    return new Blob([`${JSON.stringify(line)}\n`, outputs]);
  } catch (error) {
    return new Blob([`${JSON.stringify({ error: reason(error) })}\n`]);
  }
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
