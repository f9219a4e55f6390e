// Prints a page's console messages until LINES of them were objects, or until an error.
import { launch } from "../../src/portproof/runtimes/js/browser.mjs";

const [address, lines] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage();
let left = Number(lines);
await new Promise((resolve) => {
  page.on("pageerror", (error) => (console.error(error.message), resolve()));
  page.on("console", (message) => {
    const isAnswer = message.text().startsWith("{");
    const print = isAnswer ? console.log : console.error;
    print(message.text());
    if (isAnswer && --left === 0) resolve();
  });
  setTimeout(resolve, 60_000);
  page.goto(address).catch((error) => (console.error(error.message), resolve()));
});
await browser.close();
process.exit(left ? 1 : 0);
