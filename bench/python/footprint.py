"""footprint: see footprint/footprint.h. The payload is one shared int, which is not counted."""
import gc
import os
import random

import driver


class Node:
    __slots__ = ("next", "prev", "payload")


def ring():
    a = Node()
    b = Node()
    c = Node()
    d = Node()
    a.payload = b.payload = c.payload = d.payload = 7
    a.next = c.prev = b
    b.next = d.prev = c
    c.next = a.prev = d
    d.next = b.prev = a
    return a


rings = int(driver.number("--nodes", 1e7)) // 4
table = [None] * rings
base = driver.resident()
start = driver.now()
for i in range(rings):
    table[i] = ring()
ns = driver.now() - start
gc.collect()
live = driver.resident() - base
driver.forget_peak()
random.seed(5)
for _ in range(int(rings * driver.number("--churn", 2))):
    table[random.randrange(rings)] = ring()
driver.put("bytes_per_node", live / (rings * 4))
driver.put("build_ns_per_node", ns / (rings * 4))
driver.put("peak_over_live", (driver.resident_peak() - base) / live)
driver.end()
os._exit(0)  # giving ten million objects back one by one is not what is measured
