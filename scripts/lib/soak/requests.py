"""Sends requests at a steady rate until standard input says stop; then prints
what came back, as one JSON object.

    requests.py ADDRESS RATE

Invariant: loopback only, and at most ten minutes. A request whose turn has come
is sent late rather than not at all, and its time counts from its turn, so that
a slow answer is not made good by sending less.
"""

import asyncio
import json
import sys
import time

PATHS = ["/metrics", "/livez", "/readyz", "/livez", "/api/v1/sources", "/readyz", "/api/v1/runs?limit=5", "/livez"]
CONNECTIONS = 32
MOST_S = 600


async def main(address, rate):
    host, port = address.rsplit(":", 1)
    if host != "127.0.0.1":
        sys.exit("this sends to loopback only")
    turns, times, codes = asyncio.Queue(), [], {}
    over = asyncio.Event()
    lanes = [asyncio.create_task(lane(host, int(port), turns, times, codes)) for _ in range(CONNECTIONS)]
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    started = time.monotonic()
    sent = 0
    while not over.is_set() and time.monotonic() - started < MOST_S:
        due = int((time.monotonic() - started) * rate)
        for number in range(sent, due):
            turns.put_nowait((PATHS[number % len(PATHS)], time.monotonic()))
        sent = max(sent, due)
        await asyncio.sleep(0.005)
    seconds = time.monotonic() - started
    for _ in lanes:
        turns.put_nowait(None)
    await asyncio.gather(*lanes)
    times.sort()
    print(json.dumps({
        "sent": len(times),
        "seconds": round(seconds, 1),
        "rate": round(len(times) / seconds),
        "codes": codes,
        "median_ms": at(times, 0.5),
        "p99_ms": at(times, 0.99),
        "most_ms": at(times, 1.0),
    }))


async def lane(host, port, turns, times, codes):
    reader = writer = None
    while (turn := await turns.get()) is not None:
        path, due = turn
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
            await reader.readexactly(length)
            code = head.split(" ", 2)[1]
        except (OSError, asyncio.IncompleteReadError) as error:
            code, writer = type(error).__name__, None
        codes[code] = codes.get(code, 0) + 1
        times.append(time.monotonic() - due)
    if writer is not None:
        writer.close()


def at(times, share):
    return round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 1) if times else None


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
