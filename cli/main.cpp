#include "cli/command.hpp"

int main(int argc, char** argv) {
  return runledger::cli::run_command_line(argc, argv);
}
