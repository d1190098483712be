// Reads the key that the test has set while no writer runs, and watches it: both eventually. Argument: URL.
import assert from "node:assert/strict";
import { openKv } from "@deno/kv";

const kv = await openKv(process.argv[2]);
assert.equal((await kv.get(["k"], { consistency: "eventual" })).value, "v");
for await (const [entry] of kv.watch([["k"]])) {
  assert.equal(entry.value, "v");
  break;
}
kv.close();
console.log("ok");
process.exit(0);
