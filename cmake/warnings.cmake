# Warnings are errors for our code; the libraries' headers are system headers.
add_library(runledger_warnings INTERFACE)
target_compile_options(runledger_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Werror
  # GCC 12 reports these inside its own headers at -O2 and -O3.
  -Wno-error=maybe-uninitialized -Wno-error=restrict -Wno-error=array-bounds
  -Wno-error=stringop-overflow -Wno-error=stringop-overread)
