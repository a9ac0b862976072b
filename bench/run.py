#!/usr/bin/python3
"""Builds the benchmarks, runs them beside their peers, and writes the figures.

Runs of the peers are interleaved: every peer once, then every peer again, so that a busy moment of the
machine is shared. What is reported is the median. Called by `make bench ARGS="..."`; --help has the
arguments. Packages: tools/install-packages bench.
"""
import argparse
import csv
import os
import re
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import cases  # noqa: E402
import report  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"  # Debian's, whatever else is in the path
TIMEOUT = 900


def parse_arguments():
    names = [w.name for w in cases.WORKLOADS]
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.split("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", dest="length", action="store_const", const="quick",
                        default="normal",
                        help="one short run of everything: does it work? (its figures mean nothing)")
    length.add_argument("--full", dest="length", action="store_const", const="full",
                        help="the full sizes, every peer in every run: an hour or two")
    parser.add_argument("--only", action="append", choices=names, metavar="WORKLOAD",
                        help="may be repeated; one of " + ", ".join(names))
    parser.add_argument("--peer", action="append", default=[], metavar="PEER",
                        help="only peers whose name contains this (and gari); may be repeated")
    parser.add_argument("--runs", type=int, metavar="N", help="of each program (5; with --quick 1)")
    parser.add_argument("--out", default="bench-results", metavar="DIR",
                        help="for results.csv, tables.md and *.svg (bench-results)")
    parser.add_argument("--document", metavar="FILE",
                        help="also rewrite the tables in this file (docs/performance.md)")
    options = parser.parse_args()
    if options.runs is None:
        options.runs = 1 if options.length == "quick" else 5
    if options.runs < 1:
        parser.error("--runs must be 1 or more")
    return options


# ---- What to run ---------------------------------------------------------------------------------


class Run:
    """One program in one case: how it is started, and the results so far."""

    def __init__(self, workload, case, peer, length, runs):
        self.workload, self.case, self.peer = workload, case, peer
        sizes = cases.SMALLER.get((workload.name, peer.name), workload.sizes)[length].split()
        arguments = case.arguments
        if length == "quick":
            arguments = [cases.QUICK_LIVE.get(a, a) for a in arguments]
        # A later argument does not win over an earlier one, so each name is given once.
        named = {}
        for given in (arguments, peer.arguments, sizes):
            named.update(zip(given[::2], given[1::2]))
        self.arguments = [word for pair in named.items() for word in pair]
        limits = [n for n in (case.limit, peer.limit) if n and length == "normal"]
        self.runs = min([runs] + limits)
        self.results = []

    def label(self):
        return f"{self.workload.name:<9} {self.case.name:<36} {self.peer.name}"


def select(options):
    runs = []
    for workload in cases.WORKLOADS:
        if options.only and workload.name not in options.only:
            continue
        for case in workload.cases:
            for peer in workload.peers:
                wanted = not options.peer or peer.name.startswith("gari") or any(
                    text.lower() in peer.name.lower() for text in options.peer)
                if wanted and (case.where is None or case.where(peer.name)):
                    runs.append(Run(workload, case, peer, options.length, options.runs))
    return runs


# ---- Building and finding ----------------------------------------------------------------------


def build(runs):
    """Builds what the runs need; returns the folder of the programs."""
    targets = set()
    for run in runs:
        if run.peer.kind in ("native", "file"):
            targets.add("//bench:" + run.peer.target)
        elif run.peer.kind == "java":
            targets.add("//bench:java")
    print(f"building {len(targets)} programs", flush=True)
    bazel = ["bazel", "build", "--config=opt", "--noshow_progress", "--show_result=0"]
    if subprocess.run(bazel + sorted(targets), cwd=TOP).returncode != 0:
        sys.exit("bench: the programs could not be built")
    shown = subprocess.run(["bazel", "info", "--config=opt", "bazel-bin"], cwd=TOP, check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return os.path.join(shown.stdout.strip(), "bench")


def find_malloc(name):
    """The library to preload."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True).stdout
    found = re.search(rf"lib{name}\.so\.\S+ .*x86-64.*=> (\S+)", listed) or re.search(
        rf"lib{name}\.so\.\S+ .*=> (\S+)", listed)
    if not found:
        sys.exit(f"bench: lib{name} is not installed: tools/install-packages bench")
    return found.group(1)


def command(run, folder):
    peer = run.peer
    if peer.kind == "java":
        return ["java", *peer.java, "-cp", os.path.join(folder, "java.jar"), peer.target,
                *run.arguments]
    if peer.kind == "python":
        return [PYTHON, "-B", os.path.join(TOP, "bench/python", peer.target), *run.arguments]
    suffix = ".bin" if peer.kind == "file" else ""
    return [os.path.join(folder, peer.target + suffix), *run.arguments]


# ---- Running -----------------------------------------------------------------------------------


def busy_seconds():
    """CPU time that the whole machine has used."""
    with open("/proc/stat") as file:
        ticks = [int(n) for n in file.readline().split()[1:]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def once(run, folder, mallocs):
    """Runs the program once; returns its figures, or a sentence about what went wrong."""
    environment = dict(os.environ, **run.peer.environment)
    if run.peer.malloc:
        environment["LD_PRELOAD"] = mallocs[run.peer.malloc]
    busy, own, start = busy_seconds(), os.times(), time.monotonic()
    try:
        done = subprocess.run(command(run, folder), env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"took longer than {TIMEOUT} s"
    except OSError as error:
        return str(error)
    wall, after = time.monotonic() - start, os.times()
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
    figures = {k: float(v) for k, v in (word.split("=") for word in done.stdout.split())}
    if not figures:
        return "printed no figures"
    mine = sum(after[:4]) - sum(own[:4])
    figures["neighbours_cores"] = max(0.0, (busy_seconds() - busy - mine) / wall)
    return figures


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    def __init__(self, runs):
        self.total = sum(run.runs for run in runs)
        self.done = 0
        self.start = time.monotonic()
        self.took = {}  # by run
        self.runs = runs

    def left(self):
        """Seconds, once every program has run."""
        if len(self.took) < len(self.runs):
            return None
        return sum(self.took[id(run)] * (run.runs - len(run.results)) for run in self.runs)

    def show(self, run, seconds, figures):
        self.done += 1
        self.took[id(run)] = seconds
        left = self.left()
        about = f", about {clock(left)} left" if left else ""
        figure = run.workload.figures[0]
        value = figures.get(figure.key) if isinstance(figures, dict) else None
        shown = "FAILED" if value is None else f"{report.number(value)} {figure.heading}"
        print(f"[{self.done}/{self.total} {clock(time.monotonic() - self.start)}{about}] "
              f"{run.label()}: {shown}", flush=True)


def measure(runs, folder):
    """Runs everything, workload by workload; returns what failed."""
    mallocs = {m: find_malloc(m) for m in {r.peer.malloc for r in runs if r.peer.malloc}}
    progress, failed = Progress(runs), []
    for workload in cases.WORKLOADS:
        own = [run for run in runs if run.workload is workload]
        for turn in range(max((run.runs for run in own), default=0)):
            for run in own:
                if turn >= run.runs:
                    continue
                start = time.monotonic()
                figures = once(run, folder, mallocs)
                progress.show(run, time.monotonic() - start, figures)
                if isinstance(figures, dict):
                    run.results.append(figures)
                else:
                    failed.append(f"{run.label()}: {figures}")
    return failed + disagreements(runs)


def disagreements(runs):
    """Programs that computed different things in the same case."""
    seen, found = {}, []
    for run in runs:
        for figures in run.results:
            check = figures.get("check")
            first = seen.setdefault((run.workload.name, run.case.name), check)
            if check != first:
                found.append(f"{run.label()}: its result {check} is not {first}")
    return found


def write_csv(runs, path):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["workload", "case", "peer", "run", "figure", "value"])
        for run in runs:
            for turn, figures in enumerate(run.results, 1):
                for key, value in figures.items():
                    writer.writerow([run.workload.name, run.case.name, run.peer.name, turn, key,
                                     f"{value:.9g}"])


def main():
    options = parse_arguments()
    os.chdir(TOP)
    runs = select(options)
    if not runs:
        sys.exit("bench: no program is left to run")
    folder = build(runs)
    failed = measure(runs, folder)
    os.makedirs(options.out, exist_ok=True)
    write_csv(runs, os.path.join(options.out, "results.csv"))
    called = f'make bench ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else "make bench"
    results = report.Report(runs, options, called)
    results.write(options.out)
    if options.document:
        results.rewrite(options.document)
    print(results.goals())
    print(f"written: {options.out}/results.csv, tables.md, *.svg"
          + (f"; {options.document}" if options.document else ""))
    for sentence in failed:
        print(f"bench: {sentence}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
