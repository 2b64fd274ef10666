# RUNLEDGER_SANITIZE: a list for -fsanitize=, such as "address,undefined". Empty: none.
set(RUNLEDGER_SANITIZE "" CACHE STRING "Sanitizers for every target of this build")
if(RUNLEDGER_SANITIZE)
  # Suppressions (ubsan.supp) are heeded by checks that can recover only; UBSAN_OPTIONS=halt_on_error=1 ends
  # the program for all others as well.
  add_compile_options(-fsanitize=${RUNLEDGER_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined -fsanitize-recover=null,vptr)
  add_link_options(-fsanitize=${RUNLEDGER_SANITIZE})
endif()
