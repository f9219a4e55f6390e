// Prints what axe-core finds serious or critical on pages, at the widths of a phone, a tablet and a desk, in
// light and dark, and whether each page that has buttons can be used by the keyboard alone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";
import { environment } from "../../src/portproof/runtimes/js/packages.mjs";

const [settled, ...addresses] = process.argv.slice(2);
const axe = readFileSync(join(environment("axe"), "node_modules", "axe-core", "axe.min.js"), "utf8");
const browser = await launch();
const found = new Set();

async function check(page, named) {
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  if (!passes.length) found.add(`${named}: axe looked at nothing`);
  for (const { id, impact, nodes } of violations) {
    if (!["serious", "critical"].includes(impact)) continue;
    for (const node of nodes.slice(0, 3)) found.add(`${named}: ${id}: ${node.html.slice(0, 160)}: ${node.failureSummary.slice(0, 200)}`);
  }
}

/** Tab reaches a verdict, Enter opens it, what is inside can be left by Escape. */
async function useKeyboard(page, named) {
  const buttons = await page.locator("button[popovertarget]").count();
  if (!buttons) return;
  await page.evaluate(() => document.activeElement.blur());
  for (let presses = 0; presses < 30; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.hasAttribute("popovertarget"))) break;
  }
  const outline = await page.evaluate(() => {
    const { outlineStyle, borderColor } = getComputedStyle(document.activeElement);
    return document.activeElement.hasAttribute("popovertarget") && (outlineStyle !== "none" || borderColor !== "rgba(0, 0, 0, 0)");
  });
  if (!outline) return found.add(`${named}: Tab reaches no verdict that is seen`);
  await page.keyboard.press("Enter");
  if (!(await page.locator(":popover-open").isVisible())) return found.add(`${named}: Enter opens no verdict`);
  await check(page, `${named}, opened`);
  await page.keyboard.press("Escape");
  if (await page.locator(":popover-open").count()) found.add(`${named}: Escape closes nothing`);
}

for (const address of addresses) {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(address);
  if (settled) {
    const isSettled = (pattern) => new RegExp(pattern).test(document.getElementById("status").textContent);
    await page.waitForFunction(isSettled, settled, { timeout: 300_000 });
  }
  await page.addScriptTag({ content: axe });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [360, 768, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      const named = `${new URL(address).pathname.split("/").at(-1)} ${colorScheme} ${width}`;
      await check(page, named);
      if ((await page.evaluate(() => document.documentElement.scrollWidth)) > width) found.add(`${named}: the page scrolls sideways`);
      await useKeyboard(page, named);
    }
  }
  await context.close();
}
console.log(JSON.stringify([...found]));
await browser.close();
process.exit(0);
