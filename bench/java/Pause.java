/** pause: see pause/pause.h. */
public class Pause {
    static final class Node {
        Node a, b, c;
        long payload;
    }

    static final int SLOTS = 1024;
    static Node[] live;

    static final class Worker {
        final Bench.Random random;
        final Bench.Histogram times = new Bench.Histogram();
        final Node[] slots = new Node[SLOTS];
        double cpu;

        Worker(int number) {
            random = new Bench.Random(1234567 + number * 7919L);
        }

        Node pick() {
            return live[random.below(live.length)];
        }

        void operation(long stamp) {
            Node p = new Node(), q = new Node(), r = new Node(), t = new Node();
            p.payload = q.payload = r.payload = t.payload = stamp;
            p.a = q;
            q.a = r;
            r.a = t;
            t.a = p;
            p.b = t;
            q.b = p;
            r.b = q;
            t.b = r;
            p.c = pick();
            q.c = pick();
            r.c = pick();
            t.c = pick();
            slots[random.below(SLOTS)] = p;
            boolean second = (random.next() & 1) == 0;
            Node from = pick(), to = pick();
            if (second)
                from.b = to;
            else
                from.c = to;
        }

        void phase(long ns) {
            long before = System.nanoTime(), end = before + ns;
            while (before < end) {
                operation(before);
                long now = System.nanoTime();
                times.add(now - before);
                before = now;
            }
        }

        void run(long warm, long measured) {
            cpu = Bench.threadCpuSeconds();
            phase(warm);
            times.clear();
            phase(measured);
            cpu = Bench.threadCpuSeconds() - cpu;
        }
    }

    public static void main(String[] given) throws Exception {
        Bench.arguments(given);
        int n = (int) Bench.number("--live", 1e6), threads = (int) Bench.number("--threads", 1);
        double seconds = Bench.number("--seconds", 15);
        long run = (long) (seconds * 1e9), warm = (long) (Bench.number("--warm", 3) * 1e9);
        Bench.Random random = new Bench.Random(99);
        live = new Node[n];
        for (int i = 0; i < n; i++)
            live[i] = new Node();
        for (int i = 0; i < n; i++) {
            live[i].a = live[(i + 1) % n];
            live[i].b = live[random.below(n)];
            live[i].c = live[random.below(n)];
        }
        Worker[] workers = new Worker[threads];
        for (int i = 0; i < threads; i++)
            workers[i] = new Worker(i);
        double cpu = Bench.cpuSeconds(), mutators = 0;
        long collections = Bench.collections(), start = System.nanoTime();
        Bench.threads(threads, i -> workers[i].run(warm, run));
        double elapsed = (System.nanoTime() - start) / 1e9;
        cpu = Bench.cpuSeconds() - cpu;
        Bench.Histogram all = new Bench.Histogram();
        for (Worker worker : workers) {
            all.merge(worker.times);
            mutators += worker.cpu;
        }
        Bench.put("Mops_s", all.count / seconds / 1e6);
        Bench.put("p50_us", all.percentile(.5) / 1e3);
        Bench.put("p99_us", all.percentile(.99) / 1e3);
        Bench.put("p999_us", all.percentile(.999) / 1e3);
        Bench.put("p9999_us", all.percentile(.9999) / 1e3);
        Bench.put("max_us", all.max / 1e3);
        Bench.put("over_1ms", all.longCount);
        Bench.put("over_1ms_share", (double) all.longSum / all.sum);
        Bench.put("cores_used", cpu / elapsed);
        Bench.put("cores_others", (cpu - mutators) / elapsed);
        Bench.put("peak_mb", Bench.resident() / 1e6); /* the heap is fixed, so it is its own peak */
        Bench.put("collections", Bench.collections() - collections);
        Bench.end();
    }
}
