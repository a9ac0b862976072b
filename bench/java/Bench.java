import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.IntConsumer;

/** What driver.h is to the native programs: arguments, results, clocks, memory, threads. */
final class Bench {
    private static String[] arguments;
    private static final StringBuilder line = new StringBuilder();

    static void arguments(String[] given) {
        arguments = given;
    }

    static double number(String name, double otherwise) {
        for (int i = 0; i + 1 < arguments.length; i += 2)
            if (arguments[i].equals(name))
                return Double.parseDouble(arguments[i + 1]);
        return otherwise;
    }

    static void put(String name, double value) {
        line.append(String.format("%s=%.9g ", name, value));
    }

    static void end() {
        System.out.println(line);
    }

    static void check(boolean fine, String what) {
        if (!fine) {
            System.err.println(what);
            System.exit(1);
        }
    }

    private static double bytes(String file, String key) {
        try {
            for (String s : Files.readAllLines(Path.of(file)))
                if (s.startsWith(key))
                    return Double.parseDouble(s.replaceAll("[^0-9]", "")) * 1024;
        } catch (java.io.IOException e) {
            check(false, e.toString());
        }
        return 0;
    }

    static double residentPeak() {
        return bytes("/proc/self/status", "VmHWM:");
    }

    /** Resident memory; not VmRSS, which counts the three mappings of ZGC's heap three times. */
    static double resident() {
        return bytes("/proc/self/smaps_rollup", "Pss:");
    }

    static double cpuSeconds() {
        var bean = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return bean.getProcessCpuTime() / 1e9;
    }

    static double threadCpuSeconds() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() / 1e9;
    }

    static long collections() {
        long n = 0;
        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans())
            n += Math.max(0, bean.getCollectionCount());
        return n;
    }

    static double heapUsed() {
        Runtime runtime = Runtime.getRuntime();
        return runtime.totalMemory() - runtime.freeMemory();
    }

    static void threads(int count, IntConsumer job) throws InterruptedException {
        Thread[] threads = new Thread[count];
        for (int i = 0; i < count; i++) {
            int number = i;
            threads[i] = new Thread(() -> job.accept(number));
        }
        for (Thread thread : threads)
            thread.start();
        for (Thread thread : threads)
            thread.join();
    }

    /** The xorshift64* of driver.h. */
    static final class Random {
        private long state;

        Random(long seed) {
            state = seed;
        }

        long next() {
            long x = state;
            x ^= x >>> 12;
            x ^= x << 25;
            x ^= x >>> 27;
            state = x;
            return x * 0x2545F4914F6CDD1DL;
        }

        int below(int n) {
            return (int) (((next() >>> 32) * n) >>> 32);
        }
    }

    /** The histogram of examples/pkggraph. */
    static final class Histogram {
        private static final int BITS = 5, STEPS = 1 << BITS;
        final long[] buckets = new long[(64 - BITS + 1) * STEPS];
        long count, max, sum, longCount, longSum;

        void add(long value) {
            count++;
            sum += value;
            if (value > max)
                max = value;
            if (value >= 1000000) {
                longCount++;
                longSum += value;
            }
            buckets[bucket(value)]++;
        }

        private static int bucket(long value) {
            if (value < STEPS)
                return (int) value;
            int shift = 63 - Long.numberOfLeadingZeros(value) - BITS;
            return (shift + 1) * STEPS + (int) ((value >>> shift) - STEPS);
        }

        private static long end(int bucket) {
            if (bucket < STEPS)
                return bucket;
            int shift = bucket / STEPS - 1;
            long step = bucket % STEPS + STEPS;
            return (step << shift) + ((1L << shift) - 1);
        }

        long percentile(double fraction) {
            long wanted = (long) (fraction * count + 0.5), seen = 0;
            for (int i = 0; i < buckets.length; i++) {
                seen += buckets[i];
                if (buckets[i] != 0 && seen >= wanted)
                    return Math.min(end(i), max);
            }
            return max;
        }

        void merge(Histogram other) {
            count += other.count;
            sum += other.sum;
            longCount += other.longCount;
            longSum += other.longSum;
            max = Math.max(max, other.max);
            for (int i = 0; i < buckets.length; i++)
                buckets[i] += other.buckets[i];
        }

        void clear() {
            count = sum = longCount = longSum = max = 0;
            java.util.Arrays.fill(buckets, 0);
        }
    }
}
