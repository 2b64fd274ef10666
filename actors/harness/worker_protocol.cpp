#include "actors/harness/worker_protocol.hpp"

#include "events/base64.hpp"
#include "events/json.hpp"
#include "events/json_writer.hpp"
#include "events/queue.hpp"

namespace runledger::harness {

namespace {

constexpr std::size_t token_min = 16, token_max = 200, name_max = 200, leases_max = 10'000;
constexpr std::size_t label_max = 1024, message_max = 64 << 10;

std::string text_of(const json::value& from, std::string_view name) {
  auto v = from.find(name);
  return v && v->is_string() ? std::string{v->string()} : std::string{};
}

std::int64_t number_of(const json::value& from, std::string_view name, std::int64_t otherwise = 0) {
  auto v = from.find(name);
  auto n = v ? v->integer() : std::nullopt;
  return n.value_or(otherwise);
}

std::optional<held_lease> lease_of(const json::value& from) {
  held_lease out{text_of(from, "run"), number_of(from, "lease")};
  if (out.run.empty() || out.run.size() > name_max || out.epoch < 1)
    return std::nullopt;
  return out;
}

/// Cuts between two characters.
void shorten(std::string& text, std::size_t max_bytes) {
  if (text.size() <= max_bytes)
    return;
  while (max_bytes > 0 && (static_cast<unsigned char>(text[max_bytes]) & 0xC0) == 0x80)
    --max_bytes;
  text.resize(max_bytes);
}

using parsed_message = result<worker_message, protocol_error>;

parsed_message read_hello(const json::value& root, std::string_view text) {
  worker_hello out{text_of(root, "queue"),
                   text_of(root, "name"),
                   text_of(root, "token"),
                   number_of(root, "slots", 1),
                   {}};
  if (number_of(root, "protocol") != protocol_version)
    return refuse_line("worker.hello: `protocol` must be 1", {});
  if (!queue::is_name(out.queue))
    return refuse_line("worker.hello: `queue` must be a queue's name", text);
  if (out.token.size() < token_min || out.token.size() > token_max)
    return refuse_line("worker.hello: `token` must have 16 to 200 characters", {});
  if (out.name.size() > name_max)
    return refuse_line("worker.hello: `name` must have at most 200 characters", {});
  if (out.slots < 0 || out.slots > max_worker_slots)
    return refuse_line("worker.hello: `slots` must be 0 to 10000", {});
  if (auto leases = root.find("leases"); leases && leases->is_array())
    for (auto each : leases->children()) {
      auto one = lease_of(each);
      if (!one || out.leases.size() >= leases_max)
        return refuse_line("worker.hello: `leases` has an element that is none", {});
      out.leases.push_back(std::move(*one));
    }
  return worker_message{std::move(out)};
}

parsed_message read_frame(const json::value& root, std::string_view text) {
  auto lease = lease_of(root);
  auto inner = root.find("frame");
  if (!lease || !inner || !inner->is_object())
    return refuse_line("frame: `run`, `lease` and `frame` are needed", text);
  auto id = text_of(root, "id");
  auto f = parse_frame(inner->raw());
  if (!f)
    return worker_message{worker_bad_frame{std::move(*lease), std::move(f.error())}};
  if (f->type == frame_type::ready || (!f->run.empty() && f->run != lease->run)
      || id.size() > name_max)
    return worker_message{worker_bad_frame{
        std::move(*lease), refuse_line("a frame that does not belong here", inner->raw())}};
  f->run = lease->run;
  if (f->id.empty())
    f->id = std::move(id);
  return worker_message{worker_frame{std::move(*lease), std::move(*f)}};
}

parsed_message read_ended(const json::value& root, std::string_view text) {
  auto lease = lease_of(root);
  if (!lease)
    return refuse_line("lease.ended: `run` and `lease` are needed", text);
  worker_lease_ended out{std::move(*lease), text_of(root, "code"), text_of(root, "message"), true};
  if (auto counted = root.find("counted"); counted && counted->is_boolean())
    out.counted = counted->boolean();
  if (out.code.empty())
    out.code = "harness_gone";
  shorten(out.code, label_max);
  shorten(out.message, message_max);
  return worker_message{std::move(out)};
}

/// Opens a line's object with its type.
json_writer& begin(json_writer& out, std::string_view type) {
  return out.begin_object().member("type", type);
}

json_writer& write_lease(json_writer& out, const held_lease& lease) {
  return out.member("run", lease.run).member("lease", lease.epoch);
}

void text_member(json_writer& out, std::string_view name, std::string_view text) {
  if (!text.empty())
    out.member(name, text);
}

void write_error(json_writer& out, const frame& f) {
  out.member("message", f.message);
  text_member(out, "code", f.code);
}

void write_step(json_writer& out, const frame& f) {
  out.member("key", f.key);
  if (f.type == frame_type::step_done) {
    out.raw_member("output", f.payload);
  } else if (f.type == frame_type::step_fail) {
    out.raw_member("error", f.error_json).member("retryable", f.retryable);
  } else {
    text_member(out, "name", f.name);
    text_member(out, "kind", f.kind);
    if (f.timeout_ms)
      out.member("timeout_ms", *f.timeout_ms);
    if (f.max_cost)
      out.raw_member("max_cost_usd", to_usd(*f.max_cost));
  }
}

void write_tool(json_writer& out, const frame& f) {
  out.member("key", f.key).member("tool", f.tool);
  if (f.type == frame_type::tool_call)
    out.raw_member("args", f.payload);
  else if (!f.error_json.empty())
    out.raw_member("error", f.error_json);
  else
    out.raw_member("output", f.payload);
}

void write_usage(json_writer& out, const frame& f) {
  out.member("tokens_in", f.tokens_in).member("tokens_out", f.tokens_out);
  out.raw_member("cost_usd", to_usd(f.cost));
  text_member(out, "model", f.model);
  text_member(out, "category", f.category);
  text_member(out, "key", f.key);
}

/// The members of a frame but for type, run and id.
void write_members(json_writer& out, const frame& f) {
  switch (f.type) {
    case frame_type::ready:
    case frame_type::heartbeat:
      return;
    case frame_type::step_start:
    case frame_type::step_done:
    case frame_type::step_fail:
      return write_step(out, f);
    case frame_type::tool_call:
    case frame_type::tool_result:
      return write_tool(out, f);
    case frame_type::usage:
      return write_usage(out, f);
    case frame_type::message:
      out.member("role", f.role).raw_member("content", f.payload);
      return;
    case frame_type::checkpoint:
      out.raw_member("state", f.payload);
      return;
    case frame_type::log:
      out.member("level", f.level).member("message", f.message);
      if (!f.payload.empty())
        out.raw_member("fields", f.payload);
      return;
    case frame_type::artifact:
      out.member("path", f.path);
      text_member(out, "name", f.name);
      text_member(out, "media_type", f.media_type);
      text_member(out, "digest", f.digest);
      out.member("size", f.size);
      return;
    case frame_type::result:
      out.raw_member("output", f.payload);
      return;
    case frame_type::error:
      write_error(out, f);
      out.member("retryable", f.retryable);
      return;
  }
}

} // namespace

result<worker_message, protocol_error> parse_worker_message(std::string_view text) {
  if (text.size() > max_worker_message_bytes)
    return refuse_line("a message that is too long", text);
  auto parsed = json::parse(text);
  if (!parsed)
    return refuse_line("no JSON: " + parsed.error().message, text);
  auto root = parsed->root();
  if (!root.is_object())
    return refuse_line("no JSON object", text);
  if (root.size() == 0)
    return worker_message{worker_heartbeat{}};
  auto type = text_of(root, "type");
  if (type == "frame")
    return read_frame(root, text);
  if (type == "worker.hello")
    return read_hello(root, text);
  if (type == "lease.ended")
    return read_ended(root, text);
  if (type == "worker.leave")
    return worker_message{worker_leave{}};
  if (type == "worker.slots") {
    auto slots = number_of(root, "slots", -1);
    if (slots >= 0 && slots <= max_worker_slots)
      return worker_message{worker_slots{slots}};
    return refuse_line("worker.slots: `slots` must be 0 to 10000", text);
  }
  return refuse_line("unknown type", text);
}

std::string worker_hello_message(const worker_hello& hello) {
  std::string out;
  json_writer json{out};
  begin(json, "worker.hello").member("protocol", protocol_version);
  json.member("queue", hello.queue).member("name", hello.name).member("token", hello.token);
  json.member("slots", hello.slots).key("leases").begin_array();
  for (const auto& lease : hello.leases)
    write_lease(json.begin_object(), lease).end_object();
  json.end_array().end_object();
  return out;
}

std::string worker_slots_message(std::int64_t slots) {
  std::string out;
  json_writer json{out};
  begin(json, "worker.slots").member("slots", slots).end_object();
  return out;
}

std::string worker_frame_message(const held_lease& lease, const frame& f, std::string_view id) {
  std::string out;
  out.reserve(f.payload.size() + f.error_json.size() + 256);
  json_writer json{out};
  write_lease(begin(json, "frame"), lease);
  if (f.id.empty())
    text_member(json, "id", id);
  json.key("frame").begin_object();
  if (f.type != frame_type::heartbeat)
    json.member("type", to_string(f.type));
  text_member(json, "id", f.id);
  write_members(json, f);
  json.end_object().end_object();
  return out;
}

std::string worker_lease_ended_message(const worker_lease_ended& ended) {
  std::string out;
  json_writer json{out};
  write_lease(begin(json, "lease.ended"), ended.lease).member("code", ended.code);
  json.member("message", ended.message).member("counted", ended.counted).end_object();
  return out;
}

std::string worker_leave_message() {
  return R"({"type":"worker.leave"})";
}

std::string worker_heartbeat_message() {
  return "{}";
}

std::string worker_welcome_line(std::string_view worker, std::int64_t lease_ms) {
  std::string out;
  json_writer json{out};
  begin(json, "worker.welcome").member("protocol", protocol_version).member("worker", worker);
  json.member("lease_ms", lease_ms).end_object();
  out.push_back('\n');
  return out;
}

std::string lease_granted_line(const granted_lease& granted) {
  std::string out;
  json_writer json{out};
  write_lease(begin(json, "lease.granted"), granted.lease).member("attempt", granted.attempt);
  json.member("heartbeat_ms", granted.heartbeat_ms).member("drain_ms", granted.drain_ms);
  json.key("env").begin_object();
  for (const auto& [name, text] : granted.environment)
    json.member(name, text);
  json.end_object().end_object();
  out.push_back('\n');
  return out;
}

std::string lease_file_line(const held_lease& lease, std::string_view path,
                            std::string_view content) {
  std::string out;
  json_writer json{out};
  write_lease(begin(json, "lease.file"), lease).member("path", path);
  json.member("content_base64", to_base64(content)).end_object();
  out.push_back('\n');
  return out;
}

std::string lease_ended_line(const held_lease& lease, std::string_view reason) {
  std::string out;
  json_writer json{out};
  write_lease(begin(json, "lease.ended"), lease).member("reason", reason).end_object();
  out.push_back('\n');
  return out;
}

std::string worker_refused_line(std::string_view code, std::string_view message) {
  std::string out;
  json_writer json{out};
  begin(json, "worker.refused").member("code", code).member("message", message).end_object();
  out.push_back('\n');
  return out;
}

std::optional<server_line> parse_server_line(std::string_view line) {
  auto parsed = json::parse(line);
  if (!parsed || !parsed->root().is_object())
    return std::nullopt;
  auto root = parsed->root();
  server_line out;
  out.type = text_of(root, "type");
  out.run = text_of(root, "run");
  out.session = text_of(root, "session");
  out.key = text_of(root, "key");
  out.id = text_of(root, "id");
  out.worker = text_of(root, "worker");
  out.code = text_of(root, out.type == "lease.ended" ? "reason" : "code");
  out.message = text_of(root, "message");
  out.lease = number_of(root, "lease");
  out.attempt = number_of(root, "attempt");
  out.lease_ms = number_of(root, "lease_ms");
  out.heartbeat_ms = number_of(root, "heartbeat_ms");
  out.drain_ms = number_of(root, "drain_ms");
  if (auto env = root.find("env"); env && env->is_object())
    for (auto each : env->children())
      if (each.is_string())
        out.environment.emplace_back(each.name(), each.string());
  if (out.type == "lease.file") {
    out.path = text_of(root, "path");
    auto content = from_base64(text_of(root, "content_base64"));
    if (!content)
      return std::nullopt;
    out.content = std::move(*content);
  }
  auto more = root.find(out.type == "run.start" ? "history_more" : "more");
  out.more = more && more->is_boolean() && more->boolean();
  return out;
}

} // namespace runledger::harness
