#pragma once

#include "cli/command.hpp"

#include <string_view>

namespace runledger::cli {

/// Prints a run: the API's own object with --json, else for people.
void show_run(const api& server, const http_reply& reply);

/// What a run that ended with this status means to the shell.
int run_exit_code(std::string_view status);

} // namespace runledger::cli
