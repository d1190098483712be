// How fast one Deno process is against a database. Arguments: URL or path, seconds for each measurement, concurrent
// callers. Prints JSON: calls a second for the many callers, percentiles in milliseconds for a single one.
const [target, seconds, callers] = Deno.args;
const kv = await Deno.openKv(target);
const keys = 10_000;
const value = "v".repeat(100);
const key = (i: number) => ["bench", i % keys];

const set = (i: number) => kv.set(key(i), value);
const get = (i: number) => kv.get(key(i));

// Runs the call from many callers at once and returns calls a second. The calls of a quarter of that time before are not counted.
async function throughput(call: (i: number) => Promise<unknown>): Promise<number> {
  const length = Number(seconds) * 1000;
  const begin = performance.now() + length / 4;
  const end = begin + length;
  let next = 0, counted = 0;
  await Promise.all(Array.from({ length: Number(callers) }, async () => {
    for (;;) {
      await call(next++);
      const now = performance.now();
      if (now > end) return;
      if (now > begin) counted++;
    }
  }));
  return Math.round(counted / Number(seconds));
}

// Calls one by one and returns percentiles of the time a call took.
async function latency(call: (i: number) => Promise<unknown>) {
  const times: number[] = [];
  const end = performance.now() + Number(seconds) * 1000;
  for (let i = 0, now = performance.now(); now < end; i++) {
    await call(i);
    const after = performance.now();
    times.push(after - now);
    now = after;
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => Math.round(times[Math.floor(times.length * share)] * 1000) / 1000;
  return { P50: at(0.5), P99: at(0.99) };
}

for (let i = 0; i < keys; i += 1000) {
  const batch = kv.atomic();
  for (let j = i; j < i + 1000; j++) batch.set(key(j), value);
  await batch.commit();
}
const result = {
  SetsPerSecond: await throughput(set),
  GetsPerSecond: await throughput(get),
  SetMillis: await latency(set),
  GetMillis: await latency(get),
};
kv.close();
console.log(JSON.stringify(result));
