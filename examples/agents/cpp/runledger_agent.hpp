#pragma once
// Runledger agents in C++20: harness protocol, version 1. The standard library alone; copy this
// file.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

namespace agent {

/// A JSON value. Numbers keep the text they came with, so that none loses digits.
struct json {
  struct number {
    std::string text;
  };
  using array = std::vector<json>;
  using object = std::map<std::string, json, std::less<>>;
  std::variant<std::nullptr_t, bool, number, std::string, array, object> value = nullptr;

  json() = default;
  json(bool truth) : value(truth) {}
  json(std::int64_t integer) : value(number{std::to_string(integer)}) {}
  json(std::string text) : value(std::move(text)) {}
  json(const char* text) : value(std::string{text}) {}
  json(array items) : value(std::move(items)) {}
  json(object members) : value(std::move(members)) {}

  /// A member of an object; a null for anything else.
  const json& operator[](std::string_view name) const {
    static const json none;
    auto members = std::get_if<object>(&value);
    if (members == nullptr)
      return none;
    auto it = members->find(name);
    return it == members->end() ? none : it->second;
  }
  std::string text() const {
    auto text = std::get_if<std::string>(&value);
    return text != nullptr ? *text : std::string{};
  }
  /// The integer, `otherwise` for a value that is none.
  std::int64_t integer(std::int64_t otherwise = 0) const {
    auto digits = std::get_if<number>(&value);
    return digits != nullptr ? std::strtoll(digits->text.c_str(), nullptr, 10) : otherwise;
  }
  bool is_true() const {
    auto truth = std::get_if<bool>(&value);
    return truth != nullptr && *truth;
  }
};

inline void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (auto c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
    out += escape;
  }
  out += '"';
}

inline void write(std::string& out, const json& from) {
  auto separator = "";
  if (auto truth = std::get_if<bool>(&from.value)) {
    out += *truth ? "true" : "false";
  } else if (auto digits = std::get_if<json::number>(&from.value)) {
    out += digits->text;
  } else if (auto text = std::get_if<std::string>(&from.value)) {
    write_string(out, *text);
  } else if (auto items = std::get_if<json::array>(&from.value)) {
    out += '[';
    for (auto& item : *items) {
      out += std::exchange(separator, ",");
      write(out, item);
    }
    out += ']';
  } else if (auto members = std::get_if<json::object>(&from.value)) {
    out += '{';
    for (auto& [name, member] : *members) {
      out += std::exchange(separator, ",");
      write_string(out, name);
      out += ':';
      write(out, member);
    }
    out += '}';
  } else {
    out += "null";
  }
}

/// Reads one JSON text. Throws std::runtime_error where it is not one.
class json_reader {
public:
  explicit json_reader(std::string_view text) : text_(text) {}

  json read() {
    auto result = value(0);
    if (skip_space(); pos_ != text_.size())
      fail();
    return result;
  }

private:
  [[noreturn]] void fail() const {
    throw std::runtime_error("not JSON at byte " + std::to_string(pos_));
  }
  void skip_space() {
    while (pos_ < text_.size() && std::string_view{" \t\r\n"}.find(text_[pos_]) != text_.npos)
      ++pos_;
  }
  bool take(std::string_view word) {
    if (text_.substr(pos_, word.size()) != word)
      return false;
    pos_ += word.size();
    return true;
  }
  void need(std::string_view word) {
    if (skip_space(); !take(word))
      fail();
  }

  json value(int depth) {
    if (depth > 256)
      fail();
    skip_space();
    if (take("{")) {
      json::object members;
      for (auto first = true; skip_space(), !take("}"); first = false) {
        if (!first)
          need(",");
        need("\"");
        auto name = string();
        need(":");
        members.insert_or_assign(std::move(name), value(depth + 1));
      }
      return members;
    }
    if (take("[")) {
      json::array items;
      for (auto first = true; skip_space(), !take("]"); first = false) {
        if (!first)
          need(",");
        items.push_back(value(depth + 1));
      }
      return items;
    }
    if (take("\""))
      return string();
    if (take("true"))
      return true;
    if (take("false"))
      return false;
    if (take("null"))
      return {};
    auto end = std::min(text_.find_first_not_of("+-.0123456789eE", pos_), text_.size());
    if (end == pos_)
      fail();
    json result;
    result.value = json::number{std::string{text_.substr(pos_, end - pos_)}};
    pos_ = end;
    return result;
  }

  std::string string() {
    std::string out;
    for (;;) {
      auto end = text_.find_first_of("\"\\", pos_);
      if (end == text_.npos || end + 1 >= text_.size())
        fail();
      out += text_.substr(pos_, end - pos_);
      pos_ = end + 1;
      if (text_[end] == '"')
        return out;
      auto escape = text_[pos_++];
      auto known = std::string_view{"nrtbf"}.find(escape);
      if (escape == 'u')
        append_utf8(out, code_point());
      else
        out += known == std::string_view::npos ? escape : "\n\r\t\b\f"[known];
    }
  }

  std::uint32_t four_digits() {
    auto digits = std::string{text_.substr(pos_, 4)};
    pos_ += 4;
    char* end = nullptr;
    auto code = std::strtoul(digits.c_str(), &end, 16);
    if (end != digits.c_str() + 4)
      fail();
    return static_cast<std::uint32_t>(code);
  }
  std::uint32_t code_point() {
    auto high = four_digits();
    if (high < 0xd800 || high > 0xdbff || !take("\\u"))
      return high;
    return 0x10000 + ((high - 0xd800) << 10) + (four_digits() - 0xdc00);
  }
  static void append_utf8(std::string& out, std::uint32_t code) {
    auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      add(code);
    } else if (code < 0x800) {
      add(0xc0 | code >> 6), add(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      add(0xe0 | code >> 12), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
    } else {
      add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 0x3f));
      add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
    }
  }

  std::string_view text_;
  std::size_t pos_ = 0;
};

/// Ends the run with an `error` frame. A step fails with it too, `retryable` or for good.
struct error : std::runtime_error {
  error(const std::string& message, std::string code_given, bool retryable_given = false)
      : std::runtime_error(message), code(std::move(code_given)), retryable(retryable_given) {}
  std::string code;
  bool retryable;
};

/// The one run of this process. Steps that are done give what they gave in an earlier attempt.
class run {
public:
  std::string id;
  json input;           // {"prompt": ...} or {"initial_state": ...}
  std::string step_key; // of the step that is being executed
  std::int64_t step_attempt = 0;

  /// Says `ready` and waits for the run. Exits when there is none.
  run() {
    send({{"type", "ready"}, {"protocol", std::int64_t{1}}, {"max_runs", std::int64_t{1}}});
    auto frame = receive();
    while (frame["type"].text() != "run.start")
      frame = receive();
    id = frame["run"].text();
    input = frame["input"];
    // This agent has no use for the history itself: steps that are done are answered.
    for (auto more = frame["history_more"].is_true(); more;)
      more = receive()["more"].is_true();
  }

  /// Executes `body` as the step, unless it is done. Throws `error` when it was given up or the run
  /// cancelled. A body that takes longer than the heartbeat limit must call `beat`.
  json step(const std::string& key, const std::function<json()>& body) {
    send({{"type", "step.start"}, {"run", id}, {"key", key}});
    for (;;) {
      auto frame = receive();
      auto type = frame["type"].text();
      if (type == "cancel")
        throw error("cancelled", "cancelled");
      if (frame["key"].text() != key)
        continue;
      if (type == "step.cached")
        return frame["output"];
      if (type == "step.give_up")
        throw error("step " + key + ": " + frame["error"]["message"].text(), "step_given_up");
      step_key = key;
      step_attempt = frame["attempt"].integer();
      try {
        auto output = body();
        send({{"type", "step.done"}, {"run", id}, {"key", key}, {"output", output}});
        return output;
      } catch (const std::exception& failure) {
        auto ours = dynamic_cast<const error*>(&failure);
        send({{"type", "step.fail"},
              {"run", id},
              {"key", key},
              {"retryable", ours == nullptr || ours->retryable},
              {"error", json::object{{"message", failure.what()},
                                     {"code", ours != nullptr ? ours->code : "exception"}}}});
      }
    }
  }

  void beat() { send({}); }

  /// Any other frame. An `id` that is the same in every attempt makes it count once.
  void send(std::string_view type, json::object members) {
    members.insert_or_assign("type", std::string{type});
    members.insert_or_assign("run", id);
    send(std::move(members));
  }

private:
  void send(json::object frame) {
    std::string line;
    write(line, std::move(frame));
    line += '\n';
    std::string_view rest{line};
    while (!rest.empty()) {
      auto count = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (count < 0)
        std::_Exit(1); // the server is gone, the next attempt goes on
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  json receive() {
    std::string line;
    if (!std::getline(std::cin, line))
      std::_Exit(0);
    auto frame = json_reader{line}.read();
    restore_blob(frame, "/input/prompt", {"input", "prompt"});
    restore_blob(frame, "/input/initial_state", {"input", "initial_state"});
    restore_blob(frame, "/output", {"output"});
    return frame;
  }

  /// Puts a member that was too large for the frame back. The pointers of the history are left.
  static void restore_blob(json& frame, std::string_view pointer, std::vector<std::string> names) {
    auto& blob = frame["blobs"][pointer];
    if (blob["path"].text().empty())
      return;
    std::string text;
    auto file = std::fopen(blob["path"].text().c_str(), "rb"); // relative to the current folder
    if (file == nullptr)
      throw error("cannot read " + blob["path"].text(), "no_blob");
    char chunk[65536];
    for (std::size_t count; (count = std::fread(chunk, 1, sizeof chunk, file)) > 0;)
      text.append(chunk, count);
    std::fclose(file);
    auto is_text = blob["media_type"].text().rfind("text/plain", 0) == 0;
    auto place = &frame;
    for (auto& name : names)
      place = &std::get<json::object>(place->value)[name];
    *place = is_text ? json{text} : json_reader{text}.read();
  }
};

/// Calls `drive`, and sends what it returns as the result, or what it throws as the error.
inline int serve(const std::function<json(run&)>& drive) {
  run current;
  try {
    current.send("result", {{"output", drive(current)}});
  } catch (const error& failure) {
    current.send(
        "error",
        {{"message", failure.what()}, {"code", failure.code}, {"retryable", failure.retryable}});
  } catch (const std::exception& failure) {
    current.send("error", {{"message", failure.what()}, {"code", "exception"}});
  }
  return 0;
}

} // namespace agent
