#include "tests/http/edge_fixture.hpp"

#include "events/json_writer.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <fcntl.h>
#include <sys/stat.h>

namespace edge_test {
namespace {

// The product owns the type of the context, so the toy travels in disguise.
toy& toy_of(route_context& cx) {
  return reinterpret_cast<toy&>(cx);
}

void give_request(route_context&, const request& rq, reply answer) {
  std::string text;
  runledger::json_writer json{text};
  json.begin_object()
      .member("method", name_of(rq.method()))
      .member("pattern", rq.pattern())
      .member("body", rq.body())
      .member("id", rq.id())
      .member("client", rq.client())
      .member("scheme", rq.forwarded_scheme())
      .member("caller", rq.caller() ? rq.caller()->key_id : "");
  for (const auto* name : {"id", "word", "other"})
    if (!rq.param(name).empty())
      json.member(std::string{"param."} + name, rq.param(name));
  json.key("queries").begin_array();
  for (const auto& each : rq.queries())
    json.value(std::string{each.name} + "=" + std::string{each.value});
  json.end_array();
  json.member("x_test", rq.header("x-test").value_or("absent")).end_object();
  answer.json(status::ok, text);
}

void give_size(route_context&, const request& rq, reply answer) {
  answer.text(status::ok, "text/plain", std::to_string(rq.body().size()));
}

void give_later(route_context& cx, const request&, reply answer) {
  toy& t = toy_of(cx);
  answer.on_abandoned([&t] { t.count(t.told); });
  if (t.extend.count() > 0)
    answer.extend_deadline(t.extend);
  {
    std::lock_guard held{t.lock};
    t.waiting.push_back(std::move(answer));
  }
  t.count(t.arrived);
}

/// Of an entity that lives here or on another node.
void give_entity(route_context& cx, const request& rq, reply answer) {
  if (toy_of(cx).elsewhere) {
    auto why = problem::of(fault::not_ready);
    why.code = "not_owner";
    why.partition = 7;
    return answer.problem(why);
  }
  if (rq.param("word") == "later")
    return give_later(cx, rq, std::move(answer));
  answer.header("X-Toy", rq.header("Idempotency-Key").value_or("none"));
  answer.header("X-Client", rq.client());
  if (rq.param("word") == "large")
    return answer.text(status::created, "text/plain", std::string(4 * 1024 * 1024, 'x'));
  if (rq.param("word") == "empty")
    return answer.empty();
  give_request(cx, rq, std::move(answer));
}

void give_nothing(route_context&, const request&, reply) {}

void give_exception(route_context&, const request&, reply) {
  throw std::runtime_error("toy");
}

void give_file(route_context& cx, const request&, reply answer) {
  const auto& path = toy_of(cx).file;
  download what;
  what.file = unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat about {};
  ::fstat(what.file.get(), &about);
  what.size = static_cast<std::uint64_t>(about.st_size);
  what.media_type = toy_of(cx).media_type;
  what.etag = "sha256:abc";
  what.attachment = "r\xc3\xa9port\".txt";
  answer.file(std::move(what));
}

void give_stream(route_context& cx, const request&, reply answer) {
  toy& t = toy_of(cx);
  auto stream = answer.sse();
  stream.on_close([&t] { t.count(t.told); });
  t.streams.push_back(std::move(stream));
  t.count(t.arrived);
}

void give_injection(route_context&, const request&, reply answer) {
  answer.header("X-Toy", "one\r\nX-Evil: two").json(status::ok, "{}");
}

void give_empty(route_context&, const request&, reply answer) {
  answer.empty();
}

void give_large(route_context&, const request&, reply answer) {
  answer.text(status::ok, "text/plain", std::string(4 * 1024 * 1024, 'x'));
}

constexpr route routes[] = {
    {verb::get, "/open", give_request, scope::none, body_kind::none, access::open, "toys"},
    {verb::get, "/echo/{word}", give_request},
    {verb::post, "/echo", give_request, scope::write, body_kind::json},
    {verb::post, "/form", give_request, scope::write, body_kind::json_or_form},
    {verb::put, "/bytes", give_size, scope::write, body_kind::bytes},
    {verb::post, "/size", give_size, scope::write, body_kind::json},
    {verb::get, "/shape/{id}", give_request},
    {verb::get, "/shape/fixed", give_request},
    {verb::get, "/shape/fixed/deep/{other}", give_request},
    {verb::get, "/shape/{id}/log", give_request},
    {verb::delete_, "/shape/{id}", give_empty, scope::write},
    {verb::get, "/admin", give_request, scope::admin},
    {verb::post, "/entity/{word}", give_entity, scope::write, body_kind::json},
    {verb::get, "/node", give_request, scope::none, body_kind::none, access::node},
    {verb::get, "/later", give_later},
    {verb::post, "/later", give_later, scope::write, body_kind::json},
    {verb::get, "/dropped", give_nothing},
    {verb::get, "/throws", give_exception},
    {verb::get, "/file", give_file},
    {verb::get, "/stream", give_stream},
    {verb::get, "/injection", give_injection},
    {verb::get, "/large", give_large},
};

} // namespace

std::span<const route> toy_routes() {
  return routes;
}

runledger::result<principal_ptr, auth_refusal>
toy_authenticator::authenticate(std::string_view authorization, std::string_view api_key) {
  const auto key = presented_key(authorization, api_key);
  auto made = [&](scope scopes) {
    return std::make_shared<const principal>(principal{std::string{key}, "default", scopes});
  };
  if (key == "reader")
    return made(scope::read);
  if (key == "writer")
    return made(scope::write);
  if (key == "admin")
    return made(scope::admin);
  return auth_refusal{key.empty() ? "No key was given." : "The key is not known."};
}

void edge_fixture::start(limits bounds, const std::vector<std::string>& proxies) {
  io_ = std::make_unique<net::io_context>(1);
  work_.emplace(io_->get_executor());
  server_ = std::make_unique<server>(*io_, bounds, toy_routes(), keys_,
                                     reinterpret_cast<route_context&>(toy_));
  server_->on_complaint([this](std::string_view text) { complaints_.emplace_back(text); });
  trusted_proxies trusted;
  for (const auto& each : proxies)
    ASSERT_TRUE(trusted.add(each));
  server_->trust(std::move(trusted));
  server_->on_answer([this](const answered_request& a) {
    clients_.push_back(std::string{a.client} + ' ' + std::string{a.pattern} + ' '
                       + std::to_string(static_cast<unsigned>(a.code)));
  });
  server_->on_refusal(
      [this](const refused_call& call) { refused_.emplace_back(std::string{call.code}); });
  if (before_listening_)
    before_listening_(*io_, *server_);
  port_ = server_->listen("127.0.0.1", 0);
  thread_ = std::thread([this] { io_->run(); });
}

void edge_fixture::stop() {
  if (!io_)
    return;
  on_edge([this] {
    toy_.waiting.clear();
    toy_.streams.clear();
    server_.reset();
    if (after_server_)
      after_server_();
  });
  work_.reset();
  thread_.join(); // Returns only if nothing of the edge is left pending.
  io_.reset();
}

bool edge_fixture::reaches(int toy::*which, int count) {
  std::unique_lock held{toy_.lock};
  return toy_.changed.wait_for(held, std::chrono::seconds{5}, [&] { return toy_.*which >= count; });
}

bool edge_fixture::eventually(std::function<bool()> holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (std::chrono::steady_clock::now() < end) {
    if (on_edge(holds))
      return true;
    std::this_thread::yield();
  }
  return false;
}

std::string get(std::string_view path, std::string_view more) {
  return "GET " + std::string{path} + " HTTP/1.1\r\nHost: toy\r\nAuthorization: Bearer reader\r\n"
         + std::string{more} + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view more) {
  return "POST " + std::string{path}
         + " HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n" + std::string{more} + "\r\n" + std::string{body};
}

} // namespace edge_test
