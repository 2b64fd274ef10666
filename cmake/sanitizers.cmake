# RUNLEDGER_SANITIZE: a list for -fsanitize=, such as "address,undefined". Empty: none.
set(RUNLEDGER_SANITIZE "" CACHE STRING "Sanitizers for every target of this build")
if(RUNLEDGER_SANITIZE)
  # Not the checks of every access for null, alignment, size and type: they double the time to compile an actor and find
  # what AddressSanitizer finds as well, or nothing of ours (CAF 0.17.6 needed suppressions for them).
  add_compile_options(-fsanitize=${RUNLEDGER_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined -fno-sanitize=null,alignment,object-size,vptr)
  add_link_options(-fsanitize=${RUNLEDGER_SANITIZE})
endif()
