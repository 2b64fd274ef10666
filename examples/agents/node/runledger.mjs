// Runledger agents in Node: harness protocol, version 1. No packages; copy this file.
//
//   import { serve } from "./runledger.mjs";
//   await serve(async (run) => {
//     const text = await run.step("fetch", async () => "some text"); // executed once
//     run.message(`${text.length} characters`);
//     return { characters: text.length };                            // the result of the run
//   });
//
// The function is called again from its beginning in every attempt; steps that are done give what
// they gave then. So: everything that has an effect or is not deterministic belongs in a step.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";

const MAX_FRAME_BYTES = 1 << 20;

/** Throw it in a step to say whether the step is tried again, elsewhere to fail the attempt. */
export class AgentError extends Error {
  constructor(message, { code = "agent_error", retryable = false } = {}) {
    super(message);
    Object.assign(this, { code, retryable });
  }
}

/** The run was cancelled: no further step starts. */
export class Cancelled extends Error {}

class Run {
  #write;
  #waiting = new Map(); // key of a step -> the function that takes its answer
  #counts = new Map();
  #step = null; // the step that is being executed

  constructor(write, frame) {
    this.#write = write;
    this.id = frame.run;
    this.attempt = frame.attempt;
    this.workdir = frame.workdir ?? process.cwd();
    restoreBlobs(frame, this.workdir);
    this.prompt = frame.input.prompt;
    this.initialState = frame.input.initial_state;
    this.history = frame.history ?? [];
    this.cancelled = false;
  }

  /** Executes `body({key, attempt, idempotencyKey})` as a step, or gives what it gave when done. */
  async step(key, body, options = {}) {
    if (this.cancelled) throw new Cancelled();
    let answer = this.#answer(key);
    this.#send("step.start", { key, ...options });
    for (;;) {
      const frame = await answer;
      if (frame.type === "step.cached") return frame.output;
      if (frame.type === "step.give_up")
        throw new AgentError(`step ${key}: ${frame.error?.message}`, { code: "step_given_up" });
      this.#step = key;
      try {
        const idempotencyKey = `${this.id}/${key}`;
        const output = (await body({ key, attempt: frame.attempt, idempotencyKey })) ?? null;
        this.#send("step.done", { key, output });
        return JSON.parse(JSON.stringify(output)); // as a later attempt will see it
      } catch (error) {
        console.error(error);
        answer = this.#answer(key);
        this.#send("step.fail", { key, error: described(error), retryable: error.retryable ?? true });
        if (this.cancelled) throw new Cancelled();
      } finally {
        this.#step = null;
      }
    }
  }

  message(content, role = "assistant") {
    this.#send("message", { id: this.#id("message"), role, content });
  }

  log(message, level = "info", fields = undefined) {
    this.#send("log", { id: this.#id("log"), level, message, fields });
  }

  usage({ tokens_in = 0, tokens_out = 0, cost_usd = 0, ...more }) {
    this.#send("usage", { id: this.#id("usage"), tokens_in, tokens_out, cost_usd, ...more });
  }

  checkpoint(state) {
    this.#send("checkpoint", { id: this.#id("checkpoint"), state });
  }

  artifact(file, options = {}) {
    this.#send("artifact", { id: this.#id("artifact"), path: file, ...options });
  }

  /** A path in the work folder, which is private to the run and kept over its attempts. */
  path(name) {
    return path.join(this.workdir, name);
  }

  /** Writes a file of the work folder whole or not at all, also when killed in the middle. */
  writeFile(name, text) {
    fs.writeFileSync(this.path(`${name}.part`), text, { flush: true });
    fs.renameSync(this.path(`${name}.part`), this.path(name));
  }

  receive(frame) {
    restoreBlobs(frame, this.workdir);
    if (frame.type === "cancel") {
      this.cancelled = true;
      for (const { reject } of this.#waiting.values()) reject(new Cancelled());
      this.#waiting.clear();
    } else if (this.#waiting.has(frame.key)) {
      const { resolve } = this.#waiting.get(frame.key);
      this.#waiting.delete(frame.key);
      resolve(frame);
    }
  }

  async drive(main) {
    try {
      this.#send("result", { output: (await main(this)) ?? null });
    } catch (error) {
      if (error instanceof Cancelled) {
        this.#send("error", { message: "cancelled", code: "cancelled" });
        return;
      }
      console.error(error);
      this.#send("error", { ...described(error), retryable: error.retryable ?? false });
    }
  }

  #answer(key) {
    const answer = new Promise((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
    answer.catch(() => {}); // a cancel may come before anybody waits
    return answer;
  }

  // The same in every attempt where it is called outside of steps: so the frame counts once.
  #id(type) {
    if (this.#step !== null) throw new AgentError(`${type} inside of the step ${this.#step}`);
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    return `${type}#${this.#counts.get(type)}`;
  }

  #send(type, members) {
    this.#write({ type, run: this.id, ...members });
  }
}

/** Drives the run this process was started for, and ends the process after it. */
export async function serve(main, { heartbeatMs = 15_000 } = {}) {
  const write = (frame) => {
    const line = Buffer.from(`${JSON.stringify(frame)}\n`);
    if (line.length > MAX_FRAME_BYTES)
      throw new AgentError(`${line.length} bytes do not fit in a frame`, { code: "too_large" });
    for (let sent = 0; sent < line.length; ) sent += fs.writeSync(1, line, sent);
  };
  console.log = console.info = console.error; // stdout belongs to the protocol
  write({ type: "ready", protocol: 1, max_runs: 1 });
  const heartbeat = setInterval(() => write({}), heartbeatMs);
  let run;
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const frame = JSON.parse(line);
    if (frame.type === "run.start") run = new Run(write, frame);
    else if (frame.type === "history") {
      restoreBlobs(frame, run.workdir);
      run.history.push(...frame.items);
    } else if (frame.type === "shutdown") {
      if (!run) break;
    } else run?.receive(frame);
    if (frame.type === "run.start" ? !frame.history_more : frame.type === "history" && !frame.more)
      run.drive(main).then(() => process.exit(0));
  }
  clearInterval(heartbeat);
  process.exit(0); // the server is gone, or wants nothing more
}

// Puts the members that were too large for the frame back in their places.
function restoreBlobs(frame, folder) {
  for (const [pointer, blob] of Object.entries(frame.blobs ?? {})) {
    const names = pointer.split("/").slice(1).map((n) => n.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = names.pop();
    const text = fs.readFileSync(path.join(folder, blob.path), "utf8");
    names.reduce((place, name) => place[name], frame)[last] =
      blob.media_type?.startsWith("text/plain") ? text : JSON.parse(text);
  }
}

function described(error) {
  return { message: String(error.message ?? error).slice(0, 4000), code: error.code ?? error.name };
}
