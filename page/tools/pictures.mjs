// Makes the pictures of the README: npm run pictures [-- PAGE [FOLDER]]
//
// PAGE is the page of a running demo (`go run . up`), http://localhost:3000 by default; FOLDER is ../docs by default.
// The script sends the demo some requests, opens one of their traces in a headless Chromium ($CHROMIUM, or the one that
// is installed) and prints the sentence that the trace opens with, for the text beside the picture.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [page = "http://localhost:3000", folder = new URL("../../docs", import.meta.url).pathname] = process.argv.slice(2);
const [width, height] = [1440, 900];

/** A browser with one tab, driven over a pipe: messages of Chrome's protocol, each ended by a zero byte. */
class Browser {
  #profile = mkdtempSync(join(tmpdir(), "etude-pictures-"));
  #process = spawn(process.env.CHROMIUM ?? "chromium", ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-background-networking", "--remote-debugging-pipe",
    // A headless browser has no mouse by itself, and the page would show what it shows on a phone.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4", `--user-data-dir=${this.#profile}`], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  #answers = new Map();
  #last = 0;
  #session;

  async start() {
    const failed = new Promise((_, reject) => this.#process.on("error", (err) => reject(new Error(`start ${err.path}: ${err.message}; set CHROMIUM`))));
    let read = "";
    this.#process.stdio[4].setEncoding("utf8").on("data", (text) => {
      const messages = (read + text).split("\0");
      read = messages.pop();
      for (const { id, result, error } of messages.map((m) => JSON.parse(m))) if (id) this.#answers.get(id)?.(error ? Promise.reject(new Error(error.message)) : result);
    });
    this.#process.stdio[3].on("error", () => {});
    const { targetId } = await Promise.race([this.call("Target.createTarget", { url: "about:blank" }), failed]);
    this.#session = (await this.call("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    await this.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    await this.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "light" }, { name: "prefers-reduced-motion", value: "reduce" }] });
  }

  call(method, params = {}) {
    return new Promise((resolve) => {
      this.#answers.set(++this.#last, resolve);
      this.#process.stdio[3].write(`${JSON.stringify({ id: this.#last, method, params, sessionId: this.#session })}\0`);
    });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  }

  /** Waits until the expression is true on the page. */
  async until(expression) {
    for (const end = Date.now() + 30_000; ; await sleep(50)) {
      if (await this.evaluate(`Boolean(${expression})`)) return;
      if (Date.now() > end) throw new Error(`not within 30 s: ${expression}`);
    }
  }

  async picture(name, path, ready, steps = []) {
    await this.call("Page.navigate", { url: page + path });
    await this.until(ready);
    for (const step of steps) await this.until(step);
    await this.evaluate("document.activeElement?.blur()");
    await sleep(1000); // charts are drawn
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    writeFileSync(join(folder, name), Buffer.from(data, "base64"));
    console.log(`${join(folder, name)}: ${await this.evaluate(`document.querySelector('${id("answer")} .first')?.innerText ?? document.title`)}`);
  }

  async stop() {
    const gone = new Promise((resolve) => this.#process.on("exit", resolve));
    this.#process.kill();
    await gone;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const id = (name) => `[data-testid="${name}"]`;
const there = (selector) => `document.querySelector('${selector}')`;

/** The traces of the calling service, the slowest first. */
async function traces() {
  const found = await (await fetch(`${page}/api/search?limit=300&q=${encodeURIComponent('{ resource.service.name = "uservice3" }')}`)).json();
  return found.traces.sort((a, b) => b.durationMs - a.durationMs);
}

async function sendRequests() {
  const { links } = await (await fetch(`${page}/etude.json`)).json();
  const service = links.services?.find((s) => s.name === "uservice3");
  if (!service?.edgePath) throw new Error(`${page} is no page of a running demo: start one with "go run . up"`);
  for (let i = 0; i < 12; i++) await (await fetch(service.edgePath)).text();
  for (const end = Date.now() + 30_000; (await traces()).length < 12; await sleep(200)) if (Date.now() > end) throw new Error("the spans of the requests did not arrive within 30 s");
}

await sendRequests();
const trace = (await traces())[2].traceID; // slow, and not the slowest
const span = `[...document.querySelectorAll('${id("span-row")}')].find((row) => row.innerText.includes("redis_call"))`;
const browser = new Browser();
try {
  await browser.start();
  await browser.picture("explore.png", `/explore?service=uservice3&trace=${trace}`, `${there(id("span-row"))} && ${there(`${id("scatter")} canvas`)}`);
  await browser.picture("trace.png", `/trace/${trace}`, there(id("span-row")), [`(row => (row.click(), true))(${span})`, there(id("span-code"))]);
  await browser.picture("compare.png", `/compare?before=usual&after=${trace}`, there(id("comparison")));
} finally {
  await browser.stop();
}
