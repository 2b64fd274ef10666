# The hot path is flat: many small functions over four libraries. Optimised as one program it takes a tenth less
# time. The objects hold both forms, so that tests link as fast as ever (tests/CMakeLists.txt: -fno-lto).
option(RUNLEDGER_LTO "Optimise the release binary as one program" ON)
add_library(runledger_optimised INTERFACE)
if(RUNLEDGER_LTO AND CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(runledger_optimised INTERFACE -flto=auto -ffat-lto-objects)
  # Not mold: with its order of symbols GCC 12 ends with an internal error (add_symbol_to_partition_1).
  set(RUNLEDGER_LTO_LINK -fuse-ld=bfd -flto=auto -O3)
endif()
