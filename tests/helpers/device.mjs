// Opens a link as a phone would. Arguments: the link, a screenshot's path, milliseconds after which the page
// is closed (0: when it is done), a path for what the page offers to download. Prints the text of the page.
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";

const [link, picture, after, download] = process.argv.slice(2);
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
const page = await context.newPage();
page.on("console", (message) => console.error(message.text()));
page.on("pageerror", (error) => console.error(String(error)));
await page.goto(link);
if (Number(after)) {
  await page.waitForTimeout(Number(after));
} else {
  // "Waiting for the computer that the link is from" is no end: a busy machine answers late.
  const isOver = () => /^(?!Waiting).*(this device:|link|stopped)/.test(document.getElementById("status").textContent);
  await page.waitForFunction(isOver, null, { timeout: 300_000 });
}
if (download) {
  const offered = page.waitForEvent("download");
  await page.click("#download");
  await (await offered).saveAs(download);
}
if (picture) await page.screenshot({ path: picture, fullPage: true });
console.log(await page.innerText("body"));
await browser.close();
process.exit(0);
