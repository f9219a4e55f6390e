// Judges as the page of `portproof serve --static` does. Arguments: a safetensors file with got/..., and the
// limits; the limits' numbers as JSON. Prints the verdict and the reason.
import { readFileSync } from "node:fs";
import { parse } from "../../src/portproof/runtimes/js/safetensors.mjs";
import { belowFloor, judge } from "../../src/portproof/devices/page/judging.mjs";

const [file, numbers] = process.argv.slice(2);
const arrays = parse(readFileSync(file));
const sums = { signal: 0, noise: 0 };
const found = judge(arrays["got/y"], "y", arrays, JSON.parse(numbers), sums);
console.log(JSON.stringify({ ...found, below: belowFloor(sums) }));
