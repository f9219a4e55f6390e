// Takes a picture of the top of a page, as wide as a page of documents, and writes it as PNG.
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";

const [address, file, width, height, scheme = "light", media = "screen"] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage({ viewport: { width: Number(width), height: Number(height) }, colorScheme: scheme });
await page.emulateMedia({ media, colorScheme: scheme });
await page.goto(address);
await page.screenshot({ path: file, fullPage: media === "full" });
await browser.close();
process.exit(0);
