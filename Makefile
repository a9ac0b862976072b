# The door for people; Bazel does the work. ARGS goes to whatever the target runs:
#
#   make demo ARGS="--help"                      arguments of the demo
#   make test ARGS="--nocache_test_results"      options of bazel test (also tsan, asan, checked)
#   make stress ARGS="--seconds 60"              arguments of the stress programs
#   make fuzz ARGS="--seconds 3600"              arguments of tests/fuzz/run.sh
#   make soak ARGS="--minutes 60"                arguments of tools/soak, see --help
#   make bench ARGS="--only pause"               arguments of bench/run.py, see --help
ARGS =

.PHONY: help demo test model stress fuzz soak tsan asan checked valgrind aarch64 coverage lint \
	bench format check-format clean

help:
	@echo "make demo          the package graph example, optimised"
	@echo "make test          everything: unit tests and short stress runs, plain and under sanitizers"
	@echo "make model         all models of the protocol, each rule broken in turn; minutes"
	@echo "make stress        the stress programs alone"
	@echo "make fuzz          programs of API calls against a model, by libFuzzer; a minute"
	@echo "make soak          all stress programs at once, watched for memory, liveness, latency; 10 min"
	@echo "make tsan          everything under ThreadSanitizer"
	@echo "make asan          everything under AddressSanitizer, LeakSanitizer and UBSan"
	@echo "make checked       all tests with the library that watches its users (docs/checking.md)"
	@echo "make valgrind      the unit tests under valgrind's memcheck; many minutes"
	@echo "make aarch64       the unit tests for aarch64, in qemu's emulation; minutes"
	@echo "make coverage      what the tests reach of the library, line by line; ten minutes"
	@echo "make lint          clang-tidy, cppcheck and gcc's analyser; two minutes"
	@echo "make bench         gari beside its peers: tables and plots, in about ten minutes"
	@echo "make format        formats the C files; make check-format only looks"
	@echo "make clean         removes what was built"

demo:
	@tools/install-packages build
	@bazel build --config=opt --show_result=0 //examples/pkggraph
	@bazel-bin/examples/pkggraph/pkggraph $(ARGS)

test:
	@tools/install-packages
	@tools/run-tests format lint plain opt asan tsan -- $(ARGS)

model:
	@tools/install-packages
	@tests/model/run.sh $(ARGS)

stress:
	@tools/install-packages
	@tools/run-tests stress -- $(foreach arg,$(ARGS),--test_arg=$(arg))

fuzz:
	@tools/install-packages
	@tests/fuzz/run.sh $(ARGS)

soak:
	@tools/install-packages soak
	@tools/soak $(ARGS)

tsan asan checked valgrind:
	@tools/install-packages
	@tools/run-tests $@ -- $(ARGS)

aarch64:
	@tools/install-packages aarch64
	@tools/aarch64/run $(ARGS)

coverage:
	@tools/install-packages coverage
	@tools/coverage $(ARGS)

lint:
	@tools/install-packages lint
	@tools/lint $(ARGS)

bench:
	@tools/install-packages bench
	@bench/run.py $(ARGS)

format:
	@tools/install-packages
	@tools/format

check-format:
	@tools/install-packages
	@tools/format --check

clean:
	@bazel clean
