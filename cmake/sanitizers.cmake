# RUNLEDGER_SANITIZE: a list for -fsanitize=, such as "address,undefined". Empty: none.
set(RUNLEDGER_SANITIZE "" CACHE STRING "Sanitizers for every target of this build")
if(RUNLEDGER_SANITIZE)
  add_compile_options(-fsanitize=${RUNLEDGER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${RUNLEDGER_SANITIZE})
endif()
