// Queues through @deno/kv on Node and the module in clients/ts. Prints ok.

import { openKv } from "@deno/kv";
import { deepStrictEqual, rejects, throws } from "node:assert";
import { withQueues } from "../../../clients/ts/mod.js";

const [url] = process.argv.slice(2);
const open = async () => withQueues(await openKv(url), url);
console.error = () => {}; // handlers that throw are reported there

const kv = await open();
const seen = [];
const all = Promise.withResolvers ? Promise.withResolvers() : (() => {
  let resolve;
  const promise = new Promise((r) => resolve = r);
  return { promise, resolve };
})();
const payloads = [1, "text", null, 7n, new Date(5), new Uint8Array([1, 2]), { a: new Map([[1, 2]]) }];
let failed = 0;
const listening = kv.listenQueue((m) => {
  if (m === "text" && failed++ === 0) throw new Error("once more");
  seen.push(m);
  if (seen.length === payloads.length + 1) all.resolve();
});
for (const p of payloads) deepStrictEqual((await kv.enqueue(p)).ok, true);
deepStrictEqual((await kv.atomic().check({ key: ["none"], versionstamp: "00000000000000010000" }).enqueue("not this").commit()).ok, false);
const committed = await kv.atomic().set(["a"], { b: 1n }).enqueue("in an atomic", { delay: 500 }).commit();
deepStrictEqual((await kv.get(["a"])).versionstamp, committed.versionstamp);
deepStrictEqual((await kv.get(["a"])).value, { b: 1n });
await all.promise;
for (const p of [...payloads, "in an atomic"]) {
  if (!seen.some((s) => { try { deepStrictEqual(s, p); return true; } catch { return false; } })) throw new Error(`${p} has not come`);
}
await rejects(kv.enqueue(1, { delay: -1 }), { name: "TypeError", message: "Delay must be >= 0: received -1" });
throws(() => kv.atomic().enqueue("x".repeat(70000)), { name: "TypeError", message: "enqueue payload too large (max 65536 bytes)" });
kv.close();
await listening;
console.log("ok");
