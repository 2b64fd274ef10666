#include "cli/timeline.hpp"

#include "cli/output.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <thread>

namespace runledger::cli {

namespace {

constexpr std::size_t longest_text = 160;

/// `ms` as `0.4 s`; empty where there is none.
std::string seconds_text(const json::value& data) {
  const auto duration = data.find("duration_ms");
  const auto ms = duration && duration->is_number() ? duration->integer().value_or(0) : -1;
  return ms < 0 ? "" : fmt::format(" in {}.{:03} s", ms / 1000, ms % 1000);
}

std::string error_text(const json::value& data) {
  const auto error = data.find("error");
  if (!error || error->is_null())
    return {};
  if (!error->is_object())
    return ": " + printable(error->is_string() ? error->string() : error->raw());
  const auto code = cell(*error, "code");
  return fmt::format(": {}{}", code == "-" ? "" : code + ", ", cell(*error, "message"));
}

std::string status_text(const json::value& data, bool colour) {
  const auto status = cell(data, "status"), from = cell(data, "from");
  auto text = from == "-" || from == status ? "" : from + " -> ";
  text += painted(status, status, colour);
  if (const auto attempt = cell(data, "attempt"); attempt != "-" && attempt != "0")
    text += fmt::format(" (attempt {})", attempt);
  return text + error_text(data);
}

std::string step_text(std::string_view type, const json::value& data) {
  auto text = cell(data, "key");
  if (const auto attempt = cell(data, "attempt"); attempt != "-" && attempt != "1")
    text += fmt::format(" (attempt {})", attempt);
  if (type == "step_completed")
    text += seconds_text(data);
  if (type == "step_retrying")
    text += fmt::format(", again in {} ms", cell(data, "delay_ms"));
  return text + error_text(data);
}

std::string usage_text(const json::value& data) {
  return fmt::format("{} tokens in, {} out, ${}", cell(data, "tokens_in"), cell(data, "tokens_out"),
                     cell(data, "cost_usd"));
}

/// `12:34:56.789` of an RFC 3339 time.
std::string clock_text(const json::value& item) {
  const auto time = cell(item, "time");
  return time.size() >= 23 ? time.substr(11, 12) : time;
}

bool is_worth_repeating(unsigned status) {
  return status == 503 || status == 429;
}

/// Counts how long a server has been away, and tells the person once.
class outage {
public:
  void over() { since_.reset(); }
  void note(const std::string& why) {
    const auto now = std::chrono::steady_clock::now();
    if (!since_) {
      since_ = now;
      pause_ = std::chrono::milliseconds{200};
      fmt::print(stderr, "runledger: {}; trying again\n", why);
    }
    if (now - *since_ > std::chrono::minutes{1})
      throw command_failure{exit_wrong, why};
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(2 * pause_, std::chrono::milliseconds{3000});
  }

private:
  std::optional<std::chrono::steady_clock::time_point> since_;
  std::chrono::milliseconds pause_{200};
};

} // namespace

std::string shortened(std::string text) {
  if (text.size() <= longest_text)
    return text;
  std::size_t end = longest_text;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end) + "...";
}

std::string essence(std::string_view type, const json::value& data, bool colour) {
  if (type == "run_status")
    return status_text(data, colour);
  if (type.starts_with("step_"))
    return step_text(type, data);
  if (type == "user_message")
    return cell(data, "content") == "-" ? cell(data, "initial_state") : cell(data, "content");
  if (type == "assistant_message")
    return cell(data, "content");
  if (type == "tool_call")
    return fmt::format("{} {}", cell(data, "tool"), cell(data, "args"));
  if (type == "tool_result")
    return fmt::format("{} {}{}", cell(data, "tool"), cell(data, "output"), error_text(data));
  if (type == "usage")
    return usage_text(data);
  if (type == "log")
    return fmt::format("{}: {}", cell(data, "level"), cell(data, "message"));
  if (type == "artifact_published")
    return fmt::format("{} ({}, {} bytes)", cell(data, "name"), cell(data, "media_type"),
                       cell(data, "size"));
  if (type == "session_terminated")
    return cell(data, "reason");
  return printable(data.raw());
}

std::string timeline_line(const json::value& item, bool colour) {
  const auto type = cell(item, "type");
  const auto data = item.find("data");
  return fmt::format("{}  {:>4}  {:<18}  {}\n", clock_text(item), cell(item, "seq"), type,
                     data ? shortened(essence(type, *data, colour)) : "");
}

std::string final_status(const json::value& item, std::string_view run_id) {
  const auto data = item.find("data");
  if (cell(item, "type") != "run_status" || cell(item, "run_id") != run_id || !data)
    return {};
  auto status = cell(*data, "status");
  return status == "succeeded" || status == "failed" || status == "cancelled" ? status : "";
}

void follow(const api& server, const std::string& target,
            const std::function<bool(const sse_event&)>& take) {
  std::string last_id;
  outage away;
  for (bool finished = false; !finished;) {
    http_call call;
    call.target = target;
    call.fields.emplace_back("Accept", "text/event-stream");
    if (!last_id.empty())
      call.fields.emplace_back("Last-Event-ID", last_id);
    sse_reader reader;
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = server.connection().stream(call, [&](std::string_view piece) {
      for (const auto& event : reader.feed(piece)) {
        if (!event.id.empty())
          last_id = event.id;
        away.over();
        if (!take(event)) {
          finished = true;
          return false;
        }
      }
      return true;
    });
    if (finished)
      return;
    if (reply && !reply->ok() && !is_worth_repeating(reply->status))
      server.refuse(*reply);
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds{5})
      away.over(); // It was there for a while: this is another outage.
    away.note(!reply ? reply.error().message : "the server ended the stream");
  }
}

std::string follow_run(const api& server, const std::string& run_id, bool quiet) {
  std::string status;
  const bool colour = wants_colour();
  follow(server, "/api/v1/runs/" + segment(run_id) + "/log/events", [&](const sse_event& event) {
    const auto item = parsed(event.data);
    if (!quiet)
      print(server.json() ? event.data + "\n" : timeline_line(item.root(), colour));
    status = final_status(item.root(), run_id);
    return status.empty();
  });
  return status;
}

} // namespace runledger::cli
