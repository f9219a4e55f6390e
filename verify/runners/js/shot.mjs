import { launch } from "./browser.mjs";
const [url, out, click] = process.argv.slice(2);
const b = await launch();
for (const scheme of ["light", "dark"]) for (const [w, h] of [[390, 844], [1280, 900]]) {
  const c = await b.newContext({ viewport: { width: w, height: h }, colorScheme: scheme });
  const p = await c.newPage();
  p.on("console", (m) => console.log("console", m.text()));
  await p.goto(url);
  console.log(scheme, w, await p.evaluate(() => [document.documentElement.scrollWidth, innerWidth, document.documentElement.scrollHeight]));
  await p.screenshot({ path: `${out}-${scheme}-${w}.png`, fullPage: true });
  if (click) { await p.click(click); await p.screenshot({ path: `${out}-${scheme}-${w}-open.png` }); }
  await c.close();
}
await b.close(); process.exit(0);
