// What kv-connect-kit, which speaks versions 1 and 2 of KV Connect, does on Node. Arguments: URL.
import assert from "node:assert/strict";
import { deserialize, serialize } from "node:v8";
import { makeRemoteService } from "kv-connect-kit";

const accessToken = process.env.DENO_KV_ACCESS_TOKEN;
const service = makeRemoteService({ accessToken, encodeV8: serialize, decodeV8: deserialize });
const kv = await service.openKv(process.argv[2]);
const key = ["users", "alice"];

const { versionstamp } = await kv.set(key, { name: "Alice" });
assert.deepEqual(await kv.get(key), { key, value: { name: "Alice" }, versionstamp });
assert.equal((await kv.atomic().check({ key, versionstamp: null }).set(["never"], 1).commit()).ok, false);
assert.equal((await kv.atomic().check({ key, versionstamp }).sum(["n"], 3n).sum(["n"], 4n).commit()).ok, true);
const [n, never] = await kv.getMany([["n"], ["never"]]);
assert.deepEqual([n.value.value, never.value], [7n, null]);

for (let i = 0; i < 250; i++) await kv.set(["list", i], i);
const found = [];
for await (const { value } of kv.list({ prefix: ["list"] }, { batchSize: 100, reverse: true })) found.push(value);
assert.deepEqual(found, Array.from({ length: 250 }, (_, i) => 249 - i));

await kv.delete(key);
assert.equal((await kv.get(key)).value, null);
kv.close();
console.log("ok");
