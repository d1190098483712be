// Package client reads and writes a Deno KV database from Go: one served by Millpond, by denokv or by Deno Deploy, over HTTP; or
// one of a Millpond cluster, over NATS.
//
//	db, err := client.Open(ctx, "http://127.0.0.1:4512", client.WithAccessToken(token))
//	…
//	alice, err := client.Get[User](ctx, db, kv.Key{"users", "alice"})
//	…
//	_, err = db.Atomic().Check(alice).Set(alice.Key, user, client.ExpireIn(time.Hour)).Sum(kv.Key{"n"}, 1).Commit(ctx)
//
// Keys are [kv.Key]. Values are those of Go, which a [Codec] turns into stored ones: [V8Codec] unless [WithCodec] says
// otherwise, so that a struct is the object that Deno, Node and Python programs store. [Get], [GetMany], [List] and [Watch] read
// them back. A [kv.Value] is stored as it is, and read by the methods Get, GetMany, List and Watch; [V8], [Bytes] and [U64] make
// the three kinds.
//
// [DB.Update] is for what depends on what was read: it checks all that, and tries again after a conflict.
//
// [DB.Changes] is the history of the database, each commit once and whole, to be followed from any of them on; [DB.WatchPrefix] keeps a
// copy of what is below a prefix. They need NATS or an embedded database.
//
// [DB.At] is the database as it was, [DB.History] all that a key has had, [DB.Diff] what has changed, and [DB.Undo] puts it back. They need a
// server of Millpond, or an embedded database.
//
// # Errors
//
// The text of an error is a sentence for the user, the server's own where there is one. Branch with errors.Is on [ErrClosed],
// [ErrCheckFailed] and the catalogue of package kv: ErrInvalid, ErrUnauthorized, ErrNoDatabase, ErrUnavailable,
// ErrUnknownOutcome, and of feeds and the past ErrGone. The cause, such as syscall.ECONNREFUSED or context.DeadlineExceeded, is found the same way.
//
// A write that failed with anything but ErrUnknownOutcome has changed nothing.
//
// # Retries
//
// What is safe to send again is sent again, with growing pauses, for the time of [WithRetryTime]: reads always, writes only
// if the request certainly did not reach the server or if the server said with status 429 or 503 that it did nothing. A
// refused access token is fetched anew once.
//
// Over NATS a write is always sent again, until its outcome is known: it has an id, by which the cluster knows it.
package client
