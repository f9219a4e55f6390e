// The loop of a JavaScript runner: a request in, an answer out.
import { createInterface } from "node:readline";

// As runtimes/protocol.py has it, which describes the messages.
const PROTOCOL = 2;

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

/**
 * Answers requests until standard input ends. An error that `answer` throws is the answer; where
 * it has `restart`, the runner asks to be replaced before the next request.
 */
export async function serve(versions, answer) {
  say({ ready: versions, protocol: PROTOCOL });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(JSON.parse(line)));
    } catch (error) {
      const reason = String(error?.message ?? error).trim().split("\n")[0].slice(0, 400);
      say({ error: reason || "an error without a message", restart: error?.restart ?? false });
    }
  }
}

// Node ends what it prints of an error with its own version, and the last line is what is quoted.
process.on("uncaughtException", (error) => {
  console.error(error?.stack ?? error);
  console.error(String(error?.message ?? error).split("\n")[0]);
  process.exit(1);
});

/** Standard output carries answers alone; libraries greet and warn on it. */
export function redirectConsole() {
  console.log = console.info = console.warn = console.error;
}
