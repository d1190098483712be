// A web server that counts its requests in two ways: with a sum, and by reading, checking and setting.
// GET /hit counts one; GET /count answers both counts. Prints its port once it listens.
const kv = await Deno.openKv(Deno.args[0]);

async function hit() {
  await kv.atomic().sum(["hits"], 1n).commit();
  for (;;) {
    const entry = await kv.get<number>(["hits, checked"]);
    const result = await kv.atomic().check(entry).set(entry.key, (entry.value ?? 0) + 1).commit();
    if (result.ok) return;
  }
}

async function handle(request: Request): Promise<Response> {
  switch (new URL(request.url).pathname) {
    case "/hit":
      await hit();
      return new Response("counted");
    case "/count": {
      const [summed, checked] = await kv.getMany<[Deno.KvU64, number]>([["hits"], ["hits, checked"]]);
      return Response.json({ summed: Number(summed.value), checked: checked.value });
    }
  }
  return new Response("no such page", { status: 404 });
}

const onListen = ({ port }: Deno.NetAddr) => console.log(port);
Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, handle);
