"""The shapes of the benchmark programs."""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load("//tools/bazel:gari.bzl", "COPTS", "WARNINGS")

_C_ONLY = [
    "-Wmissing-prototypes",
    "-Wstrict-prototypes",
]

_CXXOPTS = [
    "-std=c++20",
    "-D_GNU_SOURCE",
] + [warning for warning in WARNINGS if warning not in _C_ONLY]

def _program(name, srcs, copts = [], **kwargs):
    cc_binary(
        name = name,
        srcs = srcs,
        copts = (_CXXOPTS if srcs[0].endswith(".cc") else COPTS) + copts,
        **kwargs
    )

def gari_program(name, deps = [], **kwargs):
    """A benchmark on gari; built with everything else, so that it keeps compiling."""
    _program(
        name = name,
        deps = deps + [
            ":driver",
            "//examples/pkggraph:histogram",
            "//lib:gari",
        ],
        **kwargs
    )

def peer_program(name, deps = [], tags = [], linkopts = [], **kwargs):
    """The same work on a peer; built only when asked for by name, for it may need packages that
    nothing else does."""
    _program(
        name = name,
        linkopts = linkopts + ["-lpthread"],
        tags = tags + ["manual"],
        deps = deps + [
            ":driver",
            "//examples/pkggraph:histogram",
        ],
        **kwargs
    )
