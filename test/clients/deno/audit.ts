// Prints the numbers of the entries that a writer left, and how many of its brief ones can be read, as JSON.
// Arguments: URL, the writer's name.
import assert from "node:assert/strict";

const [url, name] = Deno.args;
const kv = await Deno.openKv(url);
const found: number[] = [];
for await (const { key, value } of kv.list<{ i: number; padding: string }>({ prefix: ["load", name] })) {
  assert.deepEqual([value.i, value.padding.length], [key[2], 100]);
  found.push(value.i);
}
const brief = (await Array.fromAsync(kv.list({ prefix: ["brief", name] }))).length;
kv.close();
console.log(JSON.stringify({ found, brief }));
