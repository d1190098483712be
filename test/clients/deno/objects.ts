// An object can be set, read, replaced and deleted, and each write gives it a larger versionstamp.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);
const key = ["users", "alice"];

assert.deepEqual(await kv.get(key), { key, value: null, versionstamp: null });

const alice = { name: "Alice", credits: 100, tags: ["new"], born: new Date(0) };
const first = await kv.set(key, alice);
assert.deepEqual(await kv.get(key), { key, value: alice, versionstamp: first.versionstamp });

const second = await kv.set(key, { ...alice, credits: 90 });
assert.ok(second.versionstamp > first.versionstamp);
assert.equal((await kv.get<typeof alice>(key)).value?.credits, 90);

await kv.delete(key);
assert.deepEqual(await kv.get(key), { key, value: null, versionstamp: null });
await kv.delete(key); // of an absent key: no error

const entries = await kv.getMany([["users", "bob"], key]);
assert.deepEqual(entries.map((e) => e.versionstamp), [null, null]);

// The largest value that a client may store, and its key of 2,048 bytes, come back whole.
const large = [new Uint8Array(2046).fill(7)];
const bytes = crypto.getRandomValues(new Uint8Array(65536));
await kv.set(large, bytes);
assert.deepEqual((await kv.get(large)).value, bytes);

kv.close();
console.log("ok");
