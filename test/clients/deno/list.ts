// list by prefix, start and end, with limit, reverse, cursor and small batches, gives exactly the entries asked for.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);

const count = 1234;
for (let from = 0; from < count; from += 500) {
  const batch = kv.atomic();
  for (let i = from; i < Math.min(from + 500, count); i++) batch.set(["list", i], { i });
  await batch.commit();
}
await kv.set(["lisa"], "before");
await kv.set(["list"], "the prefix itself");
await kv.set(["lisu"], "after");

async function list(selector: Deno.KvListSelector, options?: Deno.KvListOptions): Promise<number[]> {
  const found: number[] = [];
  for await (const entry of kv.list<{ i: number }>(selector, options)) {
    assert.deepEqual(entry.key, ["list", entry.value.i]);
    assert.match(entry.versionstamp, /^[0-9a-f]{20}$/);
    found.push(entry.value.i);
  }
  return found;
}
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const prefix = ["list"];

assert.deepEqual(await list({ prefix }), numbers(0, count));
assert.deepEqual(await list({ prefix }, { limit: 10 }), numbers(0, 10));
assert.deepEqual(await list({ prefix }, { limit: 700, batchSize: 300 }), numbers(0, 700));
assert.deepEqual(await list({ prefix }, { reverse: true, limit: 3 }), [1233, 1232, 1231]);
assert.deepEqual(await list({ prefix }, { reverse: true }), numbers(0, count).reverse());
assert.deepEqual(await list({ prefix, start: ["list", 1230] }), numbers(1230, count));
assert.deepEqual(await list({ prefix, end: ["list", 4] }), numbers(0, 4));
assert.deepEqual(await list({ start: ["list", 5], end: ["list", 8] }), [5, 6, 7]);
assert.deepEqual(await list({ start: ["list", 5], end: ["list", 5] }), []);
assert.deepEqual(await list({ prefix: ["nothing"] }), []);

// A cursor goes on after the last entry, in either direction.
for (const reverse of [false, true]) {
  const found: number[] = [];
  for (let cursor = ""; ;) {
    const page = kv.list<{ i: number }>({ prefix }, { limit: 100, reverse, cursor: cursor || undefined });
    for await (const entry of page) found.push(entry.value.i);
    if (!(cursor = page.cursor)) break;
  }
  assert.deepEqual(found, reverse ? numbers(0, count).reverse() : numbers(0, count));
}

// An eventual read is answered too.
assert.deepEqual(await list({ prefix }, { limit: 2, consistency: "eventual" }), [0, 1]);

kv.close();
console.log("ok");
