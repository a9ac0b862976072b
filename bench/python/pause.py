"""pause: see pause/pause.h. One thread; the latencies are kept and sorted."""
import gc
import random
import time

import driver


class Node:
    __slots__ = ("a", "b", "c", "payload")


def main():
    now, draw = driver.now, random.random
    n, seconds = int(driver.number("--live", 1e6)), driver.number("--seconds", 15)
    random.seed(99)
    live = [Node() for _ in range(n)]
    for i, node in enumerate(live):
        node.a = live[(i + 1) % n]
        node.b = live[int(draw() * n)]
        node.c = live[int(draw() * n)]
        node.payload = i
    slots = [None] * 1024
    times = []
    collections = sum(g["collections"] for g in gc.get_stats())
    cpu, began = time.process_time(), time.perf_counter()
    for measured in (False, True):
        before = now()
        end = before + int((seconds if measured else driver.number("--warm", 3)) * 1e9)
        record = times.append if measured else (lambda ns: None)
        while before < end:
            p = Node()
            q = Node()
            r = Node()
            t = Node()
            p.payload = q.payload = r.payload = t.payload = before
            p.a = q
            q.a = r
            r.a = t
            t.a = p
            p.b = t
            q.b = p
            r.b = q
            t.b = r
            p.c = live[int(draw() * n)]
            q.c = live[int(draw() * n)]
            r.c = live[int(draw() * n)]
            t.c = live[int(draw() * n)]
            slots[int(draw() * 1024)] = p
            node = live[int(draw() * n)]
            if draw() < 0.5:
                node.b = live[int(draw() * n)]
            else:
                node.c = live[int(draw() * n)]
            after = now()
            record(after - before)
            before = after
    cores = (time.process_time() - cpu) / (time.perf_counter() - began)
    times.sort()
    long = [ns for ns in times if ns >= 1000000]
    driver.put("Mops_s", len(times) / seconds / 1e6)
    for name, fraction in (("p50", .5), ("p99", .99), ("p999", .999), ("p9999", .9999)):
        driver.put(name + "_us", driver.percentile(times, fraction) / 1e3)
    driver.put("max_us", times[-1] / 1e3)
    driver.put("over_1ms", len(long))
    driver.put("over_1ms_share", sum(long) / sum(times))
    driver.put("cores_used", cores)
    driver.put("cores_others", 0)
    driver.put("peak_mb", driver.resident_peak() / 1e6)
    driver.put("collections", sum(g["collections"] for g in gc.get_stats()) - collections)
    driver.end()


main()
