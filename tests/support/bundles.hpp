#pragma once

#include "projections/replay/bundle_check.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace runledger::test {

/// The bundle of a ledger; fails the test where there is none.
inline std::string bundle_of(const event_log& log, const replay::selection& what,
                             std::vector<replay::kept_head> kept = {}) {
  const temp_folder folder;
  std::string out;
  replay::bundle_options options;
  options.what = what;
  options.kept = std::move(kept);
  options.made_at = from_ms(1'700'000'000'000);
  options.made_by = "runledger test";
  options.folder = folder.path();
  options.write = [&](std::string_view bytes) {
    out += bytes;
    return true;
  };
  const auto done = replay::write_bundle(log, options);
  EXPECT_TRUE(done) << (done ? "" : done.error().detail);
  return out;
}

inline result<replay::bundle_report, std::string>
check_of(const std::string& bundle, const replay::bundle_check_options& options = {}) {
  std::istringstream in{bundle};
  return replay::check_bundle(in, options);
}

/// The lines of a bundle, without line feeds.
inline std::vector<std::string> lines_of_bundle(const std::string& bundle) {
  std::vector<std::string> out;
  std::istringstream in{bundle};
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}

/// What a forger makes of lines: the counts and the last line are right again.
inline std::string bundle_from(std::vector<std::string> lines) {
  const auto count = [&](std::string_view kind, std::string_view with) {
    return std::to_string(std::ranges::count_if(lines, [&](const std::string& line) {
      return line.starts_with(R"({"kind":")" + std::string{kind} + '"')
             && line.find(with) != std::string::npos;
    }));
  };
  auto& first = lines.front();
  const auto events = std::stoull(count("event", "")),
             proven = std::stoull(count("event", "\"path\""));
  first = first.substr(0, first.find(",\"keys\":")) + ",\"keys\":" + count("key", "")
          + ",\"tree_heads\":" + count("tree_head", "") + ",\"events\":" + std::to_string(events)
          + ",\"unsigned_events\":" + std::to_string(events - proven) + "}";
  if (lines.back().starts_with(R"({"kind":"end")"))
    lines.pop_back();
  std::string out;
  for (const auto& line : lines)
    out += line + '\n';
  return out + replay::bundle_end_line(sha256(out)) + '\n';
}

} // namespace runledger::test
