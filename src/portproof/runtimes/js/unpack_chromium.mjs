// Unpacks the Chromium that the npm package @sparticuz/chromium carries, for Linux on x86-64, into
// the folder `browser` of the folder that is the argument.
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { requireFrom } from "./packages.mjs";

const tar = requireFrom("chromium")("tar-fs");
const [folder] = process.argv.slice(2);
const carried = join(folder, "node_modules", "@sparticuz", "chromium", "bin");
const unpacked = (name) => [createReadStream(join(carried, name)), createBrotliDecompress()];

if (process.platform === "linux" && process.arch === "x64") {
  const browser = join(folder, "browser");
  await mkdir(browser);
  await pipeline(...unpacked("chromium.br"), createWriteStream(join(browser, "chromium"), { mode: 0o755 }));
  await pipeline(...unpacked("swiftshader.tar.br"), tar.extract(browser));
  // nss lies one folder down, as Lambda has it; the browser looks beside itself.
  const strip = (header) => ({ ...header, name: header.name.replace(/^lib\//, "") });
  await pipeline(...unpacked("al2023.tar.br"), tar.extract(browser, { map: strip }));
}
