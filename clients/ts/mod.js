// Queues for a Deno.Kv, or a Kv of @deno/kv, that is opened on a Millpond URL: both refuse to enqueue over the network, and
// cannot listen. It is JavaScript, so that Node runs it as it is; mod.d.ts has its types.
//
// @ts-self-types="./mod.d.ts"

import { Buffer } from "node:buffer";
import process from "node:process";
import * as v8 from "node:v8";

const maxPayload = 65536; // bytes
const maxDelay = 30 * 24 * 60 * 60 * 1000;
const maxBackoffSteps = 5;
const maxBackoff = 60 * 60 * 1000;
const maxReceived = 100; // messages of one request: the server's bound
const receiveWait = 30_000; // how long the server holds a request for messages
const callTimeout = 40_000;
const retryFor = 60_000; // a commit that the server says was not begun, or a message that was handled
const signsOfLife = 3; // of a running handler, in the time after which its message would go to another listener

/** Gives `kv`, which is opened on `url`, an `enqueue` and a `listenQueue` that work, also `atomic().enqueue`. */
export function withQueues(kv, url, options = {}) {
  const queues = new Queues(kv, new Connection(url, options.accessToken), options.concurrency ?? 100);
  return new Proxy(kv, {
    get(target, name) {
      switch (name) {
        case "enqueue":
          return (value, o) => queues.enqueue(value, o);
        case "listenQueue":
          return (handler) => queues.listen(handler);
        case "atomic":
          return () => new Atomic(queues);
        case "close":
          return () => queues.close();
        case Symbol.dispose: // as Deno's, it may come after close
          return () => queues.closed || queues.close();
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** `Deno.openKv(url)` with queues that work. */
export async function openKv(url, options = {}) {
  return withQueues(await globalThis.Deno.openKv(url), url, options);
}

class Queues {
  closed = false;
  listeners = new Set(); // of AbortController

  constructor(kv, connection, concurrency) {
    Object.assign(this, { kv, connection, concurrency });
  }

  close() {
    this.kv.close();
    this.closed = true;
    for (const listener of this.listeners) listener.abort();
  }

  async enqueue(value, options) {
    return await this.commit({ messages: [message(value, options)] });
  }

  /** Commits what the server's enqueue endpoint takes. */
  async commit(request) {
    if (this.closed) throw badResource();
    const answer = await this.connection.call("enqueue", request, { repeat: false });
    return answer.ok ? { ok: true, versionstamp: answer.versionstamp } : { ok: false };
  }

  async listen(handler) {
    if (this.closed) throw new Error("Queue already closed");
    const listener = new AbortController();
    this.listeners.add(listener);
    try {
      await new Listener(this.connection, handler, this.concurrency, listener.signal).run();
    } finally {
      this.listeners.delete(listener);
    }
  }
}

/** One listenQueue: it takes messages and runs handlers until its signal aborts. */
class Listener {
  running = 0;
  freed = () => {}; // called when a handler has ended

  constructor(connection, handler, concurrency, signal) {
    Object.assign(this, { connection, handler, concurrency, signal });
  }

  async run() {
    for (let pause = 50; !this.signal.aborted;) {
      const free = this.concurrency - this.running;
      if (free < 1) {
        await new Promise((resolve) => this.freed = resolve);
        continue;
      }
      let answer;
      try {
        const request = { max: Math.min(free, maxReceived), wait: receiveWait };
        answer = await this.connection.once("receive", request, this.signal);
      } catch (error) {
        if (this.signal.aborted) return;
        if (error.final) throw error;
        await sleep(pause, this.signal);
        pause = Math.min(pause * 2, 2000);
        continue;
      }
      pause = 50;
      for (const m of answer.messages) this.handle(m, answer.ackWait);
    }
  }

  async handle(m, ackWait) {
    this.running++;
    const receipts = { receipts: [m.receipt] };
    const alive = setInterval(() => this.connection.once("extend", receipts).catch(() => {}), ackWait / signsOfLife);
    let verdict = "ack";
    try {
      await this.handler(deserialize(m.payload));
    } catch (error) {
      console.error("Exception in queue handler", error); // as Deno
      verdict = "nack";
    }
    clearInterval(alive);
    try {
      await this.connection.call(verdict, receipts, { repeat: true });
    } catch (error) {
      console.error("A message will come again: the server could not be told what has become of it.", error);
    }
    this.running--;
    this.freed();
  }
}

/** Collects an atomic. Without messages it is the Kv's own that commits. */
class Atomic {
  checks = [];
  mutations = []; // as of mutate
  messages = [];

  constructor(queues) {
    this.queues = queues;
  }

  check(...checks) {
    for (const { key, versionstamp } of checks) this.checks.push({ key, versionstamp });
    return this;
  }

  mutate(...mutations) {
    this.mutations.push(...mutations);
    return this;
  }

  set(key, value, options) {
    return this.mutate({ type: "set", key, value, expireIn: options?.expireIn });
  }

  delete(key) {
    return this.mutate({ type: "delete", key });
  }

  sum(key, n) {
    return this.mutate({ type: "sum", key, value: u64(n) });
  }

  min(key, n) {
    return this.mutate({ type: "min", key, value: u64(n) });
  }

  max(key, n) {
    return this.mutate({ type: "max", key, value: u64(n) });
  }

  enqueue(value, options) {
    this.messages.push(message(value, options));
    return this;
  }

  async commit() {
    if (this.messages.length > 0) {
      return await this.queues.commit({
        checks: this.checks.map((c) => ({ key: encodeKey(c.key), versionstamp: c.versionstamp ?? null })),
        mutations: this.mutations.map(mutation),
        messages: this.messages,
      });
    }
    let own = this.queues.kv.atomic().check(...this.checks);
    for (const { type, key, value, expireIn } of this.mutations) {
      switch (type) {
        case "set":
          own = own.set(key, value instanceof U64 ? value.value : value, expireIn === undefined ? undefined : { expireIn });
          break;
        case "delete":
          own = own.delete(key);
          break;
        default: // sum, min, max, and whatever the Kv says of others
          own = value instanceof U64 ? own[type](key, value.value) : own.mutate({ type, key, value, expireIn });
      }
    }
    return await own.commit();
  }
}

/** The operand of sum, min and max, which take a bigint. */
class U64 {
  constructor(value) {
    this.value = value;
  }
}

function u64(n) {
  if (typeof n !== "bigint") throw new TypeError(`Value must be a bigint: received ${typeof n}`);
  if (n < 0n) throw new RangeError(`Value must be a positive bigint: received ${n}`);
  if (n > 0xffffffffffffffffn) throw new RangeError(`Value must fit in a 64-bit unsigned integer: received ${n}`);
  return new U64(n);
}

const mutationTypes = { set: 1, delete: 2, sum: 3, max: 4, min: 5 }; // KV Connect's
const setWithVersionstamp = 9;

/** What the server takes of a mutation. */
function mutation({ type, key, value, expireIn }) {
  if (!Object.hasOwn(mutationTypes, type)) throw new TypeError("Invalid mutation type");
  const out = { type: mutationTypes[type] };
  if (type === "set" && typeof key.at(-1) === "symbol") { // commitVersionstamp()
    out.type = setWithVersionstamp;
    key = key.slice(0, -1);
  }
  out.key = encodeKey(key);
  if (type === "delete") return out;
  if (expireIn !== undefined) {
    if (!Number.isInteger(expireIn) || expireIn < 0) throw new TypeError(`expireIn must be a non-negative integer: received ${expireIn}`);
    out.expireIn = Math.max(1, expireIn);
  }
  if (value instanceof U64 || value?.constructor?.name === "KvU64") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value.value);
    return { ...out, encoding: 2, value: base64(bytes) };
  }
  if (value?.constructor === Uint8Array || Buffer.isBuffer(value)) return { ...out, encoding: 3, value: base64(value) };
  return { ...out, encoding: 1, value: base64(serialize(value)) };
}

/** What the server takes of a message. The errors are Deno's. */
function message(value, options) {
  const { delay, backoffSchedule, keysIfUndelivered } = options ?? {};
  const payload = serialize(value);
  if (payload.length > maxPayload) throw new TypeError(`enqueue payload too large (max ${maxPayload} bytes)`);
  const out = { payload: base64(payload) };
  if (delay !== undefined) {
    if (delay < 0) throw new TypeError(`Delay must be >= 0: received ${delay}`);
    if (delay > maxDelay) throw new TypeError(`Delay cannot be greater than 30 days: received ${delay}`);
    if (Number.isNaN(Number(delay))) throw new TypeError("Delay cannot be NaN");
    out.delay = Math.trunc(delay);
  }
  if (backoffSchedule) {
    if (backoffSchedule.length > maxBackoffSteps) throw new TypeError(`Invalid backoffSchedule, max ${maxBackoffSteps} intervals allowed`);
    for (const [i, step] of backoffSchedule.entries()) {
      if (!(step >= 0 && step <= maxBackoff)) throw new TypeError(`Invalid backoffSchedule, interval at index ${i} is invalid`);
    }
    out.backoffSchedule = backoffSchedule.map(Math.trunc);
  }
  if (keysIfUndelivered) out.keysIfUndelivered = keysIfUndelivered.map(encodeKey);
  return out;
}

/** A key as KV Connect has it, in base64. */
function encodeKey(key) {
  if (!Array.isArray(key)) throw new TypeError("A key is an array");
  if (key.length === 0) throw new TypeError("key cannot be empty");
  return base64(Buffer.concat(key.map(encodePart)));
}

function encodePart(part) {
  switch (typeof part) {
    case "string":
      return Buffer.concat([Buffer.of(2), escapeZeros(Buffer.from(part, "utf8")), Buffer.of(0)]);
    case "number": {
      const b = Buffer.alloc(9, 0x21);
      b.writeDoubleBE(part, 1);
      const flip = b[1] & 0x80 ? 0xff : 0;
      for (let i = 1; i < 9; i++) b[i] ^= flip;
      if (!flip) b[1] ^= 0x80;
      return b;
    }
    case "bigint":
      return encodeBigInt(part);
    case "boolean":
      return Buffer.of(part ? 0x27 : 0x26);
  }
  if (part instanceof Uint8Array) return Buffer.concat([Buffer.of(1), escapeZeros(part), Buffer.of(0)]);
  throw new TypeError("expected string, number, bigint, ArrayBufferView, boolean"); // as Deno
}

function escapeZeros(bytes) {
  return Buffer.from([...bytes].flatMap((b) => b === 0 ? [0, 0xff] : [b]));
}

function encodeBigInt(n) {
  let hex = (n < 0n ? -n : n).toString(16);
  if (hex.length % 2) hex = "0" + hex;
  const size = n === 0n ? 0 : hex.length / 2;
  if (size > 255) throw new TypeError("BigUint requires more than 255 bytes to be represented");
  const digits = Buffer.from(n === 0n ? "" : hex, "hex");
  if (n >= 0n) return Buffer.concat([size > 8 ? Buffer.of(0x1d, size) : Buffer.of(0x14 + size), digits]);
  const flipped = digits.map((b) => b ^ 0xff);
  return Buffer.concat([size > 8 ? Buffer.of(0x0b, size ^ 0xff) : Buffer.of(0x14 - size), flipped]);
}

/** V8's own format, in which Deno reads typed arrays too: that of v8.serialize has Node's form of them. */
function serialize(value) {
  const s = new v8.Serializer();
  s.writeHeader();
  try {
    s.writeValue(value);
  } catch (error) {
    throw new TypeError(error.message, { cause: error });
  }
  return s.releaseBuffer();
}

function deserialize(payload) {
  const bytes = Buffer.from(payload, "base64");
  if (bytes[1] === 16) bytes[1] = 15; // the same format for what fits into a message; older runtimes do not know 16
  return v8.deserialize(bytes);
}

function base64(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function badResource() {
  const BadResource = globalThis.Deno?.errors?.BadResource ?? Error;
  return new BadResource("Bad resource ID");
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

/** An answer of the server that is no success. It is final if another try would get the same. */
class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
    this.final = status < 500 && status !== 429;
  }
}

/** Speaks to the queue's endpoints of one database, with the tokens of KV Connect. */
class Connection {
  session = undefined; // a promise of { base, headers }

  constructor(url, accessToken) {
    this.url = String(url);
    this.accessToken = accessToken;
  }

  /** Calls until there is an answer. What may have been done is only done again if repeat says so. */
  async call(method, request, { repeat }) {
    const until = Date.now() + retryFor;
    for (let pause = 50;; pause = Math.min(pause * 2, 2000)) {
      try {
        return await this.once(method, request);
      } catch (error) {
        const untouched = error.status === 503 || error.status === 429;
        if (error.final || !(untouched || repeat) || Date.now() + pause > until) throw error;
      }
      await sleep(pause);
    }
  }

  /** Calls once, and once more with a new token if the one there is was refused. */
  async once(method, request, signal) {
    const session = this.session ??= this.exchange();
    try {
      return await this.post(await session, method, request, signal);
    } catch (error) {
      if (this.session === session) this.session = undefined;
      if (error.status !== 401 && error.status !== 403) throw error;
    }
    return await this.post(await (this.session ??= this.exchange()), method, request, signal);
  }

  async exchange() {
    const token = this.accessToken ?? process.env.DENO_KV_ACCESS_TOKEN ?? "";
    const response = await this.fetch(this.url, { authorization: `Bearer ${token}` }, { supportedVersions: [2, 3] });
    const metadata = await response.json();
    const strong = metadata.endpoints.find((e) => e.consistency === "strong");
    return {
      base: new URL(strong.url, response.url).href.replace(/\/$/, ""),
      headers: { authorization: `Bearer ${metadata.token}`, "x-denokv-database-id": metadata.databaseId },
    };
  }

  async post({ base, headers }, method, request, signal) {
    return await (await this.fetch(`${base}/queue/${method}`, headers, request, signal)).json();
  }

  async fetch(url, headers, body, signal) {
    const timeout = AbortSignal.timeout(callTimeout);
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    if (response.status !== 200) throw new Refused(response.status, await response.text());
    return response;
  }
}
