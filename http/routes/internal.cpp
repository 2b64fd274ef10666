#include "http/routes/internal.hpp"

#include "http/cluster/command_text.hpp"
#include "http/cluster/neighbours.hpp"
#include "http/cluster/node_lines.hpp"
#include "http/key_loading.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/worker_session.hpp"

// What nodes of a cluster ask of each other (docs/architecture.md, "Nodes").
namespace runledger::http::routes {

namespace {

constexpr std::string_view no_websocket = "This endpoint is a WebSocket.";

/// From when there are actors, although nobody else is served yet: the first workspace and its key
/// may be made by two nodes together, each of which waits for that.
bool is_up(const route_context& c) {
  return c.actors != nullptr;
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

std::optional<upgrade_request> websocket_asked_by(const request& rq) {
  const auto wanted = rq.header("Upgrade");
  if (!wanted || !same_text(*wanted, "websocket"))
    return std::nullopt;
  upgrade_request ask{std::string{rq.path()}, {}, std::string{rq.id()}};
  for (const auto& field : rq.headers())
    ask.fields.emplace_back(field.name, field.value);
  return ask;
}

void connect_worker_of_node(route_context& c, const request& rq, reply r) {
  const auto who = read_principal(rq.header(principal_header).value_or(""));
  if (!is_up(c) || !who)
    return r.problem(fault::not_ready, "The server is starting.");
  auto ask = websocket_asked_by(rq);
  if (!ask)
    return r.problem(fault::bad_request, std::string{no_websocket});
  request_context context;
  context.workspace = workspace_id{who->workspace};
  context.principal = who->key_id;
  context.correlation_id = rq.id();
  auto session = std::make_shared<worker_session>(c, std::move(context));
  session->goes_no_further(); // And its key is watched where the worker is connected.
  r.upgrade(
      make_worker_socket(std::move(*ask), std::move(session), {harness::max_worker_message_bytes}));
}

void open_queue_line(route_context& c, const request& rq, reply r) {
  if (!is_up(c))
    return r.problem(fault::not_ready, "The server is starting.");
  auto ask = websocket_asked_by(rq);
  if (!ask)
    return r.problem(fault::bad_request, std::string{no_websocket});
  const auto queue = queue_stream_of(workspace_id{std::string{rq.param("workspace")}},
                                     std::string{rq.param("queue")});
  r.upgrade(take_node_line(c.io, std::move(*ask), [&](std::shared_ptr<queue_line> line) {
    return c.actors->accept_line(queue, std::move(line));
  }));
}

} // namespace runledger::http::routes
