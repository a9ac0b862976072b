"""What driver.h is to the native programs: arguments, results, memory."""
import sys
import time

results = []


def number(name, otherwise):
    for i in range(1, len(sys.argv) - 1, 2):
        if sys.argv[i] == name:
            return float(sys.argv[i + 1])
    return otherwise


def put(name, value):
    results.append(f"{name}={value:.9g}")


def end():
    print(*results, flush=True)


def status(key):
    """Bytes, of a line of /proc/self/status."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return 0


def resident():
    return status("VmRSS:")


def resident_peak():
    return status("VmHWM:")


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def percentile(ordered, fraction):
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


now = time.perf_counter_ns
