// Writes until it is killed, and says on standard output what was acknowledged, a line each:
//   set I, delete I, brief I (a key that expires soon).
// Arguments: URL, a name for this writer, concurrent callers.
const [url, name, callers] = Deno.args;
const kv = await Deno.openKv(url);
let next = 0;

async function caller() {
  for (;;) {
    const i = next++;
    await kv.set(["load", name, i], { i, padding: "x".repeat(100) });
    console.log(`set ${i}`);
    if (i % 3 === 0) {
      await kv.delete(["load", name, i]);
      console.log(`delete ${i}`);
    }
    if (i % 5 === 0) {
      await kv.set(["brief", name, i], i, { expireIn: 50 });
      console.log(`brief ${i}`);
    }
  }
}

await Promise.all(Array.from({ length: Number(callers) }, caller));
