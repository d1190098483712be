/** What a message is enqueued with; Deno's options. */
export interface EnqueueOptions {
  /** Milliseconds before which the message is not delivered; at most 30 days. */
  delay?: number;
  /** Keys that get the message as their value if no attempt succeeds. */
  keysIfUndelivered?: readonly (readonly (Uint8Array | string | number | bigint | boolean | symbol)[])[];
  /**
   * Milliseconds before each further attempt, at most five of at most an hour. By default `[100, 1000, 5000, 30000, 60000]`; with
   * `[]` there is one attempt.
   */
  backoffSchedule?: number[];
}

export interface Options {
  /** The server's access token; by default `DENO_KV_ACCESS_TOKEN` of the environment. */
  accessToken?: string;
  /** How many handlers of one `listenQueue` run at once; 100 by default. */
  concurrency?: number;
}

/** What `withQueues` makes work. A `Deno.Kv` has it already, so its type stays as it is. */
export interface Queues {
  enqueue(value: unknown, options?: EnqueueOptions): Promise<{ ok: true; versionstamp: string }>;
  /**
   * Calls `handler` with each message, several at a time. Each message goes to one of all listeners. If the handler throws, the
   * message comes again by its backoff schedule. The promise resolves when the Kv is closed.
   */
  // deno-lint-ignore no-explicit-any
  listenQueue(handler: (value: any) => Promise<void> | void): Promise<void>;
}

/**
 * Gives `kv`, a `Deno.Kv` or a `Kv` of `@deno/kv` that is opened on the URL of a Millpond database, an `enqueue` and a
 * `listenQueue` that work, also `atomic().enqueue`. Use what it returns in place of `kv`, and close that.
 */
export function withQueues<K extends object>(kv: K, url: string | URL, options?: Options): K & Queues;

/** `Deno.openKv(url)` with queues that work. For Deno only. */
// deno-lint-ignore no-explicit-any
export function openKv(url: string, options?: Options): Promise<any>;
