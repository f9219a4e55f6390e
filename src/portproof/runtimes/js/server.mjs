// Serves pages, libraries and the artifact on loopback, as a site would.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/**
 * Starts a server whose `current` says what lies behind /artifact/ (the folder of the file that
 * is asked for) and has the bytes of GET /inputs and PUT /outputs. /node_modules/ is that of `packages`. Everything else
 * is a file below this folder. A sandbox names the one port that it allows.
 */
export async function start(packages) {
  const current = { artifact: null, inputs: null, outputs: null };
  const server = createServer((request, response) =>
    answer(current, packages, request, response).catch((error) => response.writeHead(error.code === "ENOENT" ? 404 : 500).end()),
  );
  await new Promise((resolve) => server.listen(Number(process.env.PORTPROOF_PORT ?? 0), "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, current };
}

async function answer(current, packages, request, response) {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  if (request.method === "PUT" && path === "/outputs") {
    current.outputs = Buffer.concat(await Array.fromAsync(request));
    return response.writeHead(204).end();
  }
  if (path === "/inputs") return response.end(current.inputs);
  const [root, relative] = located(path, current.artifact, packages);
  const file = normalize(join(root, relative));
  if (!file.startsWith(normalize(root + sep))) return response.writeHead(403).end();
  const { size } = await stat(file);
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": size });
  return createReadStream(file).pipe(response);
}

/** The folder that a path is in, and the path below it. */
function located(path, artifact, packages) {
  if (path.startsWith("/artifact/")) return [dirname(artifact), path.slice(10)];
  return [path.startsWith("/node_modules/") ? packages : HERE, path];
}
