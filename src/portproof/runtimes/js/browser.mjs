// Launches a Chromium headless: the one that $CHROME names (runtimes/chromium.py looks for an installed
// one), or the one in the environment.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { environment, requireFrom } from "./packages.mjs";

const { chromium } = requireFrom("chromium")("playwright-core");

/** A launched playwright Browser. */
export async function launch() {
  const installed = process.env.CHROME;
  const executable = installed || join(environment("chromium"), "browser", "chromium");
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

// WebGPU reads a tensor at once by way of a canvas, which needs Vulkan: without it the GPU process ends.
const SOFTWARE = [
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  "--use-webgpu-adapter=swiftshader",
  "--use-vulkan=swiftshader",
];

/** Linux shows its GPUs as devices; other systems that Chromium runs on have one. */
function hasGpu() {
  return process.platform !== "linux" || existsSync("/dev/dri");
}
