"""The protobuf rules that Bazel 4's own tool packages load; gari has no protobufs."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
