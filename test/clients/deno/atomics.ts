// An atomic happens whole or not at all, is as large as Deno allows, and each commit has a larger versionstamp.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);
const stamp = (result: Deno.KvCommitResult | Deno.KvCommitError) => {
  assert.ok(result.ok);
  return result.versionstamp;
};
const count = async (prefix: Deno.KvKey) => (await Array.fromAsync(kv.list({ prefix }))).length;

// 100 checks and 1,000 mutations in one commit, which all share its versionstamp.
const large = kv.atomic();
for (let i = 0; i < 100; i++) large.check({ key: ["large", i], versionstamp: null });
for (let i = 0; i < 1000; i++) large.set(["large", i], i);
const created = stamp(await large.commit());
const entries = await Array.fromAsync(kv.list({ prefix: ["large"] }));
assert.equal(entries.length, 1000);
assert.ok(entries.every((e) => e.versionstamp === created));

// One check of a hundred that does not hold is enough: nothing happens.
const conflict = kv.atomic();
for (const e of entries.slice(0, 99)) conflict.check(e);
conflict.check({ key: ["large", 99], versionstamp: null });
for (const e of entries.slice(0, 900)) conflict.delete(e.key);
conflict.set(["after a conflict"], 1).sum(["sum after a conflict"], 1n);
assert.deepEqual(await conflict.commit(), { ok: false });
assert.equal(await count(["large"]), 1000);
assert.equal(await count(["after a conflict"]), 0);

// A mutation that fails takes the whole atomic with it, also what came before it.
await kv.set(["text"], "seven");
await assert.rejects(kv.atomic().set(["before"], 1).delete(["large", 0]).sum(["text"], 1n).commit());
await assert.rejects(kv.atomic().sum(["text"], 1n).set(["behind"], 1).commit());
const left = await kv.getMany([["before"], ["behind"], ["large", 0]]);
assert.deepEqual(left.map((e) => e.value), [null, null, 0]);

// Empty commits, commits of checks alone and deletes of absent keys are commits too.
const stamps = [
  created,
  stamp(await kv.atomic().commit()),
  stamp(await kv.atomic().commit()),
  stamp(await kv.atomic().check({ key: ["nowhere"], versionstamp: null }).commit()),
  stamp(await kv.atomic().check(entries[0]).commit()),
  stamp(await kv.atomic().delete(["nowhere"]).commit()),
  stamp(await kv.set(["last"], 1)),
];
assert.deepEqual(stamps, [...new Set(stamps)].sort());

// Within a commit, the last word counts, and mutations happen in their order.
await kv.atomic().set(["order"], 1).delete(["order"]).commit();
assert.equal((await kv.get(["order"])).value, null);
await kv.atomic().delete(["order"]).set(["order"], 2).set(["order"], 3).commit();
assert.equal((await kv.get(["order"])).value, 3);

// Of many that check the same entry, one commits.
const { versionstamp } = await kv.get(["order"]);
const racers = await Promise.all(Array.from({ length: 50 }, (_, i) =>
  kv.atomic().check({ key: ["order"], versionstamp }).set(["order"], { winner: i }).commit()));
assert.equal(racers.filter((r) => r.ok).length, 1);
assert.deepEqual((await kv.get(["order"])).value, { winner: racers.findIndex((r) => r.ok) });

// Many commits at once, each with a versionstamp of its own.
const many = await Promise.all(Array.from({ length: 300 }, (_, i) => kv.set(["many", i], i)));
assert.equal(new Set(many.map((r) => r.versionstamp)).size, 300);

kv.close();
console.log("ok");
