// A watch begins with the current entries and then shows every change that lasts: sets, deletes and keys that expire.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);

// Reads a watch until an output passes the test, and returns that output. A key that never comes to it ends in the
// time limit of the Go test that runs this.
class Watch {
  #reader: ReadableStreamDefaultReader<Deno.KvEntryMaybe<unknown>[]>;
  constructor(...keys: Deno.KvKey[]) {
    this.#reader = kv.watch(keys).getReader();
  }
  async until(test: (values: unknown[]) => boolean): Promise<Deno.KvEntryMaybe<unknown>[]> {
    for (;;) {
      const { value, done } = await this.#reader.read();
      assert.ok(!done, "the watch ended");
      if (test(value.map((e) => e.value))) return value;
    }
  }
  next = () => this.until(() => true);
  cancel = () => this.#reader.cancel();
}

// The first output has every key, in the order of the request, also those that are absent.
await kv.set(["w", 3], "three");
const keys = Array.from({ length: 10 }, (_, i) => ["w", i]);
const ten = new Watch(...keys);
const first = await ten.next();
assert.deepEqual(first.map((e) => e.key), keys);
assert.deepEqual(first.map((e) => e.value), keys.map((_, i) => i === 3 ? "three" : null));

// Changes of several keys in one commit are seen together.
const { versionstamp } = await kv.atomic().set(["w", 0], 1).set(["w", 9], 1).delete(["w", 3]).commit() as Deno.KvCommitResult;
const together = await ten.next();
assert.deepEqual([0, 3, 9].map((i) => together[i].value), [1, null, 1]);
assert.equal(together[0].versionstamp, versionstamp);

// Of many changes the last one is seen, and both keys always hold the same number: every output is a snapshot.
const last = 200;
const snapshots = ten.until(([a, ...rest]) => {
  assert.equal(a, rest[8]);
  return a === last;
});
for (let n = 2; n <= last; n++) await kv.atomic().set(["w", 0], n).set(["w", 9], n).commit();
await snapshots;
await ten.cancel();

// A delete, and a key that comes back.
const one = new Watch(["one"]);
assert.deepEqual(await one.next(), [{ key: ["one"], value: null, versionstamp: null }]);
await kv.set(["one"], "a");
assert.equal((await one.next())[0].value, "a");
await kv.delete(["one"]);
assert.equal((await one.next())[0].value, null);

// Expiry wakes a watch, not before its time.
const set = Date.now();
await kv.set(["one"], "short", { expireIn: 700 });
assert.equal((await one.next())[0].value, "short");
assert.equal((await one.next())[0].value, null);
assert.ok(Date.now() >= set + 700, "the watch woke before the key's time");
await one.cancel();

// The place of a key that was made from its commit's versionstamp can be watched like any other.
const stamped = await kv.atomic().set(["log", kv.commitVersionstamp()], "entry").commit() as Deno.KvCommitResult;
const entry = new Watch(["log", stamped.versionstamp]);
assert.equal((await entry.next())[0].value, "entry");
await kv.delete(["log", stamped.versionstamp]);
await entry.until(([v]) => v === null);
await entry.cancel();

// With raw, an output for each message; still with the entry that is there.
const raw = kv.watch([["raw"]], { raw: true }).getReader();
assert.equal((await raw.read()).value?.[0].value, null);
await kv.set(["raw"], 1);
for (let value: unknown = null; value !== 1;) value = (await raw.read()).value?.[0].value;
await raw.cancel();

kv.close();
console.log("ok");
