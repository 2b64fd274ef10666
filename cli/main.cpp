#include "cli/version.hpp"

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view{argv[1]} == "--version") {
    std::printf("runledger %s\n", runledger::cli::version().data());
    return 0;
  }
  return 2;
}
