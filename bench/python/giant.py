"""giant: see giant/giant.h. The latencies are kept and sorted."""
import os

import driver


class Node:
    __slots__ = ("left", "right", "payload")


def build(nodes):
    node = Node()
    node.payload = 7
    nodes -= 1
    node.left = build((nodes + 1) // 2) if nodes > 0 else None
    node.right = build(nodes // 2) if nodes > 1 else None
    return node


def calls(seconds):
    now, times = driver.now, []
    before = now()
    end = before + int(seconds * 1e9)
    while before < end:
        Node()
        after = now()
        times.append(after - before)
        before = after
    times.sort()
    return times


seconds = driver.number("--seconds", 3)
root = build(int(driver.number("--nodes", 1e7)))
noise = calls(seconds / 3)
start = driver.now()
root = None
drop = driver.now() - start
times = calls(seconds)
driver.put("drop_us", drop / 1e3)
driver.put("longest_us", max(drop, times[-1]) / 1e3)
driver.put("p9999_us", driver.percentile(times, .9999) / 1e3)
driver.put("noise_max_us", noise[-1] / 1e3)
driver.put("noise_p9999_us", driver.percentile(noise, .9999) / 1e3)
driver.put("gone_after_ms", drop / 1e6)
driver.end()
os._exit(0)
