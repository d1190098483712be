const kv = await Deno.openKv(Deno.args[0] ?? "http://127.0.0.1:4512");
await kv.set(["users", "alice"], { name: "Alice", credits: 100 });
console.log((await kv.get(["users", "alice"])).value);
