#include "tests/support/shell.hpp"

#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <sys/wait.h>

#include <cstdio>

namespace runledger::test {

namespace {

spoken run(const std::string& command) {
  spoken said;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr)
    return said;
  char piece[4096];
  for (std::size_t n; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;)
    said.out.append(piece, n);
  const int status = ::pclose(pipe);
  said.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

} // namespace

spoken shell(const std::string& line) {
  return run("( " + line + " ) 2>&1");
}

spoken shell_apart(const std::string& line) {
  const temp_folder folder;
  const auto errors = folder / "stderr";
  auto said = run("( " + line + " ) 2>'" + errors + "'");
  said.error = read_whole_file(errors);
  return said;
}

} // namespace runledger::test
