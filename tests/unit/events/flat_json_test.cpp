#include "events/flat_json.hpp"

#include "events/codec.hpp"
#include "events/flat_reader.hpp"
#include "events/log/memory_log.hpp"
#include "tests/support/random_history.hpp"

#include <gtest/gtest.h>

#include <array>

namespace runledger::test {
namespace {

/// What the quick look takes, the parser takes, with the same members.
void expect_agreement(const std::string& text) {
  json::flat_object quick;
  if (!quick.scan(text))
    return;
  auto parsed = json::parse(text);
  ASSERT_TRUE(parsed) << text;
  ASSERT_TRUE(parsed->root().is_object()) << text;
  for (auto member : parsed->root().children()) {
    const auto* found = quick.find(member.name());
    ASSERT_NE(found, nullptr) << text;
    EXPECT_EQ(found->raw, member.raw()) << text;
    EXPECT_EQ(found->kind, member.kind()) << text;
    if (member.is_string()) {
      EXPECT_EQ(found->text, member.string()) << text;
    }
    if (member.is_number() && found->integer) {
      EXPECT_EQ(found->integer, member.integer()) << text;
    }
  }
  EXPECT_EQ(quick.find("no such member"), nullptr);
}

bool taken(std::string_view text) {
  json::flat_object quick;
  return quick.scan(text);
}

// Goal: it takes what this program writes.
TEST(flat_json, takes_plain_objects) {
  for (const char* text :
       {"{}", R"({"a":1})", R"({"a":"text of more than eight bytes","b":-12,"c":true,"d":null})",
        R"({"a":{"b":{"c":[1,2,{"d":"e"}]}},"f":[]})", R"({"a":0,"b":0.50,"c":-0.5})",
        R"({"a":123456789012345678})", R"({"":""})"}) {
    EXPECT_TRUE(taken(text)) << text;
    expect_agreement(text);
  }
}

// Goal: it never says yes where the parser says no, and leaves the difficult cases to it.
TEST(flat_json, leaves_the_rest) {
  std::string nine(9, '[');
  std::string deep = R"({"a":)" + nine + std::string(9, ']') + '}';
  const std::vector<std::string> difficult{"",
                                           "{",
                                           "}",
                                           "[]",
                                           "1",
                                           "\"a\"",
                                           R"({"a":1)",
                                           R"({"a":1}})",
                                           R"({"a":1,})",
                                           R"({,"a":1})",
                                           R"({"a" :1})",
                                           R"({ "a":1})",
                                           R"({"a":1} )",
                                           R"({"a":01})",
                                           R"({"a":-0})",
                                           R"({"a":-})",
                                           R"({"a":1.})",
                                           R"({"a":.5})",
                                           R"({"a":1e3})",
                                           R"({"a":+1})",
                                           R"({"a":1,"a":2})",
                                           R"({"a":{"b":1,"b":2}})",
                                           R"({"a":"\n"})",
                                           "{\"a\":\"\n\"}",
                                           "{\"a\":\"\x7f\"}",
                                           "{\"a\":\"caf\xc3\xa9\"}",
                                           "{\"a\":\"\xff\"}",
                                           R"({"a":tru})",
                                           R"({"a":nul)",
                                           R"({"a"})",
                                           R"({"a":"b)",
                                           R"({"a":[1,]})",
                                           R"({"a":[,1]})",
                                           R"({"a":[1)",
                                           R"({"a\"b":1})",
                                           R"({"a":12345678901234567890})",
                                           "{\"a\":\"12345678\x01\"}",
                                           "{\"a\":\"1234567\\\"}",
                                           std::string{"{\"a\":\"1234567\0\"}", 16},
                                           deep};
  for (const auto& text : difficult) {
    EXPECT_FALSE(taken(text)) << text;
    expect_agreement(text);
  }
}

// Goal: the same for texts that are broken anywhere.
TEST(flat_json, agrees_on_broken_texts) {
  seeded_ids dice{42};
  const std::array<std::string, 4> texts{
      R"({"key":"read","attempt":1,"duration_ms":12,"output":{"words":1234,"list":[1,2.5,"x"]}})",
      R"({"turn":1,"run_id":"run_01HF7YAT00BK0VXTWDM5JRXV39","prompt":"do it","limits":{}})",
      R"({"a":null,"b":true,"c":false,"d":-17,"e":"","f":[[]],"g":{"h":{}}})",
      R"({"code":"x","message":"a longer message with (almost) every sign: ,;:{}[]"})"};
  const std::string bytes = "\"\\{}[]:,0123456789-+.eEtfn \n\x01\x7f\x80\xc3";
  for (int round = 0; round < 40'000; ++round) {
    auto text = texts[dice.below(texts.size())];
    for (auto changes = 1 + dice.below(3); changes > 0; --changes) {
      auto at = dice.below(text.size());
      switch (dice.below(3)) {
        case 0:
          text[at] = bytes[dice.below(bytes.size())];
          break;
        case 1:
          text.erase(at, 1);
          break;
        default:
          text.insert(at, 1, bytes[dice.below(bytes.size())]);
      }
    }
    expect_agreement(text);
    if (HasFailure())
      return;
  }
}

template <class Event, std::size_t I = 0>
void expect_same_fact(const std::string& type, const std::string& data, int& quick_ones) {
  if constexpr (I < std::variant_size_v<Event>) {
    using fact_type = std::variant_alternative_t<I, Event>;
    if (type != full_type(fact_type::name, 1))
      return expect_same_fact<Event, I + 1>(type, data, quick_ones);
    flat_reader quick{data};
    fact_type one, other;
    fact_type::fields(one, quick);
    if (!quick.ok())
      return;
    ++quick_ones;
    auto parsed = json::parse(data);
    ASSERT_TRUE(parsed) << data;
    field_reader slow{parsed->root()};
    fact_type::fields(other, slow);
    ASSERT_TRUE(slow.ok()) << data;
    EXPECT_EQ(one, other) << data;
  }
}

// Goal: a fact that is read quickly is the fact that the tree gives, also from broken data.
TEST(flat_json, facts_are_the_same) {
  memory_log log;
  random_history model{log, 3};
  for (int i = 0; i < 3000; ++i)
    model.step();
  auto records = log.read_partition(0, 0, SIZE_MAX);
  ASSERT_TRUE(records);
  seeded_ids dice{7};
  int sound = 0, all = 0;
  for (const auto& r : *records) {
    auto check = [&](const std::string& data, int& quick) {
      if (kind_of(r->event.stream) == stream_kind::run)
        expect_same_fact<run::event>(r->event.type, data, quick);
      else
        expect_same_fact<session::event>(r->event.type, data, quick);
    };
    check(r->event.data, sound);
    ++all;
    for (int i = 0; i < 10; ++i) {
      auto data = r->event.data;
      data[dice.below(data.size())] = "0-\"{}x1,:tn"[dice.below(11)];
      int ignored = 0;
      check(data, ignored);
    }
    if (HasFailure())
      return;
  }
  EXPECT_GT(sound, all / 2); // Otherwise it would be of no use.
}

} // namespace
} // namespace runledger::test
