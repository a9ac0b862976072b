/* trees: binary trees, allocated, walked and dropped (the shape of the old GCBench and of the
 * Computer Language Benchmarks Game). Each thread builds a tree of depth D + 1, walks and drops it;
 * then keeps one of depth D while it makes 2^(D - d + 4) trees of each depth d = 4, 6, ... D.
 *
 * --threads T   each does the whole work on trees of its own (1)
 * --depth D     (18: 68,332,206 nodes a thread)
 *
 * A peer defines, before it includes this: tree (a reference), tree_build(depth), tree_walk(tree),
 * which counts nodes, tree_drop(tree *), trees_begin, trees_finish (inside the timing), trees_end. */
#ifndef BENCH_TREES_H
#define BENCH_TREES_H

static int trees_depth;
static long trees_nodes[BENCH_MAX_THREADS];

static long trees_one(int depth)
{
    tree made = tree_build(depth);
    long nodes = tree_walk(made);
    tree_drop(&made);
    return nodes;
}

static void trees_run(int thread)
{
    long nodes = trees_one(trees_depth + 1);
    tree kept = tree_build(trees_depth);
    for (int depth = 4; depth <= trees_depth; depth += 2)
        for (long i = 0; i < 1L << (trees_depth - depth + 4); i++)
            nodes += trees_one(depth);
    nodes += tree_walk(kept);
    tree_drop(&kept);
    trees_nodes[thread] = nodes;
}

static long trees_expected(void)
{
    long nodes = (1L << (trees_depth + 2)) - 1 + (1L << (trees_depth + 1)) - 1;
    for (int depth = 4; depth <= trees_depth; depth += 2)
        nodes += (1L << (trees_depth - depth + 4)) * ((1L << (depth + 1)) - 1);
    return nodes;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --depth --mode ");
    int threads = bench_threads_wanted();
    trees_depth = (int)bench_long("--depth", 18);
    trees_begin();
    struct bench_job job = {NULL, trees_run};
    uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_start(threads, job);
    uint64_t start = bench_join(threads).start_ns;
    trees_finish();
    double ns = (double)(bench_now() - start);
    double cpu_ns = (double)(bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    for (int i = 0; i < threads; i++)
        bench_check(trees_nodes[i] == trees_expected(), "nodes are missing");
    double nodes = (double)trees_expected() * threads;
    bench_put("wall_s", ns / 1e9);
    bench_put("cpu_s", cpu_ns / 1e9);
    bench_put("ns_per_node", ns * threads / nodes);
    bench_put("cpu_ns_per_node", cpu_ns / nodes);
    bench_put("peak_mb", bench_resident_peak() / 1e6);
    trees_end();
    bench_end();
    return 0;
}

#endif
