// Every mutation that Deno can send, on every kind of number.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);
const u64 = (n: bigint) => new Deno.KvU64(n);
const get = async (...key: Deno.KvKey) => (await kv.get<unknown>(key)).value;
const getU64 = async (...key: Deno.KvKey) => (await kv.get<Deno.KvU64>(key)).value?.value;
const sum = (key: Deno.KvKey, value: unknown) =>
  kv.atomic().mutate({ type: "sum", key, value: value as Deno.KvU64 }).commit();

// KvU64: an absent key counts as the operand, sums wrap at 2^64, later mutations see earlier ones.
await kv.atomic().sum(["u"], 5n).commit();
assert.equal(await getU64("u"), 5n);
await kv.atomic().sum(["u"], 2n ** 64n - 1n).commit();
assert.equal(await getU64("u"), 4n);
await kv.atomic().delete(["u"]).sum(["u"], 1n).sum(["u"], 2n).commit();
assert.equal(await getU64("u"), 3n);
await kv.atomic().min(["u"], 2n).max(["u2"], 7n).max(["u2"], 9n).max(["u2"], 8n).min(["u3"], 6n).commit();
assert.deepEqual([await getU64("u"), await getU64("u2"), await getU64("u3")], [2n, 9n, 6n]);
await kv.atomic().max(["u"], 2n ** 63n).commit(); // unsigned: larger than 2
assert.equal(await getU64("u"), 2n ** 63n);

// Numbers and bigints can be summed as they are.
await sum(["number"], 1);
await sum(["number"], 0.5);
await sum(["number"], -4);
assert.equal(await get("number"), -2.5);
await sum(["bigint"], -5n);
await sum(["bigint"], 2n ** 100n);
assert.equal(await get("bigint"), 2n ** 100n - 5n);
await kv.set(["old"], u64(7n));
await sum(["old"], 3n); // a KvU64 and a bigint: stays a KvU64
assert.equal(await getU64("old"), 10n);

// A sum that cannot be is an error that says why, and the value stays.
await kv.set(["text"], "seven");
await assert.rejects(kv.atomic().sum(["text"], 1n).commit(), /non-U64|number|U64/i);
await assert.rejects(kv.atomic().min(["text"], 1n).commit(), /non-U64|number|U64/i);
await assert.rejects(sum(["number"], 1n), /BigInt|bigint/);
await assert.rejects(sum(["number"], u64(1n)), /U64/);
await assert.rejects(sum(["number"], "1"), Error);
assert.deepEqual([await get("text"), await get("number")], ["seven", -2.5]);

// A sum takes away the expiry that the key had; so does a set without one.
await kv.set(["lasting"], u64(1n), { expireIn: 300 });
await kv.set(["ending"], u64(1n), { expireIn: 300 });
await kv.atomic().sum(["lasting"], 1n).commit();
while (await get("ending") !== null);
assert.equal(await getU64("lasting"), 2n);

// A key that ends in the commit's versionstamp sorts commits by their time.
const stamps: string[] = [];
for (const message of ["first", "second"]) {
  const result = await kv.atomic()
    .set(["log", kv.commitVersionstamp()], message)
    .set(["log length"], message.length)
    .commit();
  assert.ok(result.ok);
  stamps.push(result.versionstamp);
}
const log = await Array.fromAsync(kv.list({ prefix: ["log"] }));
assert.deepEqual(log.map((e) => [e.key[1], e.value, e.versionstamp]), [
  [stamps[0], "first", stamps[0]],
  [stamps[1], "second", stamps[1]],
]);

kv.close();
console.log("ok");
