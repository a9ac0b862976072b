/** footprint: see footprint/footprint.h. */
public class Footprint {
    static final int RING = 4;

    static final class Node {
        Node next, prev;
        long payload;
    }

    static Node[] table;

    static void put(int place) {
        Node first = new Node(), last = first;
        first.payload = place;
        for (int i = 1; i < RING; i++) {
            Node node = new Node();
            node.payload = place;
            node.prev = last;
            last.next = node;
            last = node;
        }
        last.next = first;
        first.prev = last;
        table[place] = first;
    }

    public static void main(String[] given) throws Exception {
        Bench.arguments(given);
        int rings = (int) Bench.number("--nodes", 1e7) / RING;
        double churn = Bench.number("--churn", 2), nodes = (double) rings * RING;
        table = new Node[rings];
        System.gc();
        double used = Bench.heapUsed(), base = Bench.resident();
        long start = System.nanoTime();
        for (int i = 0; i < rings; i++)
            put(i);
        double ns = System.nanoTime() - start;
        System.gc();
        used = Bench.heapUsed() - used;
        Bench.Random random = new Bench.Random(5);
        for (long i = 0; i < (long) (rings * churn); i++)
            put(random.below(rings));
        Bench.put("bytes_per_node", used / nodes);
        Bench.put("build_ns_per_node", ns / nodes);
        Bench.put("peak_over_live", (Bench.resident() - base) / used); /* it gives nothing back */
        Bench.put("collections", Bench.collections());
        Bench.end();
    }
}
