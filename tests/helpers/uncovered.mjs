// What the static page says is supported nowhere: verdicts in, as JSON, and lines out.
import { uncovered } from "../../src/portproof/devices/page/judging.mjs";

console.log(JSON.stringify(uncovered(JSON.parse(process.argv[2]))));
