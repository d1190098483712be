"""Reads what Deno and Node wrote with values.mjs. Arguments: URL, the writer. Prints how many kinds it could read."""

import asyncio
import sys

from denokv import open_kv


async def main(url, writer):
    async with await open_kv(url) as kv:
        found = {e.key[2]: e.value async for e in kv.list(prefix=("values", writer))}
    assert found["integer"] == 42 and found["float"] == 0.1 and found["true"] is True, found
    assert int(found["bigint"]) == -(2**70) - 1
    assert found["unicode"] == "water \u6c34 \U0001f986"
    assert found["object"]["b"] == 1 and list(found["object"]["a"]["nested"].array)[:2] == [1, "two"]
    assert found["bare bytes"] == b"\x00\x01\xff"
    assert found["map"]["k"] == 1 and "a" in found["set"]
    assert found["cycle"]["self"] is found["cycle"]
    print(len(found))


asyncio.run(main(sys.argv[1], sys.argv[2]))
