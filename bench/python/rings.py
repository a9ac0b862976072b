"""rings: see rings/rings.h. One thread."""
import gc
import random
import time

import driver


class Node:
    __slots__ = ("next", "prev", "payload")


def make(size, value):
    first = last = Node()
    first.payload = value
    for i in range(1, size):
        node = Node()
        node.payload = value + i
        node.prev = last
        last.next = node
        last = node
    last.next = first
    first.prev = last
    return first


def round_of(size, nodes):
    start = driver.now()
    total = 0
    for i in range(nodes // size):
        ring = make(size, i)
        total += ring.prev.payload
    ring = None
    gc.collect()
    return (driver.now() - start) / 1e9


size = int(driver.number("--ring", 10))
nodes = int(driver.number("--nodes", 2e6))
length = int(driver.number("--live", 0))
random.seed(9)
live = [Node() for _ in range(length)]
for node in live:
    node.next = live[random.randrange(length)]
    node.prev = live[random.randrange(length)]
    node.payload = 0
round_of(size, nodes // 10)
cpu = time.process_time()
seconds = round_of(size, nodes)
driver.put("Mnodes_s", nodes / seconds / 1e6)
driver.put("wall_s", seconds)
driver.put("cpu_s", time.process_time() - cpu)
driver.put("peak_mb", driver.resident_peak() / 1e6)
driver.end()
