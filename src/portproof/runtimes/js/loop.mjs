// The loop of a JavaScript runner: a request in, an answer out.
// As runtimes/protocol.py has it, which describes the messages.
const PROTOCOL = 3;

function say(message, content) {
  process.stdout.write(JSON.stringify(message) + "\n");
  if (content) process.stdout.write(content);
}

/**
 * Answers requests until standard input ends: `answer(request, inputs)` gives the fields of an answer
 * and `outputs`, both tensors as bytes. An error that it throws is the answer; where it has
 * `restart`, the runner asks to be replaced before the next request.
 */
export async function serve(versions, answer) {
  say({ ready: versions, protocol: PROTOCOL });
  const input = new Input(process.stdin);
  for (let line; (line = await input.line()); ) {
    const request = JSON.parse(line);
    const inputs = await input.bytes(request.size);
    try {
      const { outputs, ...fields } = await answer(request, inputs);
      say({ ...fields, size: outputs.length }, outputs);
    } catch (error) {
      const reason = String(error?.message ?? error).trim().split("\n")[0].slice(0, 400);
      say({ error: reason || "an error without a message", restart: error?.restart ?? false });
    }
  }
}

/** Lines and bytes of a stream. */
class Input {
  constructor(stream) {
    this.chunks = stream[Symbol.asyncIterator]();
    this.rest = Buffer.alloc(0);
  }

  /** The next line; at the end, what is left of one. */
  async line() {
    const parts = [];
    for (;;) {
      const end = this.rest.indexOf("\n") + 1;
      parts.push(this.rest.subarray(0, end || this.rest.length));
      this.rest = this.rest.subarray(end || this.rest.length);
      if (end || !(await this.#more())) return Buffer.concat(parts).toString();
    }
  }

  /** So many bytes. */
  async bytes(size) {
    const parts = [];
    for (let left = size; ; left -= parts.at(-1).length) {
      parts.push(this.rest.subarray(0, left));
      this.rest = this.rest.subarray(parts.at(-1).length);
      if (parts.at(-1).length === left || !(await this.#more())) return Buffer.concat(parts);
    }
  }

  async #more() {
    const { value, done } = await this.chunks.next();
    this.rest = value ?? Buffer.alloc(0);
    return !done;
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
