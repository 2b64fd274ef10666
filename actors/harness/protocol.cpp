#include "actors/harness/protocol.hpp"

#include "events/json.hpp"
#include "events/json_writer.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace runledger::harness {

namespace {

constexpr std::size_t max_quoted_bytes = 200;
constexpr std::size_t max_name_chars = 200;
constexpr std::size_t max_label_bytes = 1024;
constexpr std::size_t max_failure_bytes = 64 << 10;
constexpr std::int64_t max_count = std::int64_t{1} << 53;

constexpr std::array<std::string_view, 14> type_names{
    "ready",       "heartbeat",  "step.start", "step.done", "step.fail", "message", "tool.call",
    "tool.result", "checkpoint", "usage",      "log",       "artifact",  "result",  "error",
};

/// The type of a wire name; nothing for "heartbeat", which has no name there.
std::optional<frame_type> type_of(std::string_view name) {
  for (std::size_t i = 0; i < type_names.size(); ++i)
    if (type_names[i] == name && static_cast<frame_type>(i) != frame_type::heartbeat)
      return static_cast<frame_type>(i);
  return std::nullopt;
}

/// Bytes of the UTF-8 character at the start of `text`; 0 if there is none.
std::size_t character_bytes(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80)
    return 1;
  std::size_t n = lead >= 0xF0 && lead < 0xF5   ? 4
                  : lead >= 0xE0 && lead < 0xF0 ? 3
                  : lead >= 0xC2 && lead < 0xE0 ? 2
                                                : 0;
  if (n == 0 || text.size() < n)
    return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80)
      return 0;
  auto second = static_cast<unsigned char>(text[1]);
  bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  bool surrogate = lead == 0xED && second >= 0xA0;
  bool beyond = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : n;
}

/// `line` as it may stand in an event: no control characters, valid UTF-8, at most 200 bytes.
std::string quoted(std::string_view line) {
  std::string out;
  while (!line.empty()) {
    auto n = character_bytes(line);
    auto first = static_cast<unsigned char>(line[0]);
    char escape[5];
    std::string_view piece;
    if (n == 0 || first < 0x20 || first == 0x7F) {
      std::snprintf(escape, sizeof escape, "\\x%02x", unsigned{first});
      piece = {escape, 4};
      n = 1;
    } else {
      piece = line.substr(0, n);
    }
    if (out.size() + piece.size() > max_quoted_bytes)
      break;
    out.append(piece);
    line.remove_prefix(n);
  }
  return out;
}

/// Cuts a text that would otherwise make events and frames too long, between two characters, and
/// says so.
void cut(std::string& text, std::size_t max_bytes) {
  if (text.size() <= max_bytes)
    return;
  auto mark = " [cut here; " + std::to_string(text.size()) + " bytes in all]";
  auto end = max_bytes - mark.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  text.resize(end);
  text += mark;
}

std::size_t characters(std::string_view text) {
  std::size_t n = 0;
  for (char c : text)
    n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

/// Reads members of one line and remembers the first complaint.
class reader {
public:
  explicit reader(json::value root) : root_(root) {}

  const std::string& complaint() const { return complaint_; }
  bool ok() const { return complaint_.empty(); }
  void complain(std::string text) {
    if (complaint_.empty())
      complaint_ = std::move(text);
  }

  /// A member; null counts as absent.
  std::optional<json::value> find(std::string_view name) const {
    auto v = root_.find(name);
    return v && v->is_null() ? std::nullopt : v;
  }

  void text(std::string_view name, std::string& out, bool required = false) {
    auto v = find(name);
    if (!v) {
      if (required)
        missing(name);
    } else if (!v->is_string()) {
      wrong(name, "a string");
    } else {
      out = v->string();
    }
  }
  /// A string that is kept up to a bound (docs/harness-protocol.md).
  void label(std::string_view name, std::string& out) {
    text(name, out);
    cut(out, max_label_bytes);
  }
  void failure_message(std::string& out) {
    text("message", out, true);
    cut(out, max_failure_bytes);
  }
  /// A string of 1 to 200 characters.
  void identifier(std::string_view name, std::string& out, bool required = false) {
    text(name, out, required);
    if (ok() && (required || find(name)) && (out.empty() || characters(out) > max_name_chars))
      wrong(name, "a string of 1 to 200 characters");
  }
  void nonempty(std::string_view name, std::string& out) {
    text(name, out, true);
    if (ok() && out.empty())
      wrong(name, "a string that is not empty");
  }
  void nonempty_label(std::string_view name, std::string& out) {
    nonempty(name, out);
    cut(out, max_label_bytes);
  }
  /// Any JSON value, null included.
  void any(std::string_view name, std::string& out) {
    if (auto v = root_.find(name))
      out = v->raw();
    else
      missing(name);
  }
  void flag(std::string_view name, bool& out) {
    if (auto v = find(name)) {
      if (v->kind() == json::kind::boolean)
        out = v->boolean();
      else
        wrong(name, "true or false");
    }
  }
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least,
                                      std::int64_t most = max_count) {
    auto v = find(name);
    if (!v)
      return std::nullopt;
    std::optional<std::int64_t> number;
    if (v->is_number())
      number = v->integer();
    if (!number || *number < least || *number > most) {
      wrong(name, "an integer of " + std::to_string(least) + " to " + std::to_string(most));
      return std::nullopt;
    }
    return number;
  }
  std::optional<micro_usd> money(std::string_view name) {
    auto v = find(name);
    if (!v)
      return std::nullopt;
    std::optional<micro_usd> amount;
    if (v->is_number())
      amount = parse_usd(v->raw());
    else if (v->is_string())
      amount = parse_usd(v->string());
    if (!amount)
      wrong(name, "a decimal number that is not negative");
    return amount;
  }
  void missing(std::string_view name) { complain("`" + std::string{name} + "` is missing"); }
  void wrong(std::string_view name, std::string_view expected) {
    complain("`" + std::string{name} + "` must be " + std::string{expected});
  }

private:
  json::value root_;
  std::string complaint_;
};

void read_ready(reader& in, frame& f) {
  auto protocol = in.integer("protocol", 1);
  if (in.ok() && !protocol)
    in.missing("protocol");
  if (in.ok() && *protocol != protocol_version)
    in.complain("protocol " + std::to_string(*protocol) + " is not spoken here, only 1");
  f.protocol = protocol_version;
  f.max_runs = static_cast<int>(in.integer("max_runs", 1, 100'000).value_or(1));
}

void read_step_start(reader& in, frame& f) {
  in.identifier("key", f.key, true);
  in.label("name", f.name);
  in.label("kind", f.kind);
  f.timeout_ms = in.integer("timeout_ms", 1);
  f.max_cost = in.money("max_cost_usd");
}

/// step.fail: an object with a message.
void read_step_error(reader& in, frame& f) {
  auto error = in.find("error");
  if (!error)
    return in.missing("error");
  if (!error->is_object())
    return in.wrong("error", "an object");
  reader inner{*error};
  inner.failure_message(f.message);
  inner.label("code", f.code);
  if (!inner.ok())
    return in.complain("in `error`: " + inner.complaint());
  f.error_json = error->raw();
}

/// tool.result: either `output` or `error`, which may be of any shape.
void read_tool_outcome(reader& in, frame& f) {
  auto error = in.find("error");
  if (!error)
    return in.any("output", f.payload);
  if (in.find("output"))
    return in.complain("`output` and `error` exclude each other");
  f.error_json = error->raw();
  if (error->is_string())
    f.message = error->string();
  auto text_of = [&](std::string_view name, std::string& out) {
    if (auto v = error->find(name); v && v->is_string())
      out = v->string();
  };
  text_of("message", f.message);
  text_of("code", f.code);
}

void read_usage(reader& in, frame& f) {
  auto counted = [&](std::string_view name) {
    auto n = in.integer(name, 0);
    if (in.ok() && !n)
      in.missing(name);
    return n.value_or(0);
  };
  f.tokens_in = counted("tokens_in");
  f.tokens_out = counted("tokens_out");
  auto cost = in.money("cost_usd");
  if (in.ok() && !cost)
    in.missing("cost_usd");
  f.cost = cost.value_or(micro_usd{});
  in.label("model", f.model);
  in.label("category", f.category);
  in.identifier("key", f.key);
}

void read_message(reader& in, frame& f) {
  in.text("role", f.role, true);
  if (in.ok() && f.role != "assistant" && f.role != "system" && f.role != "user")
    in.wrong("role", "assistant, system or user");
  in.any("content", f.payload);
}

void read_log(reader& in, frame& f) {
  in.nonempty_label("level", f.level);
  in.text("message", f.message, true);
  if (auto fields = in.find("fields")) {
    if (fields->is_object())
      f.payload = fields->raw();
    else
      in.wrong("fields", "an object");
  }
}

void read_members(reader& in, frame& f) {
  switch (f.type) {
    case frame_type::ready:
      return read_ready(in, f);
    case frame_type::heartbeat:
      return;
    case frame_type::step_start:
      return read_step_start(in, f);
    case frame_type::step_done:
      in.identifier("key", f.key, true);
      return in.any("output", f.payload);
    case frame_type::step_fail:
      in.identifier("key", f.key, true);
      f.retryable = true;
      in.flag("retryable", f.retryable);
      return read_step_error(in, f);
    case frame_type::message:
      return read_message(in, f);
    case frame_type::tool_call:
      in.identifier("key", f.key, true);
      in.nonempty_label("tool", f.tool);
      return in.any("args", f.payload);
    case frame_type::tool_result:
      in.identifier("key", f.key, true);
      in.nonempty_label("tool", f.tool);
      return read_tool_outcome(in, f);
    case frame_type::checkpoint:
      return in.any("state", f.payload);
    case frame_type::usage:
      return read_usage(in, f);
    case frame_type::log:
      return read_log(in, f);
    case frame_type::artifact:
      in.nonempty("path", f.path);
      in.label("name", f.name);
      in.label("digest", f.digest);
      f.size = in.integer("size", 0).value_or(0);
      return in.label("media_type", f.media_type);
    case frame_type::result:
      return in.any("output", f.payload);
    case frame_type::error:
      in.failure_message(f.message);
      in.label("code", f.code);
      return in.flag("retryable", f.retryable);
  }
}

void write_blob(json_writer& out, std::string_view pointer, const blob_descriptor& blob) {
  out.key(pointer).begin_object();
  out.member("digest", blob.digest).member("size", blob.size);
  out.member("path", blob.path).member("media_type", blob.media_type).end_object();
}

void write_blobs(json_writer& out, const std::vector<blob_descriptor>& blobs) {
  if (blobs.empty())
    return;
  out.key("blobs").begin_object();
  for (const auto& blob : blobs)
    write_blob(out, blob.pointer, blob);
  out.end_object();
}

/// Items and descriptors of one frame, without the brackets around them.
struct history_page {
  std::string items;
  std::string blobs;
  std::size_t taken = 0;
};

/// Takes items from `from` on while they fit into `budget` bytes. `member` is the array's name, for
/// the pointers.
history_page take_page(const std::vector<history_item>& all, std::size_t from,
                       std::string_view member, std::size_t budget, bool at_least_one) {
  history_page page;
  for (std::size_t i = from; i < all.size(); ++i) {
    std::string blobs;
    for (const auto& blob : all[i].blobs) {
      json_writer out{blobs};
      std::string pointer{"/"};
      pointer.append(member).append("/").append(std::to_string(page.taken)).append(blob.pointer);
      if (!page.blobs.empty() || !blobs.empty())
        blobs.push_back(',');
      write_blob(out, pointer, blob);
    }
    auto size = page.items.size() + page.blobs.size() + all[i].json.size() + blobs.size() + 1;
    if (size > budget && !(at_least_one && page.taken == 0))
      break;
    if (page.taken > 0)
      page.items.push_back(',');
    page.items += all[i].json;
    page.blobs += blobs;
    ++page.taken;
  }
  return page;
}

/// Ends the frame that began at `begin`. The line feeds of a caller's free JSON are white space
/// there (in a string they are escaped), and would end the line too soon.
void end_line(std::string& lines, std::size_t begin = 0) {
  const auto from = lines.begin() + static_cast<std::ptrdiff_t>(begin);
  std::replace_if(
      from, lines.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  lines.push_back('\n');
}

/// `history` frames for the items from `from` on.
void append_history(std::string& lines, std::string_view run,
                    const std::vector<history_item>& items, std::size_t from, bool more) {
  constexpr std::size_t frame_overhead = 128;
  do {
    auto page = take_page(items, from, "items", max_line_bytes - frame_overhead - run.size(), true);
    from += page.taken;
    const auto begin = lines.size();
    json_writer out{lines};
    out.begin_object().member("type", "history").member("run", run);
    out.raw_member("items", "[" + page.items + "]").member("more", more || from < items.size());
    if (!page.blobs.empty())
      out.raw_member("blobs", "{" + page.blobs + "}");
    out.end_object();
    end_line(lines, begin);
  } while (from < items.size());
}

/// Opens a line's object with its type and run.
json_writer& open_line(json_writer& out, std::string_view type, std::string_view run) {
  return out.begin_object().member("type", type).member("run", run);
}

} // namespace

std::string_view to_string(frame_type type) {
  return type_names[static_cast<std::size_t>(type)];
}

std::string protocol_error::text() const {
  return line.empty() ? message : message + ": " + line;
}

protocol_error refuse_line(std::string message, std::string_view line) {
  return {std::move(message), quoted(line)};
}

result<frame, protocol_error> parse_frame(std::string_view line) {
  if (line.size() > max_line_bytes)
    return refuse_line("line over 1 MiB", line);
  auto parsed = json::parse(line);
  if (!parsed)
    return refuse_line("no JSON: " + parsed.error().message, line);
  auto root = parsed->root();
  if (!root.is_object())
    return refuse_line("no JSON object", line);
  frame f;
  reader in{root};
  in.identifier("run", f.run);
  in.identifier("id", f.id);
  if (auto type = root.find("type")) {
    auto known = type->is_string() ? type_of(type->string()) : std::nullopt;
    if (!known)
      return refuse_line("unknown type", line);
    f.type = *known;
    read_members(in, f);
  } else if (root.size() > (f.run.empty() ? 0U : 1U)) {
    in.missing("type");
  }
  if (!in.ok())
    return refuse_line(std::string{to_string(f.type)} + ": " + in.complaint(), line);
  return f;
}

std::string hello_line(std::string_view server) {
  std::string line;
  json_writer out{line};
  out.begin_object().member("type", "hello").member("protocol", protocol_version);
  out.member("server", server).end_object();
  line.push_back('\n');
  return line;
}

std::string run_start_lines(const run_start& start) {
  constexpr std::size_t tail_overhead = 128;
  std::string lines;
  json_writer out{lines};
  open_line(out, "run.start", start.run).member("session", start.session);
  out.member("attempt", start.attempt).key("agent").begin_object();
  out.member("id", start.agent_id).member("slug", start.agent_slug);
  out.member("version", start.agent_version).end_object().key("input").begin_object();
  if (!start.prompt_json.empty())
    out.raw_member("prompt", start.prompt_json);
  if (!start.initial_state_json.empty())
    out.raw_member("initial_state", start.initial_state_json);
  out.end_object().raw_member("limits", start.limits_json).member("workdir", start.workdir);
  std::string own_blobs;
  for (const auto& blob : start.blobs) {
    json_writer blob_out{own_blobs};
    if (!own_blobs.empty())
      own_blobs.push_back(',');
    write_blob(blob_out, blob.pointer, blob);
  }
  auto used = lines.size() + own_blobs.size() + tail_overhead;
  auto budget = used < max_line_bytes ? max_line_bytes - used : 0;
  auto page = take_page(start.history, 0, "history", budget, false);
  bool rest = page.taken < start.history.size();
  out.raw_member("history", "[" + page.items + "]");
  out.member("history_more", rest || start.history_more);
  if (!own_blobs.empty() && !page.blobs.empty())
    own_blobs.push_back(',');
  own_blobs += page.blobs;
  if (!own_blobs.empty())
    out.raw_member("blobs", "{" + own_blobs + "}");
  out.end_object();
  end_line(lines);
  if (rest)
    append_history(lines, start.run, start.history, page.taken, start.history_more);
  return lines;
}

std::string history_lines(std::string_view run, const std::vector<history_item>& items, bool more) {
  std::string lines;
  append_history(lines, run, items, 0, more);
  return lines;
}

std::string step_go_line(std::string_view run, std::string_view key, std::uint32_t attempt) {
  std::string line;
  json_writer out{line};
  open_line(out, "step.go", run).member("key", key).member("attempt", attempt).end_object();
  line.push_back('\n');
  return line;
}

std::string step_cached_line(std::string_view run, std::string_view key,
                             std::string_view output_json,
                             const std::vector<blob_descriptor>& blobs) {
  std::string line;
  json_writer out{line};
  open_line(out, "step.cached", run).member("key", key);
  if (!output_json.empty())
    out.raw_member("output", output_json);
  write_blobs(out, blobs);
  out.end_object();
  end_line(line);
  return line;
}

std::string step_give_up_line(std::string_view run, std::string_view key,
                              std::string_view error_json,
                              const std::vector<blob_descriptor>& blobs) {
  std::string line;
  json_writer out{line};
  open_line(out, "step.give_up", run).member("key", key);
  if (!error_json.empty())
    out.raw_member("error", error_json);
  write_blobs(out, blobs);
  out.end_object();
  end_line(line);
  return line;
}

std::string ack_line(std::string_view run, std::string_view id) {
  std::string line;
  json_writer out{line};
  open_line(out, "ack", run).member("id", id).end_object();
  line.push_back('\n');
  return line;
}

std::string cancel_line(std::string_view run, std::int64_t drain_ms) {
  std::string line;
  json_writer out{line};
  open_line(out, "cancel", run).member("drain_ms", drain_ms).end_object();
  line.push_back('\n');
  return line;
}

std::string shutdown_line(std::int64_t drain_ms) {
  std::string line;
  json_writer out{line};
  out.begin_object().member("type", "shutdown").member("drain_ms", drain_ms).end_object();
  line.push_back('\n');
  return line;
}

} // namespace runledger::harness
