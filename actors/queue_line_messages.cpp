#include "actors/queue_line_messages.hpp"

#include "events/json.hpp"
#include "events/json_writer.hpp"
#include "events/result.hpp"

namespace runledger::line {

namespace {

/// The object, and what follows behind its line feed.
struct written {
  std::string text;
  json_writer json{text};

  explicit written(std::string_view type) { json.begin_object().member("type", type); }
  template <class Message>
  written(std::string_view type, const Message& what) : written(type) {
    json.member("run", what.run.value);
  }
  written(const written&) = delete;
  written& operator=(const written&) = delete;

  std::string end(std::string_view rest = {}) {
    json.end_object();
    text.reserve(text.size() + rest.size() + 1);
    text.push_back('\n');
    text.append(rest);
    return std::move(text);
  }
};

std::string write_begin(const begin& m) {
  written out{"begin", m};
  out.json.member("lease", m.lease).member("attempt", m.attempt);
  out.json.member("heartbeat_ms", m.heartbeat_ms).member("drain_ms", m.drain_ms);
  out.json.key("env").begin_array();
  for (const auto& [name, text] : m.environment)
    out.json.begin_array().value(name).value(text).end_array();
  out.json.end_array();
  return out.end(m.lines);
}

std::string write_frame(const frame& m) {
  written out{"frame", m};
  out.json.member("number", m.number);
  // The attempt stands where a worker's message has the lease.
  return out.end(harness::worker_frame_message({m.run.value, m.attempt}, m.what, {}));
}

std::string text_at(const json::value& from, std::string_view name) {
  auto v = from.find(name);
  return v && v->is_string() ? std::string{v->string()} : std::string{};
}
std::int64_t number_at(const json::value& from, std::string_view name) {
  auto v = from.find(name);
  auto n = v ? v->integer() : std::nullopt;
  return n.value_or(0);
}
bool truth_at(const json::value& from, std::string_view name) {
  auto v = from.find(name);
  return v && v->is_boolean() && v->boolean();
}

std::optional<message> read_frame(const json::value& from, std::string_view rest) {
  auto inner = harness::parse_worker_message(rest);
  if (!inner)
    return std::nullopt;
  if (auto* bad = std::get_if<harness::worker_bad_frame>(&*inner))
    return gone{run_id{std::move(bad->lease.run)}, bad->lease.epoch, "protocol_error",
                bad->error.text(), true};
  auto* said = std::get_if<harness::worker_frame>(&*inner);
  if (said == nullptr)
    return std::nullopt;
  return frame{run_id{std::move(said->lease.run)}, said->lease.epoch,
               static_cast<std::uint64_t>(number_at(from, "number")), std::move(said->frame)};
}

std::optional<message> read_begin(run_id run, const json::value& from, std::string_view rest) {
  begin out{std::move(run),
            number_at(from, "lease"),
            number_at(from, "attempt"),
            number_at(from, "heartbeat_ms"),
            number_at(from, "drain_ms"),
            {},
            std::string{rest}};
  if (auto env = from.find("env"); env && env->is_array())
    for (auto pair : env->children()) {
      std::vector<std::string> both;
      for (auto each : pair.children())
        if (each.is_string())
          both.emplace_back(each.string());
      if (both.size() != 2)
        return std::nullopt;
      out.environment.emplace_back(std::move(both[0]), std::move(both[1]));
    }
  return out;
}

} // namespace

std::string to_text(const message& what) {
  return std::visit(
      overloaded{
          [](const wait_for_worker& m) {
            written out{"wait", m};
            out.json.member("session", m.session.value).member("attempt", m.attempt);
            out.json.member("again", m.again).member("epoch", m.epoch);
            return out.end();
          },
          [](const stop_waiting& m) {
            return written{"stop_waiting", m}.end();
          },
          [](const resume& m) {
            written out{"resume", m};
            out.json.member("attempt", m.attempt).member("epoch", m.epoch);
            return out.end();
          },
          [](const begin& m) { return write_begin(m); },
          [](const write& m) {
            return written{"write", m}.end(m.lines);
          },
          [](const finish& m) {
            written out{"finish", m};
            out.json.member("lease", m.lease).member("clean", m.clean).member("moves", m.moves);
            return out.end();
          },
          [](const done& m) {
            written out{"done"};
            out.json.member("number", m.number);
            return out.end();
          },
          [](const granted& m) {
            written out{"granted", m};
            out.json.member("lease", m.lease).member("worker", m.worker.value);
            return out.end();
          },
          [](const frame& m) { return write_frame(m); },
          [](const gone& m) {
            written out{"gone", m};
            out.json.member("attempt", m.attempt).member("code", m.code);
            out.json.member("message", m.message).member("counted", m.counted);
            return out.end();
          },
          [](const resumed& m) {
            written out{"resumed", m};
            out.json.member("lease", m.lease).member("attempt", m.attempt);
            return out.end();
          },
          [](const returned& m) {
            written out{"returned", m};
            out.json.member("lease", m.lease);
            return out.end();
          }},
      what);
}

std::optional<message> parse(std::string_view text) {
  const auto end = text.find('\n');
  if (end == text.npos)
    return std::nullopt;
  auto parsed = json::parse(text.substr(0, end));
  if (!parsed || !parsed->root().is_object())
    return std::nullopt;
  const auto from = parsed->root();
  const auto rest = text.substr(end + 1);
  const auto type = text_at(from, "type");
  if (type == "done")
    return done{static_cast<std::uint64_t>(number_at(from, "number"))};
  run_id run{text_at(from, "run")};
  if (run.empty())
    return std::nullopt;
  const auto attempt = number_at(from, "attempt"), lease = number_at(from, "lease");
  const auto epoch = static_cast<std::uint64_t>(number_at(from, "epoch"));
  if (type == "wait")
    return wait_for_worker{std::move(run), session_id{text_at(from, "session")}, attempt,
                           truth_at(from, "again"), epoch};
  if (type == "stop_waiting")
    return stop_waiting{std::move(run)};
  if (type == "resume")
    return resume{std::move(run), attempt, epoch};
  if (type == "begin")
    return read_begin(std::move(run), from, rest);
  if (type == "write")
    return write{std::move(run), std::string{rest}};
  if (type == "finish")
    return finish{std::move(run), lease, truth_at(from, "clean"), truth_at(from, "moves")};
  if (type == "granted")
    return granted{std::move(run), lease, worker_id{text_at(from, "worker")}};
  if (type == "frame")
    return read_frame(from, rest);
  if (type == "gone")
    return gone{std::move(run), attempt, text_at(from, "code"), text_at(from, "message"),
                truth_at(from, "counted")};
  if (type == "resumed")
    return resumed{std::move(run), lease, attempt};
  if (type == "returned")
    return returned{std::move(run), lease};
  return std::nullopt;
}

} // namespace runledger::line
