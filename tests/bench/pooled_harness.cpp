// A pooled harness for benchmarks and load tests: one thread, thousands of runs, no real work.
//
//   pooled_harness [--max-runs N] [--steps N] [--output-bytes N] [--effects FILE]
//
// Each run executes the steps s1 ... sN one after the other and ends with a result. N is, in this
// order: `steps` of an object as initial state, a prompt of digits alone, --steps. Each execution
// appends the line `<run>/<key> <attempt>` to FILE, before its frame leaves: so a test can count
// effects by idempotency key. Frames that one batch of input causes leave in one write.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace {

constexpr std::size_t read_bytes = 1 << 20;
constexpr std::size_t output_high_water_bytes = 8 << 20;
constexpr auto heartbeat_every = std::chrono::seconds{15};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "pooled_harness: %s: %s\n", what, std::strerror(errno));
  std::_Exit(1);
}

/// Walks the members of one JSON object that a trusted peer wrote. Names and values are raw slices
/// of the text: a string keeps its quotes and escapes, so it can be echoed as it is.
class member_reader {
public:
  explicit member_reader(std::string_view text) : text_(text) {
    skip_space();
    good_ = pos_ < text_.size() && text_[pos_] == '{';
    ++pos_;
  }

  /// The next member, false after the last one or where the text is not an object.
  bool next(std::string_view& name, std::string_view& value) {
    skip_space();
    if (good_ && pos_ < text_.size() && text_[pos_] == ',') {
      ++pos_;
      skip_space();
    }
    if (!good_ || pos_ >= text_.size() || text_[pos_] != '"')
      return false;
    name = take_string();
    skip_space();
    ++pos_; // the colon
    skip_space();
    value = take_value();
    return good_;
  }

private:
  void skip_space() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\t'))
      ++pos_;
  }

  std::string_view take_string() {
    auto begin = pos_++;
    for (;;) {
      pos_ = text_.find_first_of("\"\\", pos_);
      if (pos_ == std::string_view::npos) {
        good_ = false;
        return {};
      }
      if (text_[pos_] == '"')
        return text_.substr(begin, ++pos_ - begin);
      pos_ += 2;
    }
  }

  std::string_view take_value() {
    if (pos_ >= text_.size()) {
      good_ = false;
      return {};
    }
    if (text_[pos_] == '"')
      return take_string();
    auto begin = pos_;
    auto depth = 0;
    for (; pos_ < text_.size() && good_; ++pos_) {
      auto c = text_[pos_];
      if (c == '"') {
        take_string();
        --pos_;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0)
          break; // the end of the object that holds this number or word
        if (--depth == 0) {
          ++pos_;
          break;
        }
      } else if (c == ',' && depth == 0) {
        break;
      }
    }
    return text_.substr(begin, pos_ - begin);
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  bool good_ = false;
};

/// A frame's members that matter here, raw.
struct frame {
  std::string_view type, run, key, attempt, input, more;
};

frame read_frame(std::string_view line) {
  frame result;
  member_reader members{line};
  std::string_view name, value;
  while (members.next(name, value)) {
    if (name == "\"type\"")
      result.type = value;
    else if (name == "\"run\"")
      result.run = value;
    else if (name == "\"key\"")
      result.key = value;
    else if (name == "\"attempt\"")
      result.attempt = value;
    else if (name == "\"input\"")
      result.input = value;
    else if (name == "\"history_more\"" || name == "\"more\"")
      result.more = value;
  }
  return result;
}

std::string_view unquoted(std::string_view text) {
  return text.size() >= 2 && text.front() == '"' ? text.substr(1, text.size() - 2) : text;
}

std::optional<std::uint32_t> to_number(std::string_view text) {
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

std::uint32_t steps_of(std::string_view input, std::uint32_t otherwise) {
  member_reader members{input};
  std::string_view name, value;
  while (members.next(name, value)) {
    if (name == "\"prompt\"" && value != "null")
      return to_number(unquoted(value)).value_or(otherwise);
    if (name != "\"initial_state\"")
      continue;
    member_reader state{value};
    while (state.next(name, value))
      if (name == "\"steps\"")
        return to_number(value).value_or(otherwise);
  }
  return otherwise;
}

struct text_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

struct options {
  std::uint32_t max_runs = 4096;
  std::uint32_t steps = 3;
  std::uint32_t output_bytes = 16;
  std::string effects;
};

class harness {
public:
  explicit harness(const options& given)
      : in_chunk_(read_bytes),
        steps_(given.steps),
        output_("\"" + std::string(given.output_bytes, 'x') + "\"}\n") {
    if (!given.effects.empty()) {
      effects_fd_ = open(given.effects.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (effects_fd_ < 0)
        fail(given.effects.c_str());
    }
    out_ = R"({"type":"ready","protocol":1,"max_runs":)" + std::to_string(given.max_runs) + "}\n";
  }

  /// Serves until the input ends, or a shutdown was asked for and every run has ended.
  void serve() {
    for (auto fd : {STDIN_FILENO, STDOUT_FILENO})
      if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        fail("fcntl");
    auto last_beat = std::chrono::steady_clock::now();
    for (;;) {
      flush();
      if (sent_ == out_.size() && (input_ended_ || (stopping_ && runs_.empty())))
        return;
      wait();
      if (auto now = std::chrono::steady_clock::now(); now - last_beat >= heartbeat_every) {
        last_beat = now;
        for (auto& [run, state] : runs_)
          add({R"({"run":)", run, "}\n"});
      }
    }
  }

private:
  struct run_state {
    std::uint32_t step = 0;
    std::uint32_t steps = 0;
  };
  using run_map = std::unordered_map<std::string, run_state, text_hash, std::equal_to<>>;

  void wait() {
    auto full = out_.size() - sent_ > output_high_water_bytes;
    std::array<pollfd, 2> files{{{full || input_ended_ ? -1 : STDIN_FILENO, POLLIN, 0},
                                 {sent_ < out_.size() ? STDOUT_FILENO : -1, POLLOUT, 0}}};
    if (poll(files.data(), files.size(), 5000) < 0 && errno != EINTR)
      fail("poll");
    if (files[0].revents != 0)
      read_input();
  }

  void read_input() {
    auto count = read(STDIN_FILENO, in_chunk_.data(), in_chunk_.size());
    if (count < 0 && errno != EAGAIN && errno != EINTR)
      fail("read");
    if (count == 0)
      input_ended_ = true;
    if (count <= 0)
      return;
    auto scanned = in_.size();
    in_.append(in_chunk_.data(), static_cast<std::size_t>(count));
    std::string_view text{in_};
    std::size_t begin = 0;
    for (auto end = text.find('\n', scanned); end != text.npos; end = text.find('\n', begin)) {
      on_frame(read_frame(text.substr(begin, end - begin)));
      begin = end + 1;
    }
    in_.erase(0, begin);
    write_effects();
  }

  void flush() {
    while (sent_ < out_.size()) {
      auto count = write(STDOUT_FILENO, out_.data() + sent_, out_.size() - sent_);
      if (count < 0 && errno == EAGAIN)
        return;
      if (count < 0 && errno != EINTR)
        fail("write");
      if (count > 0)
        sent_ += static_cast<std::size_t>(count);
    }
    out_.clear();
    sent_ = 0;
  }

  void write_effects() {
    std::string_view rest{effects_};
    while (!rest.empty()) {
      auto count = write(effects_fd_, rest.data(), rest.size());
      if (count < 0 && errno != EINTR)
        fail("effects");
      rest.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    effects_.clear();
  }

  void on_frame(const frame& f) {
    if (f.type == "\"shutdown\"") {
      stopping_ = true;
      return;
    }
    if (f.type == "\"run.start\"") {
      auto it = runs_.insert_or_assign(std::string{f.run}, run_state{0, steps_of(f.input, steps_)});
      if (f.more != "true")
        advance(it.first);
      return;
    }
    auto it = runs_.find(f.run);
    if (it == runs_.end())
      return;
    if (f.type == "\"step.go\"") {
      execute(f);
      advance(it);
    } else if (f.type == "\"step.cached\"") {
      advance(it);
    } else if (f.type == "\"history\"" && f.more != "true") {
      advance(it);
    } else if (f.type == "\"step.give_up\"") {
      end(it, R"("type":"error","message":"a step was given up","code":"step_given_up")");
    } else if (f.type == "\"cancel\"") {
      end(it, R"("type":"error","message":"cancelled","code":"cancelled")");
    }
  }

  void execute(const frame& f) {
    if (effects_fd_ >= 0)
      for (auto part : {unquoted(f.run), std::string_view{"/"}, unquoted(f.key),
                        std::string_view{" "}, f.attempt, std::string_view{"\n"}})
        effects_ += part;
    add({R"({"type":"step.done","run":)", f.run, R"(,"key":)", f.key, R"(,"output":)", output_});
  }

  /// Asks for the next step of a run, or ends it after its last one.
  void advance(run_map::iterator it) {
    auto& [step, steps] = it->second;
    std::array<char, 12> digits{};
    auto text = [&digits](std::uint32_t number) {
      auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
      return std::string_view{digits.data(), end};
    };
    if (step == steps) {
      add({R"({"type":"result","run":)", it->first, R"(,"output":{"steps":)", text(steps), "}}\n"});
      runs_.erase(it);
      return;
    }
    add({R"({"type":"step.start","run":)", it->first, R"(,"key":"s)", text(++step), "\"}\n"});
  }

  void end(run_map::iterator it, std::string_view members) {
    add({R"({"run":)", it->first, ",", members, "}\n"});
    runs_.erase(it);
  }

  void add(std::initializer_list<std::string_view> parts) {
    for (auto part : parts)
      out_ += part;
  }

  run_map runs_; // by the raw run id, with its quotes
  std::vector<char> in_chunk_;
  std::string in_, out_, effects_;
  std::size_t sent_ = 0; // of out_
  std::uint32_t steps_;
  std::string output_;
  int effects_fd_ = -1;
  bool input_ended_ = false;
  bool stopping_ = false;
};

std::optional<options> read_options(int argc, char** argv) {
  options result;
  for (auto i = 1; i < argc; i += 2) {
    std::string_view name = argv[i];
    if (i + 1 >= argc)
      return std::nullopt;
    if (name == "--effects") {
      result.effects = argv[i + 1];
      continue;
    }
    auto number = to_number(argv[i + 1]);
    if (!number)
      return std::nullopt;
    if (name == "--max-runs")
      result.max_runs = std::max(*number, 1U);
    else if (name == "--steps")
      result.steps = *number;
    else if (name == "--output-bytes")
      result.output_bytes = *number;
    else
      return std::nullopt;
  }
  return result;
}

} // namespace

int main(int argc, char** argv) {
  auto given = read_options(argc, argv);
  if (!given) {
    std::fprintf(stderr,
                 "usage: %s [--max-runs N] [--steps N] [--output-bytes N] [--effects FILE]\n",
                 argv[0]);
    return 2;
  }
  harness{*given}.serve();
}
