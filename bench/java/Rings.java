/** rings: see rings/rings.h. */
public class Rings {
    static final class Node {
        Node next, prev;
        long payload;
    }

    static final class Slot {
        Node head;
        long sum;
    }

    static Node[] live;

    static Node ring(int size, long value) {
        Node first = new Node(), last = first;
        first.payload = value;
        for (int i = 1; i < size; i++) {
            Node node = new Node();
            node.payload = value + i;
            node.prev = last;
            last.next = node;
            last = node;
        }
        last.next = first;
        first.prev = last;
        return first;
    }

    static double round(int threads, int size, double nodes) throws Exception {
        long rings = (long) (nodes / size / threads);
        Slot[] slots = new Slot[threads];
        for (int i = 0; i < threads; i++)
            slots[i] = new Slot();
        long start = System.nanoTime();
        Bench.threads(threads, t -> {
            Slot slot = slots[t];
            for (long i = 0; i < rings; i++) {
                slot.head = ring(size, i);
                slot.sum += slot.head.prev.payload;
            }
            slot.head = null;
        });
        System.gc();
        double seconds = (System.nanoTime() - start) / 1e9;
        for (Slot slot : slots)
            Bench.check(slot.sum == rings * (rings - 1) / 2 + rings * (size - 1), "a ring was wrong");
        return seconds;
    }

    public static void main(String[] given) throws Exception {
        Bench.arguments(given);
        int threads = (int) Bench.number("--threads", 1), size = (int) Bench.number("--ring", 10);
        int n = (int) Bench.number("--live", 0);
        double nodes = Bench.number("--nodes", 2e7);
        Bench.Random random = new Bench.Random(9);
        live = new Node[n];
        for (int i = 0; i < n; i++)
            live[i] = new Node();
        for (Node node : live) {
            node.next = live[random.below(n)];
            node.prev = live[random.below(n)];
        }
        /* The compiler needs more of a warm-up than the native programs. */
        round(threads, size, Math.max(nodes / 10, 2e6));
        double cpu = Bench.cpuSeconds();
        double seconds = round(threads, size, nodes);
        Bench.put("Mnodes_s", nodes / seconds / 1e6);
        Bench.put("wall_s", seconds);
        Bench.put("cpu_s", Bench.cpuSeconds() - cpu);
        Bench.put("peak_mb", Bench.residentPeak() / 1e6);
        Bench.put("collections", Bench.collections());
        Bench.end();
    }
}
