// A watch from Node sees what is there, changes, deletes and expiry. Arguments: URL.
import assert from "node:assert/strict";
import { openKv } from "@deno/kv";

const kv = await openKv(process.argv[2]);
await kv.set(["a"], "first");

const reader = kv.watch([["a"], ["b"]]).getReader();
async function until(test) {
  for (;;) {
    const { value, done } = await reader.read();
    assert.ok(!done, "the watch ended");
    const values = value.map((e) => e.value);
    if (test(values)) return values;
  }
}

assert.deepEqual(await until(() => true), ["first", null]);
await kv.atomic().set(["a"], 1).set(["b"], 1).commit();
assert.deepEqual(await until(() => true), [1, 1]);
const snapshots = until(([a, b]) => {
  assert.equal(a, b);
  return a === 50;
});
for (let n = 2; n <= 50; n++) await kv.atomic().set(["a"], n).set(["b"], n).commit();
await snapshots;
await kv.delete(["a"]);
assert.deepEqual(await until(() => true), [null, 50]);
await kv.set(["b"], "brief", { expireIn: 300 });
await until(([, b]) => b === "brief");
await until(([, b]) => b === null);

await reader.cancel();
kv.close();
console.log("ok");
process.exit(0); // the client's retry timer of a cancelled watch would keep Node
