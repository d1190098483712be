// Moves credits between accounts, each transfer an atomic with two checks that is tried until it commits.
// Arguments: URL, number of accounts, number of transfers. Prints how often a commit lost against another.
import assert from "node:assert/strict";

const kv = await Deno.openKv(Deno.args[0]);
const [accounts, transfers] = Deno.args.slice(1).map(Number);

async function transfer(from: number, to: number, amount: number): Promise<number> {
  for (let lost = 0; ; lost++) {
    const [a, b] = await kv.getMany<[number, number]>([["account", from], ["account", to]]);
    assert.ok(a.value !== null && b.value !== null);
    const result = await kv.atomic()
      .check(a).check(b)
      .set(a.key, a.value - amount)
      .set(b.key, b.value + amount)
      .commit();
    if (result.ok) return lost;
  }
}

const callers = 8;
const lost = await Promise.all(Array.from({ length: callers }, async (_, caller) => {
  let lost = 0;
  for (let i = caller; i < transfers; i += callers) {
    const from = Math.floor(Math.random() * accounts);
    const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts;
    lost += await transfer(from, to, 1 + Math.floor(Math.random() * 10));
  }
  return lost;
}));

kv.close();
console.log(lost.reduce((a, b) => a + b));
