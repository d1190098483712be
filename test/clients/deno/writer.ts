// Writes until it is killed, and says on standard output what was acknowledged, a line each:
//   set I, delete I, brief I (a key that expires soon, with the time when it does).
// Arguments: URL, a name for this writer, concurrent callers.
const [url, name, callers] = Deno.args;
const kv = await Deno.openKv(url);
let next = 0;

// Says so when a write was acknowledged. Deno tries a write again until it has an answer, but when the connection breaks
// within the answer, that is an error, and nobody was told.
async function told(what: string, write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
  } catch (error) {
    console.error(error);
    return false;
  }
  console.log(what);
  return true;
}

async function caller() {
  for (;;) {
    const i = next++;
    const written = await told(`set ${i}`, kv.set(["load", name, i], { i, padding: "x".repeat(100) }));
    if (written && i % 3 === 0) await told(`delete ${i}`, kv.delete(["load", name, i]));
    if (i % 5 === 0) await told(`brief ${i}`, kv.set(["brief", name, i], Date.now() + 50, { expireIn: 50 }));
  }
}

await Promise.all(Array.from({ length: Number(callers) }, caller));
