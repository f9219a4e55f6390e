// Prints what a page says on its console until it has said LINES objects, or an error.
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";

const [address, lines] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage();
let left = Number(lines);
await new Promise((resolve) => {
  page.on("pageerror", (error) => (console.error(error.message), resolve()));
  page.on("console", (message) => {
    const isAnswer = message.text().startsWith("{");
    const said = isAnswer ? console.log : console.error;
    said(message.text());
    if (isAnswer && --left === 0) resolve();
  });
  setTimeout(resolve, 60_000);
  page.goto(address).catch((error) => (console.error(error.message), resolve()));
});
await browser.close();
process.exit(left ? 1 : 0);
