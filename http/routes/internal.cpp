#include "http/cluster/command_text.hpp"
#include "http/cluster/neighbours.hpp"
#include "http/key_loading.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"

// What nodes of a cluster ask of each other (docs/architecture.md, "Nodes").
namespace runledger::http::routes {

namespace {

bool is_up(const route_context& c) {
  return c.at.load() != stage::starting && c.actors != nullptr;
}

} // namespace

void carry_out_command(route_context& c, const request& rq, reply r) {
  if (!is_up(c))
    return r.problem(fault::not_ready, "The server is starting.");
  auto command = read_command(rq.body());
  if (!command)
    return r.problem(fault::validation_failed, "This is no command.");
  auto kept = std::make_shared<reply>(std::move(r));
  c.actors->carry_out(std::move(*command), answer<peer_done>{[kept, &io = c.io](auto outcome) {
                        net::post(io, [kept, outcome = std::move(outcome)] {
                          kept->json(status::ok, outcome_text(outcome));
                        });
                      }});
}

/// Answers when this node refuses every key that was revoked by now, and knows all others.
void refresh_keys(route_context& c, const request&, reply r) {
  if (!c.queries) // It loads them before it serves anybody.
    return r.empty();
  when_fresh(c, std::move(r), [&c](reply fresh) {
    auto kept = std::make_shared<reply>(std::move(fresh));
    load_keys(c, [kept](bool loaded) {
      if (loaded)
        kept->empty();
      else
        kept->problem(fault::not_ready, "The keys cannot be read.");
    });
  });
}

} // namespace runledger::http::routes
