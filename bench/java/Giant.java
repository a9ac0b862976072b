/** giant: see giant/giant.h. */
public class Giant {
    static final class Node {
        Node left, right;
        long payload;
    }

    static Node root;
    static volatile Node small;

    static Node build(long nodes) {
        Node node = new Node();
        node.payload = nodes--;
        if (nodes > 0)
            node.left = build((nodes + 1) / 2);
        if (nodes > 1)
            node.right = build(nodes / 2);
        return node;
    }

    static void calls(Bench.Histogram times, long ns) {
        long before = System.nanoTime(), end = before + ns;
        while (before < end) {
            small = new Node();
            long now = System.nanoTime();
            times.add(now - before);
            before = now;
        }
    }

    public static void main(String[] given) throws Exception {
        Bench.arguments(given);
        long nodes = (long) Bench.number("--nodes", 1e7);
        long ns = (long) (Bench.number("--seconds", 3) * 1e9);
        Bench.Histogram before = new Bench.Histogram(), after = new Bench.Histogram();
        root = build(nodes);
        calls(before, ns / 3);
        long start = System.nanoTime();
        root = null;
        long drop = System.nanoTime() - start;
        calls(after, ns);
        Bench.put("drop_us", drop / 1e3);
        Bench.put("longest_us", Math.max(drop, after.max) / 1e3);
        Bench.put("p9999_us", after.percentile(.9999) / 1e3);
        Bench.put("noise_max_us", before.max / 1e3);
        Bench.put("noise_p9999_us", before.percentile(.9999) / 1e3);
        Bench.put("collections", Bench.collections());
        Bench.end();
    }
}
