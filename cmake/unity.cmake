# Sources of a library are compiled in batches, so that each header is parsed once for a batch instead of once for a
# source (docs/decisions/0124-unity-builds.md). Each source still stands on its own: `debug` compiles them one by one.
option(RUNLEDGER_UNITY "Compile the libraries' sources in batches" OFF)

# compile_in_batches(<target> <sources of a batch>)
function(compile_in_batches target size)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${RUNLEDGER_UNITY} UNITY_BUILD_BATCH_SIZE ${size})
endfunction()
