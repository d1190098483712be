"""Reads what Deno or Node wrote with values.mjs, as far as Python has such values. Arguments: URL, the writer."""

import asyncio
import sys

from denokv import open_kv


async def main(url, writer):
    async with await open_kv(url) as kv:

        async def value(name):
            _, entry = await kv.get(("values", writer, name))
            return entry.value

        assert await value("null") is None
        assert await value("true") is True
        assert await value("integer") == 42
        assert await value("float") == 0.1
        assert int(await value("bigint")) == -(2**70) - 1
        assert await value("latin1") == "caf\u00e9 \u00ff"
        assert await value("unicode") == "water \u6c34 \U0001f986"
        assert (await value("date")).timestamp() == 1700000000.123
        assert await value("bare bytes") == b"\x00\x01\xff"
        thing = await value("object")
        assert thing["b"] == 1 and list(thing["a"]["nested"].array)[:2] == [1, "two"]
        assert (await value("map"))["k"] == 1
        assert "a" in await value("set")
        cycle = await value("cycle")
        assert cycle["self"] is cycle
    print("ok")


asyncio.run(main(sys.argv[1], sys.argv[2]))
