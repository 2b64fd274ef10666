#include "cli/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds quiet_at_first{1};
constexpr std::chrono::milliseconds between_bars{100};
constexpr std::chrono::seconds between_lines{5};
constexpr std::size_t bar_width = 30;

std::string remaining(double seconds) {
  if (seconds < 60)
    return fmt::format("{:.0f} s left", seconds);
  const auto minutes = static_cast<std::uint64_t>(seconds / 60);
  if (minutes < 60)
    return fmt::format("{} min {:.0f} s left", minutes,
                       seconds - static_cast<double>(minutes) * 60);
  return fmt::format("{} h {} min left", minutes / 60, minutes % 60);
}

} // namespace

std::string with_commas(std::uint64_t n) {
  auto out = std::to_string(n);
  for (auto i = static_cast<int>(out.size()) - 3; i > 0; i -= 3)
    out.insert(static_cast<std::size_t>(i), 1, ',');
  return out;
}

progress::progress(std::string what, std::string unit)
    : progress(std::move(what), std::move(unit), ::isatty(STDERR_FILENO) == 1, steady_clock::now,
               [](const std::string& text) {
                 std::fputs(text.c_str(), stderr);
                 std::fflush(stderr);
               }) {}

progress::progress(std::string what, std::string unit, bool on_terminal, clock now, writer write)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      on_terminal_(on_terminal),
      now_(std::move(now)),
      write_(std::move(write)),
      began_(now_()) {}

void progress::update(std::uint64_t done, std::uint64_t total) {
  done_ = done;
  total_ = std::max(total, done);
  const auto now = now_();
  const auto wait = !shown_        ? steady_clock::duration{quiet_at_first}
                    : on_terminal_ ? steady_clock::duration{between_bars}
                                   : steady_clock::duration{between_lines};
  if (now - shown_.value_or(began_) < wait)
    return;
  shown_ = now;
  const std::chrono::duration<double> seconds = now - began_;
  write_(on_terminal_ ? "\r\x1b[K" + bar(seconds.count()) : line(seconds.count()) + "\n");
}

void progress::finish() {
  if (shown_ && on_terminal_)
    write_("\r\x1b[K");
  shown_.reset();
}

std::string progress::line(double seconds) const {
  const auto rate = static_cast<double>(done_) / std::max(seconds, 0.001);
  auto out = fmt::format("{}: {} of {} {}, {}/s", what_, with_commas(done_), with_commas(total_),
                         unit_, with_commas(static_cast<std::uint64_t>(rate)));
  if (rate > 0)
    out += ", " + remaining(static_cast<double>(total_ - done_) / rate);
  return out;
}

std::string progress::bar(double seconds) const {
  const auto share = total_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(total_);
  const auto full = static_cast<std::size_t>(share * bar_width);
  return fmt::format("[{}{}] {:3.0f} % {}", std::string(full, '#'),
                     std::string(bar_width - full, '.'), share * 100, line(seconds));
}

} // namespace runledger::cli
