"""Tables in Markdown, plots in SVG, and the tables within docs/performance.md."""
import datetime
import os
import re
import subprocess
from statistics import median

MARKER = "<!-- bench:{} -->"
PACKAGES = ["gcc", "libc6", "liburcu-dev", "libgc1", "libjemalloc2", "libmimalloc2.0",
            "libstdc++6", "libglib2.0-0", "openjdk-17-jre-headless", "nim", "python3"]


def number(value):
    """Three digits that matter; no exponents for what a table has."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1g}"
    digits = 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}" if abs(value) >= 0.1 else f"{value:.4f}".rstrip("0")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def output_of(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True).stdout.strip()
    except OSError:
        return ""


def first_line(path, pattern=r"(.*)"):
    try:
        with open(path) as file:
            found = re.search(pattern, file.read())
            return found.group(1).strip() if found else ""
    except OSError:
        return ""


def machine():
    kib = int(first_line("/proc/meminfo", r"MemTotal:\s+(\d+)") or 0)
    pages = first_line("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]")
    system = first_line("/etc/os-release", r'PRETTY_NAME="(.*)"')
    versions = output_of("dpkg-query", "-W", "-f", "${Package} ${Version}, ", *PACKAGES)
    return "\n".join([
        f"- {first_line('/proc/cpuinfo', r'model name.*: (.*)')}, {os.cpu_count()} CPUs, "
        f"{kib / 1024 ** 2:.0f} GiB; Linux {os.uname().release}; {system}; "
        f"transparent huge pages: {pages}.",
        f"- Packages: {versions.rstrip(', ')}.",
    ])


def revision():
    named = output_of("git", "describe", "--always", "--dirty=, with changes")
    return named or "unknown"


class Report:
    def __init__(self, runs, options, called):
        self.runs, self.options, self.called = runs, options, called
        self.workloads = []
        for run in runs:
            if run.workload not in self.workloads:
                self.workloads.append(run.workload)

    # ---- Figures ----

    def find(self, workload, case_name, peer_name):
        for run in self.runs:
            if (run.workload is workload and run.case.name == case_name
                    and run.peer.name == peer_name):
                return run
        return None

    def value(self, run, key):
        """The median over the runs, or None."""
        values = [figures[key] for figures in run.results if key in figures] if run else []
        return median(values) if values else None

    def of(self, workload):
        return [run for run in self.runs if run.workload is workload]

    def names(self, workload, what):
        seen = []
        for run in self.of(workload):
            name = getattr(run, what).name
            if name not in seen:
                seen.append(name)
        return seen

    # ---- Tables ----

    def tables(self, workload):
        """By case when there are many figures, by figure when there are many cases."""
        case_names, peer_names = self.names(workload, "case"), self.names(workload, "peer")
        if len(peer_names) == 1:
            return self.table_of_cases(workload, peer_names[0])
        parts = []
        if len(workload.figures) > 3:
            for case_name in case_names:
                parts.append(f"{case_name}:\n\n" + self.table_of_case(workload, case_name))
        else:
            for figure in workload.figures:
                parts.append(f"{figure.heading}:\n\n" + self.table_of_figure(workload, figure))
        return "\n\n".join(parts)

    def table_of_figure(self, workload, figure):
        case_names = self.names(workload, "case")
        rows = []
        for peer_name in self.names(workload, "peer"):
            found = [self.find(workload, case_name, peer_name) for case_name in case_names]
            rows.append([peer_name] + [number(self.value(run, figure.key)) for run in found]
                        + ["-".join(sorted({str(len(run.results)) for run in found if run}))])
        return table([workload.name] + case_names + ["runs"], rows)

    def table_of_case(self, workload, case_name):
        runs = [run for run in self.of(workload) if run.case.name == case_name]
        figures = [f for f in workload.figures
                   if any(self.value(run, f.key) is not None for run in runs)]
        return table([workload.name] + [f.heading for f in figures] + ["runs"],
                     [[run.peer.name] + [number(self.value(run, f.key)) for f in figures]
                      + [str(len(run.results))] for run in runs])

    def table_of_cases(self, workload, peer_name):
        rows = []
        for case_name in self.names(workload, "case"):
            run = self.find(workload, case_name, peer_name)
            rows.append([case_name] + [number(self.value(run, f.key)) for f in workload.figures]
                        + [str(len(run.results))])
        return table([workload.name] + [f.heading for f in workload.figures] + ["runs"], rows)

    def goal_rows(self, workload):
        rows = []
        for goal in workload.goals:
            measured = self.value(self.find(workload, goal.case, goal.peer), goal.key)
            if goal.other:
                other = self.value(self.find(workload, goal.other_case, goal.other), goal.other_key)
                measured = measured / other if measured is not None and other else None
            if measured is None:
                continue
            met = measured <= goal.bound if goal.at_most else measured >= goal.bound
            word = "at most" if goal.at_most else "at least"
            rows.append([goal.text, number(measured), f"{word} {goal.bound:g}",
                         "met" if met else "**missed**"])
        return rows

    def goals(self):
        rows = [[w.name + ": " + row[0]] + row[1:] for w in self.workloads
                for row in self.goal_rows(w)]
        return table(["goal", "measured", "bound", ""], rows) if rows else ""

    def stamp(self, workload):
        neighbours = [f["neighbours_cores"] for run in self.of(workload) for f in run.results]
        if not neighbours:
            return "Nothing was measured."
        return (f"Measured {datetime.date.today()} at revision {revision()} by `{self.called}`; "
                f"medians; meanwhile the rest of the machine used {median(neighbours):.2f} cores "
                f"(at most {max(neighbours):.2f}).")

    def section(self, workload):
        parts = [self.tables(workload)]
        rows = self.goal_rows(workload)
        if rows:
            parts.append(table(["goal", "measured", "bound", ""], rows))
        return "\n\n".join(parts + [self.stamp(workload)])

    # ---- Plots ----

    def plot(self, workload, path):
        import matplotlib
        matplotlib.use("svg")
        matplotlib.rcParams["svg.hashsalt"] = "gari"  # the same figures make the same file
        matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
        from matplotlib import pyplot
        figure = next(f for f in workload.figures if f.key == workload.plot)
        case_names, peer_names = self.names(workload, "case"), self.names(workload, "peer")
        across = 1 if len(peer_names) == 1 else len(case_names)
        rows = case_names if len(peer_names) == 1 else peer_names
        drawing, axes = pyplot.subplots(1, across, sharey=True, squeeze=False,
                                        figsize=(3 + 2.6 * across, 1 + 0.3 * len(rows)))
        for column, axis in enumerate(axes[0]):
            values = []
            for row in rows:
                found = (self.find(workload, row, peer_names[0]) if across == 1 and rows is case_names
                         else self.find(workload, case_names[column], row))
                values.append(self.value(found, figure.key) or 0)
            colours = ["#c4513d" if "gari" in row or rows is case_names else "#7f8fa6"
                       for row in rows]
            bars = axis.barh(rows, values, color=colours)
            axis.bar_label(bars, [number(v) if v else "" for v in values], fontsize=7, padding=2)
            positive = [v for v in values if v > 0]
            if positive and max(positive) > 30 * min(positive):
                axis.set_xscale("log")
            axis.margins(x=0.25)
            axis.invert_yaxis() if column == 0 else None
            axis.set_title(case_names[column] if rows is not case_names else "gari", fontsize=9)
            axis.set_xlabel(f"{figure.heading} ({figure.better} is better)", fontsize=7)
            axis.tick_params(labelsize=7)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        drawing.suptitle(f"{workload.name}: {workload.title}", fontsize=10)
        drawing.tight_layout()
        drawing.savefig(path, metadata={"Date": None})
        pyplot.close(drawing)

    # ---- Files ----

    def write(self, folder):
        parts = ["# gari's benchmarks", machine(), self.goals()]
        for workload in self.workloads:
            self.plot(workload, os.path.join(folder, workload.name + ".svg"))
            parts.append(f"## {workload.name}: {workload.title}\n\n![{workload.name}]"
                         f"({workload.name}.svg)\n\n" + self.section(workload))
        with open(os.path.join(folder, "tables.md"), "w") as file:
            file.write("\n\n".join(parts) + "\n")

    def rewrite(self, path):
        """Replaces what stands between <!-- bench:NAME --> and the next <!-- bench:end -->. What was
        not measured stays."""
        with open(path) as file:
            text = file.read()
        pictures = os.path.splitext(path)[0]
        os.makedirs(pictures, exist_ok=True)
        places = {"machine": machine()}
        for workload in self.workloads:
            picture = os.path.join(pictures, workload.name + ".svg")
            self.plot(workload, picture)
            shown = os.path.relpath(picture, os.path.dirname(path))
            places[workload.name] = f"![{workload.name}]({shown})\n\n" + self.section(workload)
        for name, content in places.items():
            pattern = re.escape(MARKER.format(name)) + r".*?" + re.escape(MARKER.format("end"))
            replaced, count = re.subn(
                pattern, lambda _: f"{MARKER.format(name)}\n\n{content}\n\n{MARKER.format('end')}",
                text, flags=re.DOTALL)
            if count != 1:
                raise SystemExit(f"bench: {path} has no place for {name}: {MARKER.format(name)}")
            text = replaced
        with open(path, "w") as file:
            file.write(text)
