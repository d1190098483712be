// What an application does with unstorage, whichever driver is below it.
import assert from "node:assert/strict";

export async function exercise(storage) {
  assert.equal(await storage.getItem("users:alice"), null);
  await storage.setItem("users:alice", { name: "Alice" });
  await storage.setItem("users:bob", { name: "Bob" });
  await storage.setItem("settings", "dark");
  assert.deepEqual(await storage.getItem("users:alice"), { name: "Alice" });
  assert.equal(await storage.hasItem("users:bob"), true);
  assert.deepEqual((await storage.getKeys("users")).sort(), ["users:alice", "users:bob"]);
  assert.deepEqual((await storage.getKeys()).sort(), ["settings", "users:alice", "users:bob"]);

  const bytes = new Uint8Array([0, 1, 254, 255]);
  await storage.setItemRaw("blob", bytes);
  assert.deepEqual(new Uint8Array(await storage.getItemRaw("blob")), bytes);

  await storage.setItem("brief", "here", { ttl: 0.3 });
  while (await storage.hasItem("brief"));

  await storage.removeItem("users:bob");
  assert.equal(await storage.getItem("users:bob"), null);
  assert.deepEqual((await storage.getKeys()).sort(), ["blob", "settings", "users:alice"]);
  await storage.clear();
  assert.deepEqual(await storage.getKeys(), []);
  await storage.dispose();
}
