#include "cli/run_output.hpp"

#include "cli/objects.hpp"
#include "cli/output.hpp"

namespace runledger::cli {

void show_run(const api& server, const http_reply& reply) {
  if (server.json())
    return print(reply.body + "\n");
  const auto document = parsed(reply.body);
  print(run_text(document.root(), system_wall_clock{}.now(), wants_colour()));
}

int run_exit_code(std::string_view status) {
  return status == "succeeded" ? exit_done : exit_no;
}

} // namespace runledger::cli
