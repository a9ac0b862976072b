"""What is measured: the workloads, their cases, the peers, and the goals. Times are for two cores.

Each workload's own file (bench/WORKLOAD/WORKLOAD.h) says what it does. SCALES has the size of each in
the three lengths of a run: `full` is what docs/performance.md compares with older tables.
"""
from collections import namedtuple

# How one program is run. kind: native, java, python, or file (one that a
# genrule made: Nim, GObject); malloc: preloaded; limit: the most runs
# that the peer gets in a run of normal length, where it is context and not part of a goal.
Peer = namedtuple("Peer", "name kind target arguments malloc environment java limit")
# where: which peers the case is for, None for all.
Case = namedtuple("Case", "name arguments where limit")
# A figure: the key in a program's results, its heading, and what is better.
Figure = namedtuple("Figure", "key heading better")
# peer's figure in case, over that of other in other_case, must be at most (or at least) bound. With
# other None, the figure itself.
Goal = namedtuple("Goal", "text peer case key other other_case other_key bound at_most")
Workload = namedtuple("Workload", "name title cases peers figures plot goals sizes")


def peer(name, target, arguments="", kind="native", malloc=None, environment=None, java="",
         limit=None):
    return Peer(name, kind, target, arguments.split(), malloc, environment or {}, java.split(), limit)


def case(name, arguments="", where=None, limit=None):
    return Case(name, arguments.split(), where, limit)


def at_most(text, peer_name, case_name, key, other, bound, other_case=None, other_key=None):
    return Goal(text, peer_name, case_name, key, other, other_case or case_name, other_key or key,
                bound, True)


def at_least(text, peer_name, case_name, key, other, bound, other_case=None, other_key=None):
    return Goal(text, peer_name, case_name, key, other, other_case or case_name, other_key or key,
                bound, False)


def java(workload, options="-Xmx4g", arguments="", limit=None):
    return [
        peer("java G1", workload, arguments, "java", java=options + " -XX:+UseG1GC", limit=limit),
        peer("java ZGC", workload, arguments, "java", java=options + " -XX:+UseZGC", limit=limit),
    ]


def mallocs(prefix, target, which=("glibc", "jemalloc", "mimalloc"), limit=None):
    return [peer(f"{prefix}, {m}", target, malloc=None if m == "glibc" else m, limit=limit)
            for m in which]


def bdwgc(target, limit=None):
    return [peer("bdwgc", target, limit=limit),
            peer("bdwgc, 1 marker", target, environment={"GC_MARKERS": "1"}, limit=limit)]


def python(script, arguments="", limit=None):
    return peer("python", script, arguments, "python", limit=limit)


COUNTS = Workload(
    "counts", "one incref and one decref",
    [case("1 object", "--objects 1"), case("64 objects", "--objects 64"),
     case("2 threads, 1 object", "--threads 2", where=lambda p: "owner" not in p),
     case("4 threads, 1 object", "--threads 4", where=lambda p: "owner" not in p)],
    [peer("gari", "counts_gari"), peer("gari, no references", "counts_gari", "--tracked 0"),
     peer("gari, hot type", "counts_gari", "--hot 1"),
     peer("C11 atomic", "counts_atomic"),
     peer("owner-only (no lock prefix)", "counts_atomic", "--atomic 0"),
     peer("owner-only, revocable by RCU, called", "counts_biased"),
     peer("owner-only, revocable by RCU, inlined", "counts_biased", "--called 0"),
     peer("std::shared_ptr", "counts_shared_ptr"), peer("GObject", "counts_gobject", kind="file"),
     peer("g_atomic_rc_box", "counts_gobject", "--box 1", kind="file")],
    [Figure("ns_per_pair", "ns a pair", "lower")], "ns_per_pair",
    [at_most("an owner's uncontended pair beside a pair of atomic adds", "gari", "1 object",
             "ns_per_pair", "C11 atomic", 0.25),
     at_most("the same of a hot type", "gari, hot type", "1 object", "ns_per_pair", "C11 atomic", 0.25)],
    {"quick": "--pairs 2000000", "normal": "--pairs 8000000", "full": "--pairs 50000000"})

READS = Workload(
    "reads", "take, read and drop a shared object",
    [case("1 thread"), case("2 threads", "--threads 2"), case("4 threads", "--threads 4")],
    [peer("gari, borrowed", "reads_gari"), peer("gari, owned", "reads_gari", "--way 1"),
     peer("gari, owned, hot type", "reads_gari", "--way 2"),
     peer("urcu-bp section, empty", "reads_urcu"),
     peer("urcu-bp section, reading", "reads_urcu", "--way 1"),
     peer("std::atomic<std::shared_ptr>", "reads_shared_ptr"),
     peer("std::atomic_load(shared_ptr)", "reads_shared_ptr", "--way 1"),
     peer("std::shared_ptr copied, never written", "reads_shared_ptr", "--way 2"),
     peer("C11 atomic count (unsafe)", "reads_atomic", "--way 1"),
     peer("pthread_rwlock and count", "reads_atomic", "--way 2"),
     peer("bare load (limit)", "reads_atomic")],
    [Figure("Mreads_s", "million reads/s, all threads", "higher"),
     Figure("ns_per_read", "ns a read, of one thread", "lower")], "Mreads_s",
    [at_most("a borrowed read beside an empty urcu-bp section", "gari, borrowed", "1 thread",
             "ns_per_read", "urcu-bp section, empty", 1.5),
     at_least("borrowed reads, 2 threads beside 1", "gari, borrowed", "2 threads", "Mreads_s",
              "gari, borrowed", 1.8, other_case="1 thread"),
     at_least("owned reads of a hot type, 2 threads beside 1", "gari, owned, hot type", "2 threads",
              "Mreads_s", "gari, owned, hot type", 1.8, other_case="1 thread"),
     at_least("borrowed reads beside std::atomic<std::shared_ptr>, 2 threads", "gari, borrowed",
              "2 threads", "Mreads_s", "std::atomic<std::shared_ptr>", 20)],
    {"quick": "--ms 50", "normal": "--ms 150", "full": "--ms 1000"})

TREES = Workload(
    "trees", "allocate, walk and drop binary trees",
    [case("1 thread"), case("2 threads", "--threads 2")],
    [peer("gari", "trees_gari")] + mallocs("counted", "trees_malloc")
    + mallocs("uncounted", "trees_uncounted", ("mimalloc",))
    + mallocs("std::shared_ptr", "trees_shared_ptr", ("glibc", "mimalloc"))
    + bdwgc("trees_bdwgc") + java("Trees") + [python("trees.py", limit=2)],
    [Figure("ns_per_node", "ns a node, of one thread", "lower"),
     Figure("cpu_ns_per_node", "CPU ns a node", "lower"), Figure("peak_mb", "peak MB", "lower")],
    "ns_per_node",
    [goal for threads in ("1 thread", "2 threads") for goal in (
        at_most(f"beside counts by hand on mimalloc, {threads}", "gari", threads, "ns_per_node",
                "counted, mimalloc", 1),
        at_most(f"beside counts by hand on jemalloc, {threads}", "gari", threads, "ns_per_node",
                "counted, jemalloc", 1),
        at_most(f"beside counts by hand on glibc, {threads}", "gari", threads, "ns_per_node",
                "counted, glibc", 1),
        at_most(f"beside bdwgc, {threads}", "gari", threads, "ns_per_node", "bdwgc", 1),
        at_most(f"beside std::shared_ptr on glibc, {threads}", "gari", threads, "ns_per_node",
                "std::shared_ptr, glibc", 1),
        at_most(f"memory beside mimalloc, {threads}", "gari", threads, "peak_mb",
                "counted, mimalloc", 2))],
    {"quick": "--depth 12", "normal": "--depth 17", "full": "--depth 18"})


def one_thread_only(name):
    return name not in ("python", "Nim ORC")


RINGS = Workload(
    "rings", "make and drop cycles",
    [case("2", "--ring 2"), case("10", "--ring 10"), case("1000", "--ring 1000"),
     case("10, 1e6 live", "--ring 10 --live 1000000"),
     case("10, 2 threads", "--ring 10 --threads 2", where=one_thread_only)],
    [peer("gari", "rings_gari")] + mallocs("freed by hand", "rings_malloc", ("glibc", "mimalloc"))
    + bdwgc("rings_bdwgc") + java("Rings")
    + [peer("Nim ORC", "rings_nim", kind="file"), python("rings.py")],
    [Figure("Mnodes_s", "million nodes/s, reclaimed", "higher"),
     Figure("cpu_s", "CPU s", "lower"), Figure("peak_mb", "peak MB", "lower")], "Mnodes_s",
    [at_least("beside bdwgc, 10 with 1e6 live", "gari", "10, 1e6 live", "Mnodes_s", "bdwgc", 3),
     at_least("beside Nim's ORC, 10 with 1e6 live", "gari", "10, 1e6 live", "Mnodes_s", "Nim ORC", 3),
     at_least("beside Python, 10 with 1e6 live", "gari", "10, 1e6 live", "Mnodes_s", "python", 3),
     at_least("beside ZGC, 10 with 1e6 live", "gari", "10, 1e6 live", "Mnodes_s", "java ZGC", 1),
     at_least("beside bdwgc, nothing else live", "gari", "10", "Mnodes_s", "bdwgc", 1),
     at_least("stretch: beside G1, 10 with 1e6 live", "gari", "10, 1e6 live", "Mnodes_s", "java G1",
              1)],
    {"quick": "--nodes 200000", "normal": "--nodes 3000000", "full": "--nodes 20000000"})

PAUSE_JAVA = "-Xms4g -Xmx4g -XX:+AlwaysPreTouch"
PAUSE = Workload(
    "pause", "latency of operations beside a large live heap that is rewired",
    [case("1e7 live, 2 threads", "--live 10000000 --threads 2",
          where=lambda p: p not in ("python", "Nim ORC")),
     case("1e6 live, 1 thread", "--live 1000000 --threads 1"),
     case("1e6 live, 2 threads", "--live 1000000 --threads 2", where=one_thread_only, limit=1)],
    [peer("gari", "pause_gari"), peer("gari, inline", "pause_gari", "--mode inline", limit=2)]
    + mallocs("freed by hand", "pause_malloc", ("glibc",))
    + mallocs("counted and freed by hand", "pause_counted", ("glibc", "mimalloc"), limit=3)
    + [peer("bdwgc", "pause_bdwgc", limit=1),
       peer("bdwgc, incremental", "pause_bdwgc", "--incremental 1", limit=1)]
    + java("Pause", PAUSE_JAVA, limit=1)
    + [peer("Nim ORC", "pause_nim", kind="file", limit=1), python("pause.py", limit=1)],
    [Figure("Mops_s", "million operations/s", "higher"), Figure("p50_us", "p50 us", "lower"),
     Figure("p99_us", "p99 us", "lower"), Figure("p999_us", "p99.9 us", "lower"),
     Figure("p9999_us", "p99.99 us", "lower"), Figure("max_us", "max us", "lower"),
     Figure("over_1ms_share", "share of time in operations of 1 ms or more", "lower"),
     Figure("cores_used", "cores used", "lower"),
     Figure("cores_others", "of them, not mutators", "lower"), Figure("peak_mb", "peak MB", "lower")],
    "p9999_us",
    [at_most("p99.99 beside free, 1e7 live, 2 threads", "gari", "1e7 live, 2 threads", "p9999_us",
             "freed by hand, glibc", 1.5),
     at_most("share of time in operations of 1 ms or more beside free, 1e7 live", "gari",
             "1e7 live, 2 threads", "over_1ms_share", "freed by hand, glibc", 2),
     at_most("longest operation beside free, 1e7 live, 2 threads", "gari", "1e7 live, 2 threads",
             "max_us", "freed by hand, glibc", 2),
     at_least("throughput beside free, 1e7 live, 2 threads", "gari", "1e7 live, 2 threads", "Mops_s",
              "freed by hand, glibc", 0.7),
     at_most("p99.99 in us, 1e6 live, 1 thread", "gari", "1e6 live, 1 thread", "p9999_us", None, 5),
     at_least("throughput beside free, 1e6 live, 1 thread", "gari", "1e6 live, 1 thread", "Mops_s",
              "freed by hand, glibc", 0.8)],
    {"quick": "--seconds 0.3 --warm 0.2", "normal": "--seconds 2 --warm 3",
     "full": "--seconds 15 --warm 3"})

GIANT = Workload(
    "giant", "drop the last reference to a tree of ten million nodes",
    [case("1e7 nodes")],
    [peer("gari", "giant_gari"), peer("gari, inline", "giant_gari", "--mode inline")]
    + mallocs("counted", "giant_malloc", ("glibc", "mimalloc"), limit=2)
    + mallocs("std::shared_ptr", "giant_shared_ptr", ("glibc",), limit=2)
    + [peer("bdwgc", "giant_bdwgc", limit=2)] + java("Giant", limit=2)
    + [python("giant.py", limit=1)],
    [Figure("drop_us", "the drop, us", "lower"),
     Figure("longest_us", "longest call from then on, us", "lower"),
     Figure("longest_kept_us", "longest until all is gone, without preemption, us", "lower"),
     Figure("p9999_us", "p99.99 of them, us", "lower"),
     Figure("noise_max_us", "longest before the drop (noise), us", "lower"),
     Figure("gone_after_ms", "all taken apart after, ms", "lower")], "longest_us",
    [at_most("the drop in us", "gari", "1e7 nodes", "drop_us", None, 200),
     at_most("the longest call in us", "gari", "1e7 nodes", "longest_us", None, 200)],
    {"quick": "--nodes 200000 --seconds 0.2", "normal": "--seconds 1", "full": "--seconds 3"})

FOOTPRINT = Workload(
    "footprint", "memory of live objects, and beyond them under churn",
    [case("1e7 nodes")],
    [peer("gari", "footprint_gari")]
    + mallocs("counted", "footprint_malloc", limit=2)
    + mallocs("uncounted", "footprint_uncounted", ("mimalloc",), limit=2)
    + [peer("bdwgc", "footprint_bdwgc", limit=2)] + java("Footprint", limit=2)
    + [python("footprint.py", limit=2)],
    [Figure("bytes_per_node", "bytes a node (24 asked for)", "lower"),
     Figure("peak_over_live", "peak over live under churn", "lower"),
     Figure("build_ns_per_node", "ns to make a node", "lower"),
     Figure("heap_bytes_per_node", "by gari's own account, bytes a node", "lower"),
     Figure("heap_peak_over_live", "by gari's own account, peak over live", "lower")],
    "bytes_per_node",
    [at_most("bytes a node, all in", "gari", "1e7 nodes", "heap_bytes_per_node", None, 40),
     at_most("peak over live under churn", "gari", "1e7 nodes", "heap_peak_over_live", None, 1.5)],
    {"quick": "--nodes 200000", "normal": "", "full": ""})

GROWTH = Workload(
    "growth", "the collector's cost as the heap, the mutation and the threads grow",
    [case("idle, 1e6 live", "--live 1000000"), case("idle, 1e7 live", "--live 10000000")]
    + [case(f"{w} rewires/s, {n} live", f"--rewires {float(w):.0f} --live {float(n):.0f}", limit=1)
       for n, w in (("1e6", "1e4"), ("1e6", "1e5"), ("1e6", "1e6"), ("1e7", "1e5"))]
    + [case(f"{r} rings/s, 1e6 live", f"--rings {float(r):.0f} --live 1000000", limit=1)
       for r in ("1e4", "5e5")]
    + [case(f"{t} threads, 1e5 rewires/s, 1e6 live",
            f"--threads {t} --rewires 100000 --live 1000000", limit=1) for t in (2, 4, 8)],
    [peer("gari", "growth_gari")],
    [Figure("others_percent_of_core", "gari's threads, % of a core", "lower"),
     Figure("mutators_percent_of_core", "mutators, % of a core", "lower"),
     Figure("others_ns_per_ring_node", "gari's threads, ns a ring node", "lower"),
     Figure("others_ns_per_rewire", "gari's threads, ns a rewired edge", "lower"),
     Figure("examined_per_rewire", "objects examined a rewired edge", "lower"),
     Figure("rings_s", "rings/s", "higher"), Figure("rewires_s", "rewires/s", "higher"),
     Figure("heap_mb", "heap MB", "lower")],
    "others_percent_of_core",
    [at_most("collector CPU, 1e7 idle beside 1e6 idle", "gari", "idle, 1e7 live",
             "others_percent_of_core", "gari", 1.2, other_case="idle, 1e6 live")],
    {"quick": "--seconds 0.5 --warm 0.3", "normal": "--seconds 2 --warm 1",
     "full": "--seconds 15 --warm 3"})

DEMO = Workload(
    "demo", "the package graph, read while it is reloaded",
    [case("2 readers", "--threads 2")],
    [peer("gari", "demo_gari"), peer("bdwgc", "demo_bdwgc"),
     peer("std::shared_ptr, glibc", "demo_shared_ptr"),
     peer("std::shared_ptr, mimalloc", "demo_shared_ptr", malloc="mimalloc", limit=2)],
    [Figure("lookups_s", "lookups/s", "higher"), Figure("p50_us", "p50 us", "lower"),
     Figure("p99_us", "p99 us", "lower"), Figure("p9999_us", "p99.99 us", "lower"),
     Figure("max_us", "max us", "lower"), Figure("reload_p50_ms", "a reload, ms", "lower"),
     Figure("load_mb", "first load, MB", "lower"), Figure("peak_mb", "peak MB", "lower"),
     Figure("cores_used", "cores used", "lower")], "p9999_us", [],
    {"quick": "--seconds 1 --reload-ms 300 --sample 2000", "normal": "--seconds 3 --reload-ms 500",
     "full": "--seconds 15"})

# Sizes that some cases need beyond the workload's.
QUICK_LIVE = {"1000000": "20000", "10000000": "200000"}
# Peers that are much slower do less of the same.
SMALLER = {
    ("rings", "python"): {"quick": "--nodes 100000", "normal": "--nodes 1000000",
                          "full": "--nodes 2000000"},
    ("trees", "python"): {"quick": "--depth 8", "normal": "--depth 12", "full": "--depth 14"},
    ("footprint", "python"): {"quick": "--nodes 100000", "normal": "--nodes 2000000",
                              "full": "--nodes 10000000"},
    ("giant", "python"): {"quick": "--nodes 100000 --seconds 0.2",
                          "normal": "--nodes 2000000 --seconds 1", "full": ""},
}

WORKLOADS = [COUNTS, READS, TREES, RINGS, PAUSE, GIANT, FOOTPRINT, GROWTH, DEMO]
