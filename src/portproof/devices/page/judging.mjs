// What a device computed -> verdicts, by a subtraction: the limits of each element are in the page's files.
// `portproof merge` judges the same numbers by all rules; this shows at once what it will find.

/** Of several verdicts, the one that tells most against it. */
const ORDER = ["exact", "faithful", "close", "absent", "unsupported", "wrong", "failed"];
export const worst = (verdicts) => verdicts.reduce((a, b) => (ORDER.indexOf(b) > ORDER.indexOf(a) ? b : a), "exact");

const number = (value) => Number(value.toPrecision(6));

/** One output of one call: {verdict, detail}. `sums` gathers a variant's noise over a regime's calls. */
export function judge(got, name, limits, numbers, sums) {
  if (numbers.untold) return { verdict: "absent", detail: `as ${numbers.untold}: portproof merge judges it` };
  const reference = limits[`reference/${name}`];
  if (!got) return { verdict: "wrong", detail: `${numbers.name}: the output is missing` };
  const shape = ({ dtype, shape: sides }) => `${dtype}[${sides}]`;
  if (shape(got) !== shape(reference)) {
    return { verdict: "wrong", detail: `${numbers.name}: ${shape(got)} where the reference has ${shape(reference)}` };
  }
  const at = (i, where) => `${numbers.name}: ${got.data[i]} where the reference has ${reference.data[i]}${where ?? ""}`;
  const differing = firstIndex(got, (value, i) => !Object.is(value, reference.data[i]));
  if (differing < 0) return { verdict: "exact", detail: "" };
  const misplaced = firstIndex(got, (value, i) => isPlace(value, reference.data[i]));
  if (misplaced >= 0) return { verdict: "wrong", detail: at(misplaced) };
  if (numbers.variant) return ofVariant(got, name, limits, numbers, sums);
  if (!limits[`oracle/${name}`]) return { verdict: "wrong", detail: at(differing) };
  const { data: oracle } = limits[`oracle/${name}`];
  const isFlushed = (i) => got.data[i] === 0 && reference.data[i] !== 0 && Math.abs(reference.data[i]) < numbers.normal;
  const errors = Float64Array.from(got.data, (value, i) => (isFlushed(i) ? 0 : Math.abs(value - oracle[i])));
  const rounding = share(errors, oracle, limits[`rounding/${name}`].data);
  if (rounding.largest <= 1 && rounding.mean <= numbers.mean) {
    const flushed = got.data.some((_, i) => isFlushed(i));
    return flushed ? { verdict: "close", detail: "denormals flushed to zero" } : { verdict: "faithful", detail: "" };
  }
  const promised = limits[`shader/${name}`];
  if (promised && numbers.shader && share(errors, oracle, promised.data).largest <= 1) {
    return { verdict: "close", detail: "within what shaders promise" };
  }
  const times = number(Math.max(rounding.largest, rounding.mean / numbers.mean));
  return { verdict: "wrong", detail: `${times} times the rounding error allowed: ${at(rounding.worst)}` };
}

function firstIndex({ data }, is) {
  for (let i = 0; i < data.length; i++) if (is(data[i], i)) return i;
  return -1;
}

/** Whether one is NaN or infinite and the other is not, or another infinity. */
function isPlace(value, reference) {
  if (typeof value === "bigint" || (Number.isFinite(value) && Number.isFinite(reference))) return false;
  return !(Number.isNaN(value) && Number.isNaN(reference)) && value !== reference;
}

/** The errors in units of what is allowed at each place. */
function share(errors, oracle, allowed) {
  let largest = 0, sum = 0, counted = 0, worstAt = 0;
  for (let i = 0; i < errors.length; i++) {
    if (!Number.isFinite(oracle[i])) continue;
    counted++;
    const ratio = errors[i] === 0 ? 0 : errors[i] / allowed[i];
    sum += ratio;
    if (ratio > largest) [largest, worstAt] = [ratio, i];
  }
  return { largest, mean: sum / Math.max(counted, 1), worst: worstAt };
}

/** What gives other numbers on purpose has a budget of steps, and of noise in each row and over all. */
function ofVariant(got, name, limits, numbers, sums) {
  const reference = limits[`reference/${name}`];
  const { step, lsb, mean_lsb: meanLsb, sqnr, floor } = numbers.variant;
  const wrong = (detail) => ({ verdict: "wrong", detail: `${numbers.name}: ${detail}` });
  if (step !== undefined && lsb !== undefined) {
    const { data: own } = limits[`variant/${name}`] ?? reference;
    let largest = 0, sum = 0;
    for (let i = 0; i < own.length; i++) {
      const error = Math.abs(Number(got.data[i]) - Number(own[i])) / step;
      if (error > largest) largest = error;
      sum += error || 0;
    }
    const mean = sum / Math.max(own.length, 1);
    if (largest > lsb) return wrong(`off by ${number(largest)} steps of ${number(step)}, where ${number(lsb)} is declared`);
    if (meanLsb !== undefined && mean > meanLsb) {
      return wrong(`off by ${number(mean)} steps of ${number(step)} on average, where ${number(meanLsb)} is declared`);
    }
  }
  const rows = energies(got, reference);
  const total = (what) => rows.reduce((all, row) => all + row[what], 0);
  sums.signal += total("signal");
  sums.noise += total("noise");
  // A row near zero is held to the energy of one typical number.
  const least = total("signal") / Math.max(total("finite"), 1);
  const ratio = Math.min(...rows.map(({ signal, noise }) => decibel(Math.max(signal, least), noise)));
  if (sqnr !== undefined && ratio < sqnr) {
    return wrong(`SQNR of a row is ${number(ratio)} dB, where ${number(sqnr)} is declared`);
  }
  sums.floor = floor;
  return { verdict: "close", detail: "within its budget" };
}

/** Of each row: the energies of the reference and of the difference from it, and how many are finite. */
function energies(got, reference) {
  const count = Math.max(reference.shape[0] ?? 1, 1);
  const width = reference.data.length / count;
  return Array.from({ length: count }, (_, row) => {
    let signal = 0, noise = 0, finite = 0;
    for (let i = row * width; i < (row + 1) * width; i++) {
      const [value, right] = [Number(got.data[i]), Number(reference.data[i])];
      if (!Number.isFinite(right)) continue;
      finite++;
      signal += right * right;
      noise += (value - right) ** 2;
    }
    return { signal, noise, finite };
  });
}

export const decibel = (signal, noise) => (noise === 0 ? Infinity : 10 * Math.log10(signal / noise));

/** Of a variant's outputs over all calls of a regime: whether it is still the model. */
export function belowFloor({ signal, noise, floor }) {
  const sqnr = decibel(signal, noise);
  return floor !== undefined && sqnr < floor
    ? `no more the model: its SQNR is ${number(sqnr)} dB, and ${number(floor)} dB are wanted`
    : "";
}

/** As the report has it: the signatures of an artifact that no runtime supports; a training step alone does not count. */
export function uncovered(verdicts) {
  const artifacts = {};
  for (const { artifact, runtime, signature, verdict } of verdicts) {
    const runtimes = ((artifacts[artifact] ??= {})[signature] ??= {});
    runtimes[runtime] = (runtimes[runtime] ?? true) && verdict !== "unsupported";
  }
  return Object.entries(artifacts).flatMap(([artifact, signatures]) => {
    const supported = (name) => Object.values(signatures[name]).some(Boolean);
    const names = Object.keys(signatures);
    const needed = names.some(supported) ? names.filter((name) => !name.endsWith("_train_step")) : names;
    return needed.filter((name) => !supported(name)).map((name) => `${artifact} ${name}: no runtime here supports all of it`);
  });
}
