"""How gari's own C is compiled, and the shapes that its targets have."""

load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wcast-qual",
    "-Wconversion",
    "-Wmissing-prototypes",
    "-Wpointer-arith",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wundef",
    "-Wwrite-strings",
    "-Werror",
]

COPTS = [
    "-std=c11",
    "-D_GNU_SOURCE",
] + WARNINGS

_LIB_COPTS = COPTS + [
    # Only what gari.h marks with GARI_API leaves the shared library.
    "-fvisibility=hidden",
    # Per-thread state is on every fast path; the default model of a shared library calls a function
    # to find it. The price is a little of the static TLS space that the C library sets aside.
    "-ftls-model=initial-exec",
]

def gari_layer(name, deps = [], headers = [], linkopts = [], visibility = None):
    """One layer of the library: all the C files of its folder.

    Defined three times: as it ships; as <name>_perturbed for the stress programs (delays at the
    protocol's steps, and faults on demand: concurrency/perturb.h); and as <name>_checked, which
    watches what its users do (object/checked.h). No two of them meet in one program.

    Args:
      name: the folder's name.
      deps: the layers below, as labels with a target name.
      headers: targets without code, the same in both.
      linkopts: the system libraries that the layer needs.
      visibility: who may use the layer: the ones above.
    """
    # As text, for tests/model/steps.sh.
    native.filegroup(
        name = name + "_sources",
        srcs = native.glob(["*.c", "*.h"], allow_empty = True),
        visibility = ["//tests/model:__pkg__"],
    )
    for suffix, defines, tags in [
        ("", [], []),
        ("_perturbed", ["GARI_PERTURB=1"], []),
        ("_checked", ["GARI_CHECKED=1"], ["manual"]),
    ]:
        cc_library(
            name = name + suffix,
            srcs = native.glob(["*.c"], allow_empty = True),
            hdrs = native.glob(["*.h"], allow_empty = True),
            copts = _LIB_COPTS,
            # For whoever includes perturb.h as well.
            defines = defines,
            linkopts = linkopts,
            # The checked one is built where something needs it.
            tags = tags,
            # The layers see each other's hidden symbols, so none can be a shared library.
            linkstatic = True,
            # Layers also call upwards at a few points (lib/object/self.h), which the linker, going
            # through the archives once from top to bottom, would not find.
            alwayslink = True,
            visibility = visibility,
            deps = [dep + suffix for dep in deps] + headers,
        )

def gari_test(name, srcs = None, deps = [], extra_linkopts = [], **kwargs):
    """A Criterion test: tests/<name>.c, linked with the library as it ships."""
    cc_test(
        name = name,
        srcs = srcs or [name + ".c"],
        copts = COPTS,
        # -rdynamic lets Criterion's sandbox find the rand_r of tsan_arena.c. Criterion finds its tests in a
        # section that nothing refers to: without it a program of -c opt has none.
        linkopts = [
            "-lcriterion",
            "-Wl,--no-gc-sections",
        ] + select({
            "//tools/bazel:tsan": ["-rdynamic"],
            "//conditions:default": [],
        }) + extra_linkopts,
        linkstatic = True,
        size = "small",
        deps = [
            ":support",
            "//lib:gari",
        ] + select({
            "//tools/bazel:tsan": [":tsan_arena"],
            "//conditions:default": [],
        }) + deps,
        **kwargs
    )

def gari_stress(name, srcs, deps = [], **kwargs):
    """A stress program, linked with the library that delays itself and can be broken on demand.

    Run without arguments, as here, it does its short form.
    """
    cc_test(
        name = name,
        srcs = srcs,
        copts = COPTS,
        linkstatic = True,
        # The programs look for rare schedules; on two cores another test beside them would make
        # those rarer.
        tags = ["cpu:2"],
        timeout = "long",
        deps = deps + ["//lib:gari_perturbed"],
        **kwargs
    )
