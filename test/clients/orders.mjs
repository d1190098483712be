// Reads the order that a Go program has stored as a struct, and stores another one for it. Used by Deno and Node alike.
import assert from "node:assert/strict";

export async function exchange(kv, name) {
  const { value } = await kv.get([name, "from go"]);
  assert.deepEqual(value, {
    id: 12345678901234567890n,
    customer: { name: "Zoë", tags: ["日本", "a😀"] },
    total: 99.5,
    placed: new Date("2024-01-31T12:00:00.500Z"),
    note: null,
    items: [{ sku: "x", count: 2 }, { sku: "y", count: 1 }],
    prices: { x: 40, y: 19.5 },
    stock: new Map([[1, "one"], [2, "two"]]),
    seals: new Set(["wax"]),
    picture: new Uint8Array([0, 255]),
  });
  await kv.set([name, "from javascript"], {
    ...value,
    id: 7n,
    note: "thanks",
    total: 5,
    gift: undefined,
    unknown: [value, new Map([[value, /x/]])],
    items: [...value.items, value.items[0]],
  });
}
