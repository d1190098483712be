// Keys of every type come back as they were set, sorted as Deno KV sorts them.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);

const sorted: Deno.KvKeyPart[] = [
  new Uint8Array([]),
  new Uint8Array([0]),
  new Uint8Array([0, 255]),
  new Uint8Array([1]),
  new Uint8Array([255]),
  "",
  "\0",
  "a",
  "a\0b",
  "aa",
  "ä",
  "\u{1F600}",
  -(2n ** 2039n),
  -(2n ** 64n),
  -(2n ** 64n) + 1n,
  -256n,
  -255n,
  -1n,
  0n,
  1n,
  255n,
  256n,
  2n ** 64n - 1n,
  2n ** 64n,
  2n ** 2039n,
  -Infinity,
  -1e300,
  -1.5,
  -1,
  -Number.MIN_VALUE,
  -0,
  0,
  Number.MIN_VALUE,
  1,
  1.5,
  2 ** 53,
  Infinity,
  NaN,
  false,
  true,
];

// Written in another order than they must come back in.
for (const i of [...sorted.keys()].sort((a, b) => (a * 17) % 41 - (b * 17) % 41)) {
  await kv.set(["part", sorted[i]], i);
}
const listed = await Array.fromAsync(kv.list<number>({ prefix: ["part"] }));
assert.deepEqual(listed.map((e) => e.value), [...sorted.keys()]);
assert.deepEqual(listed.map((e) => e.key[1]), sorted);
for (const [i, part] of sorted.entries()) {
  assert.equal((await kv.get(["part", part])).value, i, `get of ${String(part)}`);
}

// A shorter key sorts before those that begin with it, and 1 is another key than 1n or "1".
const nested: Deno.KvKey[] = [["n", "1"], ["n", 1n], ["n", 1], ["n", 1, "x"], ["n", 1, 0n], ["n", true, false, "x"]];
for (const [i, key] of nested.entries()) await kv.set(key, i);
const order = await Array.fromAsync(kv.list<number>({ prefix: ["n"] }), (e) => e.value);
assert.deepEqual(order, [0, 1, 2, 3, 4, 5]);

kv.close();
console.log("ok");
