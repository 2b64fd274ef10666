#include "events/json_writer.hpp"
#include "http/requests/body.hpp"
#include "http/requests/query.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/internal.hpp"
#include "http/routes/reading.hpp"
#include "http/worker_polls.hpp"
#include "http/worker_session.hpp"
#include "http/worker_socket.hpp"

#include <charconv>
#include <limits>

namespace runledger::http::routes {

namespace {

request_context worker_context(const request& rq) {
  request_context out;
  out.workspace = workspace_id{rq.caller()->workspace};
  out.principal = rq.caller()->key_id;
  out.correlation_id = rq.id();
  return out;
}

constexpr std::size_t messages_max = 1000; // Of one batch.
constexpr std::uint64_t wait_default_s = 20, wait_max_s = 60;

/// A request's body that is needed longer than the request: it is charged to the memory for bodies.
struct kept_body {
  kept_body(route_context& c, std::string_view body) : context(c), text(body) {
    context.kept_bodies += text.size();
  }
  ~kept_body() { context.kept_bodies -= text.size(); }
  kept_body(const kept_body&) = delete;
  kept_body& operator=(const kept_body&) = delete;

  route_context& context;
  const std::string text;
};

std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t out = 0;
  const auto* end = digits.data() + digits.size();
  const auto got = std::from_chars(digits.data(), end, out);
  if (got.ec != std::errc{} || got.ptr != end || out == 0)
    return std::nullopt;
  return out;
}

} // namespace

void connect_worker(route_context& c, const request& rq, reply r) {
  auto ask = websocket_asked_by(rq);
  if (!ask)
    return r.problem(fault::bad_request, "This endpoint is a WebSocket: `Upgrade: websocket` is "
                                         "missing.");
  auto session = std::make_shared<worker_session>(c, worker_context(rq));
  session->allowed_while(
      [&keys = c.keys,
       bearer = std::string{rq.header("Authorization").value_or(std::string_view{})},
       key = std::string{rq.header("X-API-Key").value_or(std::string_view{})}] {
        const auto who = keys.authenticate(bearer, key);
        return who && allows((*who)->scopes, scope::worker);
      });
  if (c.takes_writes)
    session->served_while(c.takes_writes);
  r.upgrade(
      make_worker_socket(std::move(*ask), std::move(session), {harness::max_worker_message_bytes}));
}

void greet_by_poll(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  // The greeting is that of a WebSocket, but for what the request says itself.
  std::string hello;
  json_writer json{hello};
  json.begin_object().member("type", "worker.hello").member("token", rq.param("connection"));
  for (auto each : body->root().children())
    if (each.name() != "type" && each.name() != "token")
      json.raw_member(each.name(), each.raw());
  json.end_object();
  c.polls->greet(c, worker_context(rq), std::string{rq.param("connection")}, hello, std::move(r));
}

void take_from_poll(route_context& c, const request& rq, reply r) {
  const auto number = number_of(rq.param("number"));
  if (!number)
    return r.problem(fault::not_found, "Batches have numbers from 1 on.");
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  body_reader in{body->root()};
  std::vector<std::string> messages;
  const auto list = in.find("messages");
  if (!list || !list->is_array() || list->size() > messages_max)
    in.complain("messages", "An array of at most 1000 messages is expected.", "array_type");
  else
    for (auto each : list->children())
      messages.emplace_back(each.raw());
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  c.polls->take(workspace_id{rq.caller()->workspace}, std::string{rq.param("connection")}, *number,
                messages, std::move(r));
}

void give_to_poll(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  const auto after = in.number("after", 0, 0, std::numeric_limits<std::int64_t>::max());
  const auto wait_s = in.number("wait", wait_default_s, 0, wait_max_s);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  c.polls->give(workspace_id{rq.caller()->workspace}, std::string{rq.param("connection")}, after,
                std::chrono::seconds{wait_s}, std::move(r));
}

void store_worker_blob(route_context& c, const request& rq, reply r) {
  const auto wanted = digest_from_hex(rq.param("digest"));
  if (!wanted)
    return r.problem(fault::not_found, "A content is named by the 64 hex digits of its SHA-256.");
  answer_aside(
      c, std::move(r),
      [wanted = *wanted, &blobs = c.blobs, kept = std::make_shared<const kept_body>(c, rq.body())](
          views::view_reader&) -> result<rendered, problem> {
        const auto& body = kept->text;
        if (sha256(body) != wanted)
          return problem::invalid({std::string{"path"}, std::string{"digest"}},
                                  "This is not the digest of the body.", "wrong_digest");
        if (!blobs.put(body))
          return problem::of(fault::ledger_unavailable, "The content cannot be stored now.");
        rendered out;
        json_writer json{out.body};
        json.begin_object().member("digest", "sha256:" + to_hex(wanted));
        json.member("size", body.size()).end_object();
        return out;
      });
}

void leave_by_poll(route_context& c, const request& rq, reply r) {
  c.polls->leave(workspace_id{rq.caller()->workspace}, std::string{rq.param("connection")},
                 std::move(r));
}

} // namespace runledger::http::routes
