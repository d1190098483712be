// Databases of one server hold different entries under the same keys. Arguments: the server's URL.
import assert from "node:assert/strict";

const [url] = Deno.args;
const names = ["", "/orders", "/a", "/0_9-z", "/" + "x".repeat(64)];
const databases = await Promise.all(names.map((name) => Deno.openKv(url + name)));

await Promise.all(databases.map((kv, i) => kv.set(["name"], names[i])));
const found = await Promise.all(databases.map(async (kv) => (await kv.get(["name"])).value));
assert.deepEqual(found, names);

await databases[1].delete(["name"]);
assert.equal((await databases[1].get(["name"])).value, null);
assert.equal((await databases[2].get(["name"])).value, "/a");

// The root is the database named default.
const byName = await Deno.openKv(url + "/default");
assert.equal((await byName.get(["name"])).value, "");

for (const kv of [...databases, byName]) kv.close();
console.log("ok");
