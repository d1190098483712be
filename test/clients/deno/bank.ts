// Moves money between accounts until it is killed, and adds all of it up now and then. A line each on standard output:
//   transfer VERSIONSTAMP, audit TOTAL.
// Arguments: URL, number of accounts, money in each at first.
const [url, ...numbers] = Deno.args;
const [accounts, balance] = numbers.map(Number);
const kv = await Deno.openKv(url);

// A write whose outcome is not known is an error in Deno; so is a reader that is away for long.
async function untilDone<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      console.error(error);
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}

function random(n: number): number {
  return Math.floor(Math.random() * n);
}

async function transfer() {
  const from = random(accounts);
  const to = (from + 1 + random(accounts - 1)) % accounts;
  const amount = 1 + random(9);
  const [a, b] = await kv.getMany<[number, number]>([["bank", from], ["bank", to]]);
  const result = await kv.atomic().check(a).check(b)
    .set(a.key, a.value! - amount).set(b.key, b.value! + amount).commit();
  if (result.ok) console.log(`transfer ${result.versionstamp}`);
}

async function audit() {
  let total = 0;
  for await (const entry of kv.list<number>({ prefix: ["bank"] })) total += entry.value;
  console.log(`audit ${total}`);
}

await untilDone(async () => {
  const opening = kv.atomic().check({ key: ["bank", 0], versionstamp: null });
  for (let i = 0; i < accounts; i++) opening.set(["bank", i], balance);
  await opening.commit();
});
for (let i = 0;; i++) {
  await untilDone(i % 10 === 0 ? audit : transfer);
  await new Promise((done) => setTimeout(done, 20));
}
