// Checks a page's layout at the widths of a phone and a desktop, in light and dark mode, and prints
// the problems.
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";

const [address] = process.argv.slice(2);
const browser = await launch();
const problems = [];

/** Text that is cut off or lies outside the page, and pairs of words on top of each other. */
function layoutIssues() {
  const issues = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) issues.push("the page scrolls sideways");
  const open = document.querySelector(":popover-open");
  const root = open ?? document.querySelector("main");
  const texts = [...root.querySelectorAll("h1, h2, h3, p, li, dt, dd, th, td, button, figcaption")].filter(
    (element) => element.checkVisibility() && element.textContent.trim() && (open || !element.closest("[popover]")),
  );
  for (const element of texts) {
    const { left, right, width } = element.getBoundingClientRect();
    const named = element.textContent.trim().slice(0, 40);
    const hidden = getComputedStyle(element.closest("thead") ?? element).position === "absolute";
    if (!hidden && (left < -1 || right > wide + 1)) issues.push(`outside: ${named}`);
    if (!hidden && element.scrollWidth > Math.ceil(width) + 1 && !element.querySelector("table")) issues.push(`clipped: ${named}`);
  }
  const buttons = texts.filter((element) => element.tagName === "BUTTON").map((element) => element.getBoundingClientRect());
  for (const [n, a] of buttons.entries()) {
    const over = buttons.slice(n + 1).some((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1);
    if (over) issues.push("two verdicts overlap");
  }
  const parse = (color) => color.match(/[\d.]+/g).slice(0, 3).map((part) => Number(part) / 255);
  const light = (color) => {
    const [r, g, b] = parse(color).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // WCAG 2.2, success criterion 1.4.3.
  for (const element of document.querySelectorAll(".verdict, .badge, .quiet")) {
    const paper = element.matches(".quiet") ? document.body : element;
    const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(paper).backgroundColor)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) issues.push(`contrast ${contrast.toFixed(1)}: ${element.className}`);
  }
  return [...new Set(issues)];
}

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[360, 780], [1280, 900]]) {
    const page = await (await browser.newContext({ viewport: { width, height }, colorScheme })).newPage();
    page.on("request", (request) => /^(file|data):/.test(request.url()) || problems.push(`asks for ${request.url()}`));
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(address);
    const report = (issues) => problems.push(...issues.map((issue) => `${colorScheme} ${width}: ${issue}`));
    report(await page.evaluate(layoutIssues));
    const verdicts = await page.locator("button.verdict").all();
    if (!verdicts.length) report(["there are no verdicts"]);
    for (const verdict of [verdicts[0], verdicts.at(-1)].filter(Boolean)) {
      await verdict.click();
      const details = page.locator(":popover-open");
      if (!(await details.isVisible())) report(["a verdict does not open"]);
      report(await page.evaluate(layoutIssues));
      await page.keyboard.press("Escape");
    }
    await page.context().close();
  }
}
// On paper, A4 between its margins, of a person whose screen is dark.
const paper = await (await browser.newContext({ viewport: { width: 703, height: 1000 }, colorScheme: "dark" })).newPage();
await paper.emulateMedia({ media: "print", colorScheme: "dark" });
await paper.goto(address);
problems.push(...(await paper.evaluate(layoutIssues)).map((issue) => `on paper: ${issue}`));
const [ink, sheet] = await paper.evaluate(() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]);
if (sheet !== "rgb(255, 255, 255)") problems.push(`on paper: the sheet is ${sheet}, the ink ${ink}`);
if (!(await paper.locator("thead").first().isVisible())) problems.push("on paper: tables have no headings");
if ((await paper.locator("main").innerText()).includes("Each verdict opens")) problems.push("on paper: nothing opens");
console.log(JSON.stringify(problems));
await browser.close();
process.exit(0);
