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

namespace {

void load_and_say_so(route_context& c, reply r) {
  auto kept = std::make_shared<reply>(std::move(r));
  load_keys(c, [kept](bool loaded) {
    if (loaded)
      kept->empty();
    else
      kept->problem(fault::not_ready, "The keys cannot be read.");
  });
}

} // namespace

/// Answers when this node refuses every key that was revoked by now, and knows all others. Who asks
/// relies on it: without the brokers' word nothing is said.
void refresh_keys(route_context& c, const request&, reply r) {
  if (!c.queries || c.others == nullptr)
    return r.problem(fault::not_ready, "The server is starting.");
  auto kept = std::make_shared<reply>(std::move(r));
  c.others->when_current([&c, kept](bool current) {
    net::post(c.io, [&c, kept, current] {
      if (!current)
        return kept->problem(fault::not_ready, "The ledger cannot be asked now.");
      when_fresh(c, std::move(*kept), [&c](reply fresh) { load_and_say_so(c, std::move(fresh)); });
    });
  });
}

} // namespace runledger::http::routes
