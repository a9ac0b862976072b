"""trees: see trees/trees.h. The interpreter runs one thread at a time, also with --threads 2."""
import threading
import time

import driver


class Node:
    __slots__ = ("left", "right")


def build(depth):
    node = Node()
    if depth > 0:
        node.left = build(depth - 1)
        node.right = build(depth - 1)
    else:
        node.left = node.right = None
    return node


def walk(node):
    return 1 + walk(node.left) + walk(node.right) if node.left is not None else 1


def work(depth, done):
    nodes = walk(build(depth + 1))
    kept = build(depth)
    for d in range(4, depth + 1, 2):
        for _ in range(1 << (depth - d + 4)):
            nodes += walk(build(d))
    done.append(nodes + walk(kept))


depth = int(driver.number("--depth", 14))
count = int(driver.number("--threads", 1))
done = []
threads = [threading.Thread(target=work, args=(depth, done)) for _ in range(count)]
cpu = time.process_time_ns()
start = driver.now()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ns = driver.now() - start
cpu = time.process_time_ns() - cpu
driver.put("wall_s", ns / 1e9)
driver.put("cpu_s", cpu / 1e9)
driver.put("ns_per_node", ns * count / sum(done))
driver.put("cpu_ns_per_node", cpu / sum(done))
driver.put("peak_mb", driver.resident_peak() / 1e6)
driver.end()
