// Goal: the bytes of every event that was ever written can be read for good, and what this binary
// writes today is what it wrote when the version was released.
//
// tests/golden/events/<name>.v<n>.json is append-only: a new version of an event adds a file, and
// the old ones must still decode. A member that a version got later adds a file too,
// <name>.v<n>+<member>.json. UPDATE_GOLDEN=1 writes the files of the newest versions.

#include "events/envelope.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/event_schemas.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace runledger {

namespace {

const std::string folder = RUNLEDGER_SOURCE_DIR "/tests/golden/events/";

/// What released versions got later, in this order.
const std::map<std::string_view, std::vector<std::string_view>> added_members{
    {"run.started", {"inherited"}},
    {"session.turn_accepted", {"fork"}},
};

/// Samples are made by rule, so that two hold what no event has: there, the schema must say so.
const std::map<std::string_view, std::string_view> unlike_events{
    {"dev.runledger.partition.tree_head.v1", "/frontier/0"},
    {"dev.runledger.audit.call_refused.v1", "/status"},
};

/// True if the sample fits the schema of its type, or does not where it is unlike events.
bool fits_schema(const envelope& e) {
  const auto mismatch = test::schema_mismatch(e);
  const auto known = unlike_events.find(e.type);
  return known == unlike_events.end() ? mismatch.empty()
                                      : mismatch.find(known->second) != std::string::npos;
}

bool updating() {
  return std::getenv("UPDATE_GOLDEN") != nullptr;
}

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// An envelope around these bytes in which everything has a value.
envelope envelope_of(std::string type, std::string data) {
  envelope e;
  e.stream = stream_id{"run_01ARZ3NDEKTSV4RRFFQ69G5FAV"};
  e.seq = 7;
  e.type = std::move(type);
  e.workspace = workspace_id{"default"};
  e.partition_key = "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  e.time = from_ms(1'700'000'000'123);
  e.causation_id = "cmd_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  e.correlation_id = "req_1";
  e.principal = "key_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  e.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  e.prevhash = sha256("the event before");
  e.data = std::move(data);
  seal(e);
  return e;
}

/// What stands in a golden file.
std::string text_of(const envelope& e) {
  std::string header;
  append_canonical_header(header, e);
  std::string out = "{\n";
  auto line = [&](std::string_view name, std::string_view text, bool last = false) {
    out += "  ";
    json_writer::append_quoted(out, name);
    out += ": ";
    json_writer::append_quoted(out, text);
    out += last ? "\n" : ",\n";
  };
  line("type", e.type);
  line("data", e.data);
  line("canonical_header", header);
  line("datahash", to_hex(e.datahash));
  line("prevhash", to_hex(e.prevhash));
  line("eventhash", to_hex(e.eventhash), true);
  return out + "}\n";
}

std::string file_of(std::string_view name, int version, std::string_view member = {}) {
  auto file = std::string{name} + ".v" + std::to_string(version);
  return (member.empty() ? file : file + '+' + std::string{member}) + ".json";
}

/// The members that the type got later; none of them for the type as it was released.
std::vector<std::string_view> added_to(std::string_view name) {
  auto found = added_members.find(name);
  return found == added_members.end() ? std::vector<std::string_view>{} : found->second;
}

/// The samples of each type, as this binary writes them: as it was released, and with each member
/// that it got later. `f(path, type, data, read back?)`.
template <class F>
void for_each_sample(F f) {
  test::for_each_fact_of_all([&]<class Event, class Fact>(std::type_identity<Event>, Fact) {
    const auto added = added_to(Fact::name);
    for (std::size_t known = 0; known <= added.size(); ++known) {
      Fact fact;
      Fact::fields(
          fact, [&, fill = test::sample_filler{}](std::string_view name, auto& member) mutable {
            if (std::find(added.begin() + static_cast<std::ptrdiff_t>(known), added.end(), name)
                == added.end())
              fill(name, member);
          });
      auto written = encode(Event{fact});
      auto parts = split_type(written.type);
      auto file =
          file_of(parts->name, parts->version, known == 0 ? std::string_view{} : added[known - 1]);
      f(folder + file, written.type, written.data, [fact](const envelope& e) {
        auto read = decode<Event>(e);
        return read && std::get<Fact>(*read) == fact;
      });
    }
  });
}

TEST(GoldenEvents, AreWrittenAsEver) {
  for_each_sample(
      [](const std::string& path, const std::string& type, const std::string& data, auto) {
        auto expected = text_of(envelope_of(type, data));
        if (updating())
          std::ofstream{path, std::ios::binary} << expected;
        EXPECT_EQ(read_file(path), expected)
            << path << ": its bytes changed. A released version never changes; make a new one.";
      });
}

TEST(GoldenEvents, AreReadAsEver) {
  for_each_sample(
      [](const std::string& path, const std::string&, const std::string&, auto reads_back) {
        auto parsed = json::parse(read_file(path));
        ASSERT_TRUE(parsed) << path;
        auto member = [&](std::string_view name) {
          return std::string{parsed->root().find(name)->string()};
        };
        auto e = envelope_of(member("type"), member("data"));
        EXPECT_EQ(to_hex(e.datahash), member("datahash"));
        EXPECT_EQ(to_hex(e.eventhash), member("eventhash"));
        EXPECT_TRUE(reads_back(e)) << path;
        EXPECT_TRUE(fits_schema(e)) << path << ": " << test::schema_mismatch(e);
      });
}

TEST(GoldenEvents, ThereIsOneForEachTypeAndVersion) {
  std::set<std::string> expected, found;
  for (const auto& type : event_catalog())
    // Two are not the codec's; docs/events-vectors.json has the first.
    if (type.name != "partition.opened" && type.name != "partition.claimed") {
      for (int v = 1; v <= type.version; ++v)
        expected.insert(file_of(type.name, v));
      for (auto member : added_to(type.name))
        expected.insert(file_of(type.name, type.version, member));
    }
  for (const auto& file : std::filesystem::directory_iterator{folder})
    found.insert(file.path().filename().string());
  EXPECT_EQ(found, expected);
}

} // namespace

} // namespace runledger
