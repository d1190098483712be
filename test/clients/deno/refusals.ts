// What a user of Deno sees when something is refused: an error that says why, at once, instead of endless retries.
// Arguments: the server's URL.
import assert from "node:assert/strict";

const [url] = Deno.args;
const token = Deno.env.get("DENO_KV_ACCESS_TOKEN")!;

Deno.env.set("DENO_KV_ACCESS_TOKEN", token + "x");
await assert.rejects(Deno.openKv(url), /401|token/i);
Deno.env.set("DENO_KV_ACCESS_TOKEN", token);

await assert.rejects(Deno.openKv(`${url}/Not-A-Name`), /404|name/i);
await assert.rejects(Deno.openKv(`${url}/a/b`), /404|name/i);

const kv = await Deno.openKv(url);
const tooMany = kv.atomic();
for (let i = 0; i < 101; i++) tooMany.check({ key: ["c", i], versionstamp: null });
await assert.rejects(tooMany.commit(), /max 100/);
await assert.rejects(kv.set(["large"], new Uint8Array(65537)), /65536/);
await assert.rejects(kv.enqueue("message"), /not supported/);

// The handle still works, as the default database of the server.
await kv.set(["works"], true);
assert.equal((await kv.get(["works"])).value, true);

kv.close();
console.log("ok");
