// Watches ["w"] for as long as it runs and prints each value that it sees as a line of JSON. Arguments: URL.
const kv = await Deno.openKv(Deno.args[0]);
for await (const [entry] of kv.watch([["w"]])) console.log(JSON.stringify(entry.value));
