"""The shell test rule that is built into Bazel 4, under the name that newer Bazels load it by."""

sh_test = native.sh_test
