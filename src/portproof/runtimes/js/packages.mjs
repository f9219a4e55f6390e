// The packages of an environment, whose folder a variable names: see environments/node.py.
import { createRequire } from "node:module";
import { join } from "node:path";

/** The folder of the environment `name`: as environments/node.py names it. */
export function environment(name) {
  const folder = process.env[`PORTPROOF_${name.toUpperCase().replaceAll("-", "_")}`];
  if (!folder) throw new Error(`the environment ${name} is not here`);
  return folder;
}

/** Loads packages of that environment: these programs lie elsewhere, where an import finds none. */
export function requireFrom(name) {
  return createRequire(join(environment(name), "package.json"));
}
