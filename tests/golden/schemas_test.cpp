// Goal: docs/schemas describes each event's payload: every member that is written, its type, and
// whether it is always there; and nothing that is not written.

#include "events/log/memory_log.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/event_schemas.hpp"
#include "tests/support/log_writers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace runledger {

namespace {

const std::string schema_folder = RUNLEDGER_SOURCE_DIR "/docs/schemas/";

/// A schema and what it lists.
struct schema {
  json::document text;
  explicit schema(const std::string& type) : text(*json::parse(test::schema_text(type))) {}

  std::string string(std::string_view member) const {
    const auto found = text.root().find(member);
    return found ? std::string{found->string()} : std::string{};
  }
  std::set<std::string> members() const {
    std::set<std::string> out;
    for (auto member : text.root().find("properties")->children())
      out.emplace(member.name());
    return out;
  }
  std::set<std::string> required() const {
    std::set<std::string> out;
    if (const auto found = text.root().find("required"))
      for (auto name : found->children())
        out.emplace(name.string());
    return out;
  }
};

/// Calls `f(Fact, full type)` for each fact that the codec writes.
template <class F>
void for_each_written(F f) {
  test::for_each_fact_of_all([&]<class Event, class Fact>(std::type_identity<Event>, Fact fact) {
    f(fact, encode(Event{fact}).type);
  });
}

envelope event_of(const std::string& type, std::string data) {
  envelope e;
  e.type = type;
  e.data = std::move(data);
  return e;
}

/// Writes a fact's members but `left_out`, for which `instead` stands, if it is given.
template <class Fact>
std::string data_without(const Fact& fact, std::string_view left_out, const char* instead) {
  std::string out;
  json_writer json{out};
  json.begin_object();
  field_writer writer{json};
  Fact::fields(fact, [&](std::string_view name, const auto& member) {
    if (name != left_out)
      writer(name, member);
  });
  if (instead != nullptr)
    json.raw_member(left_out, instead);
  json.end_object();
  return out;
}

/// Facts as they could be: hashes and an HTTP status where the plain sample has anything.
struct likely_filler : test::sample_filler {
  using test::sample_filler::operator();
  void operator()(std::string_view name, std::vector<std::string>& list) {
    list = {to_hex(sha256(name))};
  }
  void operator()(std::string_view name, std::int64_t& number) {
    number = name == "status" ? 403 : 7;
  }
};

template <class Fact>
Fact sample() {
  Fact fact;
  Fact::fields(fact, likely_filler{});
  return fact;
}

/// Members that are always written, whatever their value.
struct always_written {
  template <std::integral T>
  bool operator()(const T&) const {
    return !std::same_as<T, bool>;
  }
  bool operator()(const micro_usd&) const { return true; }
  bool operator()(const timestamp&) const { return true; }
  template <class T>
  bool operator()(const T&) const {
    return false;
  }
};

} // namespace

// Goal: each type and version of the catalog has a schema, named and described like it, and each
// schema has a type.
TEST(EventSchemas, ThereIsOneForEachTypeAndVersion) {
  std::set<std::string> expected{"common.json"}, found;
  for (const auto& type : event_catalog())
    for (int version = 1; version <= type.version; ++version) {
      const auto full = full_type(type.name, version);
      expected.insert(std::string{type.name} + ".v" + std::to_string(version) + ".json");
      ASSERT_NE(test::schema_text(full), "") << full;
      EXPECT_EQ(schema{full}.string("title"), full);
      EXPECT_EQ(schema{full}.string("description"), type.summary);
    }
  for (const auto& file : std::filesystem::directory_iterator{schema_folder})
    found.insert(file.path().filename().string());
  EXPECT_EQ(found, expected);
}

// Goal: a schema lists exactly the members that are written, and requires what is always written.
TEST(EventSchemas, ListTheMembersThatAreWritten) {
  for_each_written([](auto fact, const std::string& type) {
    SCOPED_TRACE(type);
    std::set<std::string> members, always;
    bool has_payload = false;
    decltype(fact)::fields(fact, [&](std::string_view name, const auto& member) {
      members.emplace(name);
      if (always_written{}(member))
        always.emplace(name);
      has_payload = has_payload || std::same_as<std::decay_t<decltype(member)>, payload>;
    });
    if (has_payload)
      members.insert("blobs");
    const schema described{type};
    EXPECT_EQ(described.members(), members);
    const auto required = described.required();
    EXPECT_TRUE(std::ranges::includes(required, always)) << test::schema_text(type);
  });
}

// Goal: an event with every member fits, also with members that are not known yet; without one that
// is required, or with one of a wrong type, it does not.
TEST(EventSchemas, FindWhatIsMissingOrOfAWrongType) {
  for_each_written([]<class Fact>(Fact, const std::string& type) {
    const auto fact = sample<Fact>();
    const auto mismatch = [&](std::string_view left_out, const char* instead) {
      return test::schema_mismatch(event_of(type, data_without(fact, left_out, instead)));
    };
    EXPECT_EQ(mismatch("", nullptr), "");
    EXPECT_EQ(mismatch("a_later_member", "{}"), "");
    const auto required = schema{type}.required();
    Fact::fields(fact, [&](std::string_view name, const auto& member) {
      EXPECT_EQ(mismatch(name, nullptr).empty(), !required.contains(std::string{name}))
          << type << ": " << name;
      if (!std::same_as<std::decay_t<decltype(member)>, payload>) {
        EXPECT_NE(mismatch(name, "[[]]"), "") << type << ": " << name;
        EXPECT_NE(mismatch(name, "null"), "") << type << ": " << name;
      }
    });
  });
}

// Goal: payloads in the blob store are named in a form that the schema knows.
TEST(EventSchemas, KnowBlobs) {
  for_each_written([]<class Fact>(Fact fact, const std::string& type) {
    fact = sample<Fact>();
    Fact::fields(fact, overloaded{[](std::string_view name, payload& p) {
                                    p = {{}, blob_ref{sha256(name), 300'000}};
                                  },
                                  [](std::string_view, auto&) {}});
    std::string data;
    json_writer json{data};
    json.begin_object();
    field_writer writer{json};
    Fact::fields(fact, writer);
    writer.finish();
    json.end_object();
    EXPECT_EQ(test::schema_mismatch(event_of(type, data)), "");
    const auto at = data.find("\"size\":300000");
    if (at == std::string::npos)
      return;
    data.replace(at, 13, "\"size\":-1");
    EXPECT_NE(test::schema_mismatch(event_of(type, data)), "") << data;
  });
}

// Goal: the two events that found and take a partition fit too: they are not the codec's.
TEST(EventSchemas, KnowHowPartitionsAreTaken) {
  memory_log log;
  test::counting_ids ids;
  ASSERT_TRUE(take_partition(log, 0, "node_1", test::fixed_clock{}, ids));
  const auto all = test::read_all(log);
  ASSERT_EQ(all.size(), 2u);
  for (const auto& r : all)
    EXPECT_EQ(test::schema_mismatch(r->event), "");
  EXPECT_NE(test::schema_mismatch(event_of(all[0]->event.type, all[1]->event.data)), "");
  EXPECT_NE(test::schema_mismatch(event_of(all[1]->event.type, all[0]->event.data)), "");
}

// Goal: an event that has no schema is told.
TEST(EventSchemas, MissUnknownTypes) {
  EXPECT_EQ(test::schema_mismatch(event_of("dev.runledger.run.paused.v1", "{}")),
            "there is no schema of dev.runledger.run.paused.v1 in docs/schemas");
}

} // namespace runledger
