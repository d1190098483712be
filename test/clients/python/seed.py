"""What denokv does on Python: reads, lists, checks, every mutation and a message. Argument: URL.

Numbers in keys are floats throughout: this version of denokv writes an int as a bigint and reads it as a number.
"""

import asyncio
import sys
from datetime import datetime

from denokv import KvU64, open_kv
from denokv._kv_writes import Check, is_applied


async def main(url):
    async with await open_kv(url) as kv:
        await objects(kv)
        await checks(kv)
        await numbers(kv)
        await lists(kv)
        await kv.enqueue("message")
    print("ok")


async def objects(kv):
    key = ("users", "alice")
    assert await kv.get(key) == (key, None)
    written = {"name": "Alice", "tags": ["a", 1, None, True], "since": datetime(2020, 1, 2)}
    stamp = await kv.set(key, written)
    _, entry = await kv.get(key)
    assert entry.versionstamp == stamp
    assert entry.value["name"] == "Alice" and list(entry.value["tags"].array) == ["a", 1, None, True], entry.value
    await kv.delete(key)
    assert (await kv.get(key))[1] is None

    for part in (b"\0\xff", "s\0", True, 1.5, 7.0):
        await kv.set(("part", part), b"bytes")
        found, entry = await kv.get(("part", part))
        assert entry and entry.value == b"bytes", (part, found)
    many = await kv.get(("part", 7.0), ("absent",), ("part", True))
    assert [e is not None for _, e in many] == [True, False, True]


async def checks(kv):
    """A conflict says which of the checks did not hold."""
    stamp = await kv.set(("checked",), 1)
    good = await kv.atomic(Check(("checked",), stamp)).set(("checked",), 2).write()
    assert is_applied(good) and good.versionstamp > stamp
    bad = await (
        kv.atomic(Check(("absent",), None), Check(("checked",), stamp), Check(("checked",), None))
        .set(("checked",), 3)
        .write()
    )
    assert not is_applied(bad) and list(bad.failed_checks) == [1, 2], bad
    assert (await kv.get(("checked",)))[1].value == 2


async def numbers(kv):
    async def value(name):
        return (await kv.get((name,)))[1].value

    await kv.sum_kvu64(("u64",), 5)
    await kv.sum_kvu64(("u64",), 2**64 - 1)
    assert await value("u64") == KvU64(4)
    await kv.min(("u64",), KvU64(3))
    await kv.max(("u64",), KvU64(9))
    assert await value("u64") == KvU64(9)

    await kv.sum_float(("float",), 1.5)
    await kv.sum_float(("float",), 2.25)
    assert await value("float") == 3.75
    await kv.sum_float(("float",), 100, clamp_over=10)
    assert await value("float") == 10
    await kv.sum_bigint(("bigint",), 2**80)
    await kv.sum_bigint(("bigint",), -1)
    assert int(await value("bigint")) == 2**80 - 1
    await kv.sum_bigint(("bigint",), -(2**90), clamp_under=-5)
    assert int(await value("bigint")) == -5


async def lists(kv):
    for i in range(30):
        await kv.set(("list", float(i)), i)

    async def listed(**options):
        return [e.value async for e in kv.list(**options)]

    assert await listed(prefix=("list",)) == list(range(30))
    assert await listed(prefix=("list",), batch_size=7) == list(range(30))
    assert await listed(prefix=("list",), reverse=True, limit=3) == [29, 28, 27]
    assert await listed(start=("list", 10.0), end=("list", 13.0)) == [10, 11, 12]


asyncio.run(main(sys.argv[1]))
