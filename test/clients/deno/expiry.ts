// A key set with expireIn is there until its time and gone from that millisecond on: for get, list, check and sum.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);
const life = 1500;

const before = Date.now();
const { versionstamp } = await kv.set(["session", 1], "here", { expireIn: life });
await kv.set(["session", 2], new Deno.KvU64(40n), { expireIn: life });
await kv.set(["session", 3], "stays");
await kv.set(["session", 4], "replaced", { expireIn: life });
await kv.set(["session", 4], "without an end");
const after = Date.now();

// Asks until the key is gone. A get that ended before the key's time must have seen it; one that began after it must not.
let seen = 0;
for (;;) {
  const asked = Date.now();
  const { value } = await kv.get(["session", 1]);
  const answered = Date.now();
  if (answered < before + life) assert.equal(value, "here", `gone ${before + life - answered} ms before its time`);
  if (asked > after + life) assert.equal(value, null, `still there ${asked - after - life} ms after its time`);
  if (value === null) break;
  seen++;
}
assert.ok(seen > 0, "no get saw the key");
while (Date.now() <= after + life) await kv.get(["session", 2]);

const listed = await Array.fromAsync(kv.list({ prefix: ["session"] }), (e) => e.value);
assert.deepEqual(listed, ["stays", "without an end"]);

// A check for the old versionstamp fails, one for absence holds; a sum starts from nothing.
const old = await kv.atomic().check({ key: ["session", 1], versionstamp }).set(["old"], 1).commit();
assert.equal(old.ok, false);
const absent = await kv.atomic().check({ key: ["session", 1], versionstamp: null }).sum(["session", 2], 2n).commit();
assert.equal(absent.ok, true);
assert.equal((await kv.get<Deno.KvU64>(["session", 2])).value?.value, 2n);
assert.equal((await kv.get(["old"])).value, null);

// expireIn: 0 is over at once, for every client.
await kv.set(["at once"], 1, { expireIn: 0 });
assert.equal((await kv.get(["at once"])).value, null);

kv.close();
console.log("ok");
