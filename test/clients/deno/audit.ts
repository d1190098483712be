// Prints as JSON the numbers of the entries that a writer left, and how many of its brief ones can be read long after
// their time.
// Arguments: URL, the writer's name.
import assert from "node:assert/strict";

const [url, name] = Deno.args;
const kv = await Deno.openKv(url);
const found: number[] = [];
for await (const { key, value } of kv.list<{ i: number; padding: string }>({ prefix: ["load", name] })) {
  assert.deepEqual([value.i, value.padding.length], [key[2], 100]);
  found.push(value.i);
}
const asked = Date.now();
let brief = 0;
for await (const { value: end } of kv.list<number>({ prefix: ["brief", name] })) {
  if (asked > end + 500) brief++; // the client's op may have begun a little later than its program thought
}
kv.close();
console.log(JSON.stringify({ found, brief }));
