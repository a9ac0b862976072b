/** trees: see trees/trees.h. */
public class Trees {
    static final class Node {
        Node left, right;
    }

    static int depth;

    static Node build(int depth) {
        Node node = new Node();
        if (depth > 0) {
            node.left = build(depth - 1);
            node.right = build(depth - 1);
        }
        return node;
    }

    static long walk(Node node) {
        return node.left != null ? 1 + walk(node.left) + walk(node.right) : 1;
    }

    static long work() {
        long nodes = walk(build(depth + 1));
        Node kept = build(depth);
        for (int d = 4; d <= depth; d += 2)
            for (long i = 0; i < 1L << (depth - d + 4); i++)
                nodes += walk(build(d));
        return nodes + walk(kept);
    }

    public static void main(String[] given) throws Exception {
        Bench.arguments(given);
        int threads = (int) Bench.number("--threads", 1);
        depth = (int) Bench.number("--depth", 18);
        long[] nodes = new long[threads];
        double cpu = Bench.cpuSeconds();
        long start = System.nanoTime();
        Bench.threads(threads, i -> nodes[i] = work());
        double ns = System.nanoTime() - start, all = 0;
        cpu = Bench.cpuSeconds() - cpu;
        for (long n : nodes)
            all += n;
        Bench.put("wall_s", ns / 1e9);
        Bench.put("cpu_s", cpu);
        Bench.put("ns_per_node", ns * threads / all);
        Bench.put("cpu_ns_per_node", cpu * 1e9 / all);
        Bench.put("peak_mb", Bench.residentPeak() / 1e6);
        Bench.put("collections", Bench.collections());
        Bench.end();
    }
}
