// What @deno/kv does on Node, over one version of KV Connect. Arguments: URL, the version.
import assert from "node:assert/strict";
import { KvU64, openKv } from "@deno/kv";

const [url, version] = process.argv.slice(2);
const kv = await openKv(url, { supportedVersions: [Number(version)] });
const key = ["users", "alice"];

assert.deepEqual(await kv.get(key), { key, value: null, versionstamp: null });
const first = await kv.set(key, { name: "Alice", since: new Date(0) });
const entry = await kv.get(key);
assert.deepEqual(entry, { key, value: { name: "Alice", since: new Date(0) }, versionstamp: first.versionstamp });

// Checks: the first commit holds, the second was too late.
const update = () => kv.atomic().check(entry).set(key, { name: "Alice", credits: 1 }).commit();
assert.equal((await update()).ok, true);
assert.deepEqual(await update(), { ok: false });

// Mutations.
await kv.atomic()
  .set(["n"], new KvU64(5n)).sum(["n"], 2n ** 64n - 1n).min(["low"], 7n).min(["low"], 6n).max(["high"], 8n)
  .commit();
const numbers = await kv.getMany([["n"], ["low"], ["high"]]);
assert.deepEqual(numbers.map((e) => e.value.value), [4n, 6n, 8n]);
const empty = [await kv.atomic().commit(), await kv.atomic().commit()];
assert.ok(empty[0].ok && empty[1].ok && empty[0].versionstamp < empty[1].versionstamp);

// Keys of every type, lists in both directions and in pages.
const parts = [new Uint8Array([1]), "s", -(2n ** 70n), 3n, -1.5, 4, false, true];
for (const [i, part] of parts.entries()) await kv.set(["part", part], i);
const list = async (selector, options) => {
  const found = [];
  for await (const { value } of kv.list(selector, options)) found.push(value);
  return found;
};
assert.deepEqual(await list({ prefix: ["part"] }), [0, 1, 2, 3, 4, 5, 6, 7]);
assert.deepEqual(await list({ prefix: ["part"] }, { reverse: true, limit: 2 }), [7, 6]);
assert.deepEqual(await list({ prefix: ["part"] }, { batchSize: 3, consistency: "eventual" }), [0, 1, 2, 3, 4, 5, 6, 7]);
assert.deepEqual(await list({ start: ["part", 3n], end: ["part", false] }), [3, 4, 5]);
const page = kv.list({ prefix: ["part"] }, { limit: 5 });
for await (const _ of page);
assert.deepEqual(await list({ prefix: ["part"] }, { cursor: page.cursor }), [5, 6, 7]);

// Expiry.
await kv.set(["brief"], 1, { expireIn: 300 });
while ((await kv.get(["brief"])).value !== null);

// A message is accepted with its commit.
assert.equal((await kv.enqueue({ hello: "queue" }, { delay: 1000 })).ok, true);

await kv.delete(key);
assert.equal((await kv.get(key)).value, null);
kv.close();
console.log("ok");
