#pragma once

#include "events/attributes.hpp"
#include "events/json.hpp"
#include "projections/replay/bundle_check.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <map>
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

/// What a forger makes of an event: hashed anew behind another, at another leaf, without a proof.
inline std::string forged_event(const json::value& line, std::string_view prevhash,
                                std::uint64_t leaf, digest& own) {
  const auto event = *line.find("event");
  std::string header = "runledger-event-1\n", out;
  json_writer json{out};
  json.begin_object()
      .member("kind", "event")
      .member("partition", line.find("partition")->string())
      .member("offset", *line.find("offset")->integer())
      .member("leaf", leaf);
  json.key("event").begin_object();
  for (const std::string_view name :
       {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "sequence",
        "partitionkey", "causationid", "correlationid", "principal", "traceparent", "datahash",
        "prevhash"}) {
    const auto known = event.find(name);
    const auto text = name == "prevhash" ? prevhash : known ? known->string() : std::string_view{};
    append_attribute(header, name, text);
    if (known)
      json.member(name, text);
  }
  own = sha256(header);
  json.member("eventhash", to_hex(own)).member("data_base64", event.find("data_base64")->string());
  json.end_object().end_object();
  return out;
}

/// What a forger makes of all events from line `from` on: chained anew to the end, and said to
/// stand behind the newest head.
inline void call_unsigned(std::vector<std::string>& lines, std::size_t from, std::uint64_t leaf) {
  std::map<std::string, std::string> last; // By stream.
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with(R"({"kind":"event")"))
      continue;
    const auto line = json::parse(lines[i]);
    const auto event = *line->root().find("event");
    auto& before = last[std::string{event.find("subject")->string()}];
    if (before.empty())
      before = event.find("prevhash")->string();
    if (i < from) {
      before = event.find("eventhash")->string();
      continue;
    }
    digest own;
    auto forged = forged_event(line->root(), before, leaf++, own);
    before = to_hex(own);
    lines[i] = std::move(forged);
  }
}

/// Everything that is signed is gone.
inline void strip_signatures(std::vector<std::string>& lines) {
  std::erase_if(lines, [](const std::string& line) {
    return line.starts_with(R"({"kind":"key")") || line.starts_with(R"({"kind":"tree_head")");
  });
  for (auto& line : lines)
    if (const auto path = line.find("\"path\":"); path != std::string::npos)
      line.erase(path, line.find("\"event\":") - path);
}

} // namespace runledger::test
