// On a web server that knows nothing of Portproof: runs the calls of plan.json, compares what comes out with the
// limits beside it, and offers the numbers as a file for `portproof merge`.
import { parse, serialize } from "./safetensors.mjs";
import { adapters, close, compute, reason } from "./computing.mjs";
import { belowFloor, judge, uncovered, worst } from "./judging.mjs";
import { element, show } from "./showing.mjs";

const KEY = `portproof:${location.pathname}`;
// Seconds for one call, and openings of the page that may die of it.
const LIMIT = 120;
const TRIES = 2;

/** What this browser keeps of the page: its device's name among others, and what is under way. */
function kept(plan) {
  const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");
  const own = found.bundle === plan.bundle ? found : { bundle: plan.bundle };
  const device = found.device ?? random();
  return { running: {}, ...own, device };
}

const keep = (words) => localStorage.setItem(KEY, JSON.stringify(words));
const bytes = async (address) => {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: the server answers ${response.status}`);
  return response.arrayBuffer();
};

/** One call's answer, as of a runner, and its outputs; what the page died of twice is not tried again. */
async function answer(call, words) {
  const tries = words.running[call.key] ?? 0;
  if (tries >= TRIES) return [{ error: "the page went away while it computed this, twice" }, {}];
  words.running[call.key] = tries + 1;
  keep(words);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`passed the time limit of ${LIMIT} s`)), LIMIT * 1000);
  });
  try {
    const inputs = await bytes(call.inputs);
    const [{ size: _, ...line }, outputs] = await Promise.race([compute(call, inputs), late]);
    return [line, parse(outputs)];
  } catch (error) {
    close();
    return [{ error: reason(error) }, {}];
  } finally {
    clearTimeout(timer);
    delete words.running[call.key];
    keep(words);
  }
}

/** What the runtime says that it lacks, where a message says that. */
function lackIn(error, patterns) {
  for (const [pattern, what] of patterns) {
    const match = error.match(new RegExp(pattern));
    if (match) return what.replace(/\\(\d)/g, (_, group) => match[group] ?? "");
  }
  return "";
}

/** The verdicts of one call's outputs. */
async function verdicts(call, line, outputs, plan, sums) {
  if (line.error) {
    const lack = lackIn(line.error, plan.lacks[call.runtime] ?? []);
    return [lack ? { verdict: "unsupported", detail: `lacks ${lack}` } : { verdict: "failed", detail: line.error }];
  }
  if (line.backend !== call.backend) return [{ verdict: "failed", detail: `computed by ${line.backend} instead` }];
  const limits = parse(new Uint8Array(await bytes(call.limits)));
  const extra = Object.keys(outputs).filter((name) => !(name in call.outputs));
  const unknown = extra.map((name) => ({ verdict: "wrong", detail: `an output that the signature does not have: ${name}` }));
  return [
    ...unknown,
    ...Object.entries(call.outputs).map(([name, numbers]) => {
      const place = [call.runtime, call.label, call.of, name, call.regime].join(" ");
      sums[place] ??= { row: rowOf(call), signal: 0, noise: 0 };
      return judge(outputs[name], name, limits, { ...numbers, shader: call.shader }, sums[place]);
    }),
  ];
}

const rowOf = ({ label, runtime }) => `${label} ${runtime}`;

/** The rows of the table, of the verdicts so far. */
function rowsOf(found) {
  return [...found.values()].map(({ artifact, runtime, all }) => {
    const verdict = worst(all.map((one) => one.verdict));
    const detail = ["exact", "faithful"].includes(verdict) ? "" : all.find((one) => one.verdict === verdict)?.detail;
    return { artifact, runtime, verdict, detail };
  });
}

function outcomeOf(plan, rows, verdicts) {
  const bad = rows.filter(({ verdict }) => verdict === "wrong" || verdict === "failed");
  const passed = rows.some(({ verdict }) => ["exact", "faithful", "close"].includes(verdict));
  const not = rows.filter(({ verdict }) => !["exact", "faithful", "close"].includes(verdict));
  const why = [...plan.nothing, ...uncovered(verdicts)];
  return {
    outcome: bad.length || !passed || why.length ? "not proven" : "proven",
    why: why.slice(0, 3).join("; "),
    notTo: not.map(({ artifact, runtime }) => `${artifact} in ${runtime}`).join(", "),
  };
}

/** The file for `portproof merge`. */
async function offer(plan, words, answers, tensors) {
  const said = {
    schema: plan.schema,
    model: plan.model,
    bundle: plan.bundle,
    agent: navigator.userAgent.slice(0, 300),
    device: words.device,
    adapters: { ...(await adapters()), ...plan.versions },
    runtimes: plan.runtimes,
    answers,
  };
  const file = new Blob([serialize(tensors, { portproof: JSON.stringify(said) })]);
  const name = `${plan.model}-${words.device}.safetensors`;
  const link = element("download");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.textContent = `Download what this device computed (${Math.ceil(file.size / 1000).toLocaleString("en")} KB)`;
  element("command").textContent = `portproof merge BUNDLE ${name}`;
  element("offer").hidden = false;
}

async function work() {
  const plan = JSON.parse(new TextDecoder().decode(await bytes("plan.json")));
  const words = kept(plan);
  const [found, all, sums, answers, tensors] = [new Map(), [], {}, {}, {}];
  for (const [number, call] of plan.calls.entries()) {
    element("status").textContent = `Running ${call.label} in ${call.runtime}: ${number + 1} of ${plan.calls.length} …`;
    element("progress").max = plan.calls.length;
    element("progress").value = number;
    const [line, outputs] = await answer(call, words);
    answers[call.key] = line;
    for (const [name, tensor] of Object.entries(outputs)) tensors[`${call.key}/${name}`] = tensor;
    const row = rowOf(call);
    if (!found.has(row)) found.set(row, { artifact: call.label, runtime: call.runtime, all: [] });
    const told = await verdicts(call, line, outputs, plan, sums);
    found.get(row).all.push(...told);
    const { label: artifact, runtime, of: signature } = call;
    all.push(...told.map(({ verdict }) => ({ artifact, runtime, signature, verdict })));
    show({ model: plan.model, rows: rowsOf(found) });
  }
  close();
  for (const { row, ...of } of Object.values(sums)) {
    const detail = belowFloor(of);
    if (detail) found.get(row).all.push({ verdict: "wrong", detail });
  }
  const rows = rowsOf(found);
  show({ model: plan.model, rows, done: true, ...outcomeOf(plan, rows, all) });
  await offer(plan, words, answers, tensors);
}

try {
  await work();
} catch (error) {
  element("status").textContent = `It stopped: ${reason(error)}. Open the page again.`;
  element("progress").hidden = true;
}
