// Launches a Chromium headless: the one that $CHROME names (runtimes/chromium.py looks for an installed
// one), or the one that the npm package @sparticuz/chromium carries, unpacked once.
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";
import { chromium } from "playwright-core";
import tar from "tar-fs";

const MODULES = fileURLToPath(new URL("./node_modules", import.meta.url));
const CARRIED = join(MODULES, "@sparticuz", "chromium");

/** A launched playwright Browser. */
export async function launch() {
  const installed = process.env.CHROME;
  const executable = installed || (await unpack());
  // The carried one brings its own nss and SwiftShader libraries.
  const libraries = installed ? {} : { LD_LIBRARY_PATH: dirname(executable) };
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: executable,
    env: { ...process.env, ...libraries },
    args: [
      ...(root || !installed ? ["--no-sandbox"] : []),
      "--disable-background-networking",
      "--enable-unsafe-webgpu",
      "--enable-features=Vulkan",
      ...(hasGpu() ? [] : SOFTWARE),
    ],
  });
}

const SOFTWARE = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--use-webgpu-adapter=swiftshader"];

/** Linux shows its GPUs as devices; other systems that Chromium runs on have one. */
function hasGpu() {
  return process.platform !== "linux" || existsSync("/dev/dri");
}

/** Unpacks the carried Chromium and its libraries into one folder, whole or not at all. */
async function unpack() {
  const { version } = JSON.parse(await readFile(join(CARRIED, "package.json"), "utf8"));
  const cache = join(MODULES, ".cache", "portproof");
  const folder = join(cache, `chromium-${version}`);
  const executable = join(folder, "chromium");
  if (existsSync(executable)) return executable;
  await mkdir(cache, { recursive: true });
  const staging = await mkdtemp(join(cache, "staging-"));
  const unpacked = (name) => [createReadStream(join(CARRIED, "bin", name)), createBrotliDecompress()];
  await pipeline(...unpacked("chromium.br"), createWriteStream(join(staging, "chromium"), { mode: 0o755 }));
  await pipeline(...unpacked("swiftshader.tar.br"), tar.extract(staging));
  // nss lies one folder down, as Lambda has it; the browser looks beside itself.
  const strip = (header) => ({ ...header, name: header.name.replace(/^lib\//, "") });
  await pipeline(...unpacked("al2023.tar.br"), tar.extract(staging, { map: strip }));
  await rename(staging, folder).catch(async () => rm(staging, { recursive: true })); // another was first
  return executable;
}
