// Goal: any event comes back from its Kafka record, and whoever changes a record's bytes gets
// either a refusal, or hashes that do not match, or the very same event: never another one that
// verifies. KAFKA_MUTATIONS=n makes another number of changes.

#include "tests/support/builders.hpp"
#include "tests/support/kafka_records.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace runledger::test {

namespace {

using kafka::content_mode;

std::string random_text(dice& roll) {
  static const std::vector<std::string> pieces{
      "a",  "key_01",           "\"",  "\\", "\xC3\xA9", ",\"data\":", "ws/",
      "{}", "\xF0\x9F\x98\x80", "x y", "=1:"};
  std::string out;
  for (auto n = roll.below(4); n > 0; --n)
    out += roll.pick(pieces);
  return out;
}

std::string random_payload(dice& roll) {
  static const std::vector<std::string> odd{
      "", " {}", "{}\r\n", "no json", "\xFF\xFF", "{\"a\":1,\"a\":1}", "1},\"data\":{", "\"}"};
  if (roll.percent(20))
    return roll.pick(odd);
  run::step_completed fact;
  random_filler fill{roll};
  run::step_completed::fields(fact, fill);
  return encode(run::event{fact}).data;
}

std::shared_ptr<record> random_record(dice& roll) {
  auto r = std::make_shared<record>();
  auto& e = r->event;
  e.stream.value = roll.coin() ? session_name(roll.below(9)) : "ws/" + random_text(roll);
  e.seq = roll.coin() ? 1 + roll.below(20) : std::numeric_limits<std::int64_t>::max();
  e.type = full_type("run.step_completed", 1);
  e.workspace.value = "w" + random_text(roll);
  e.partition_key = e.stream.value;
  e.time = from_ms(roll.between(-60'000'000'000'000, 250'000'000'000'000));
  e.causation_id = random_text(roll);
  e.correlation_id = random_text(roll);
  e.principal = random_text(roll);
  e.traceparent = random_text(roll);
  e.data = random_payload(roll);
  if (roll.coin())
    e.prevhash = sha256(std::to_string(roll.next()));
  seal(e);
  r->epoch = roll.next() >> 1;
  r->open = roll.coin();
  if (roll.coin())
    r->due_ms = static_cast<std::int64_t>(roll.next());
  return r;
}

content_mode random_mode(dice& roll) {
  return roll.coin() ? content_mode::binary : content_mode::structured;
}

void change_bytes(std::string& text, dice& roll) {
  const auto at = roll.below(text.size() + 1);
  switch (roll.below(5)) {
    case 0:
      if (at < text.size())
        text[at] = static_cast<char>(text[at] ^ (1 << roll.below(8)));
      return;
    case 1:
      text.insert(at, 1, static_cast<char>(roll.below(256)));
      return;
    case 2:
      text.erase(std::min(at, text.size()), 1 + roll.below(3));
      return;
    case 3:
      text.insert(at, text.substr(roll.below(text.size() + 1), roll.below(20)));
      return;
    default:
      text.resize(at);
  }
}

/// The same change as a forger makes who knows the format.
void change_headers(kafka_record& r, const kafka_record& other, dice& roll) {
  const auto any = [&](std::size_t size) { return static_cast<std::ptrdiff_t>(roll.below(size)); };
  auto& headers = r.headers;
  switch (roll.below(6)) {
    case 0:
      headers.erase(headers.begin() + any(headers.size()));
      return;
    case 1:
      headers.push_back(other.headers[roll.below(other.headers.size())]);
      return;
    case 2:
      std::swap(headers[roll.below(headers.size())].value,
                headers[roll.below(headers.size())].value);
      return;
    case 3:
      headers[roll.below(headers.size())].value.reset();
      return;
    case 4:
      r[other.headers[roll.below(other.headers.size())].name] = other.headers.front().value;
      return;
    default: {
      const auto& from = other.headers[roll.below(other.headers.size())];
      r[from.name] = from.value;
    }
  }
}

void change(kafka_record& r, const kafka_record& other, dice& roll) {
  switch (roll.below(6)) {
    case 0:
      change_bytes(*r.value, roll);
      return;
    case 1:
      change_bytes(r.headers[roll.below(r.headers.size())].name, roll);
      return;
    case 2: {
      auto& value = r.headers[roll.below(r.headers.size())].value;
      if (value)
        change_bytes(*value, roll);
      return;
    }
    case 3:
      r.value = other.value;
      r.key = roll.coin() ? other.key : r.key;
      return;
    case 4:
      change_headers(r, other, roll);
      return;
    default:
      change_bytes(*r.key, roll);
  }
}

} // namespace

// Goal: every event comes back as it was, in both modes.
TEST(kafka_record_property, every_event_comes_back) {
  for_each_seed(1, 2000, [](std::uint64_t seed) {
    dice roll{seed};
    const auto r = random_record(roll);
    const auto origin = random_text(roll);
    const auto read = written(*r, random_mode(roll), origin).decode();
    ASSERT_TRUE(read) << read.error();
    EXPECT_TRUE(same_event(read->event->event, r->event));
    EXPECT_TRUE(hashes_match(read->event->event));
    EXPECT_EQ(read->event->epoch, r->epoch);
    EXPECT_EQ(read->event->open, r->open);
    EXPECT_EQ(read->event->due_ms, r->due_ms);
    EXPECT_EQ(read->origin, origin);
  });
}

// Goal: 20,000 changes never crash the reader and never give another event that verifies; and
// many of them leave a record that is read, so that the test looks at more than refusals.
TEST(kafka_record_property, changes_are_found) {
  std::size_t refused = 0, unlike = 0, harmless = 0;
  for_each_seed(1, number_from_environment("KAFKA_MUTATIONS", 20'000), [&](std::uint64_t seed) {
    dice roll{seed};
    const auto original = random_record(roll), another = random_record(roll);
    const auto mode = random_mode(roll);
    auto r = written(*original, mode);
    const auto other = written(*another, roll.percent(80) ? mode : random_mode(roll));
    for (auto n = 1 + roll.below(3); n > 0; --n)
      change(r, other, roll);
    const auto read = r.decode();
    if (!read) {
      ++refused;
      EXPECT_TRUE(read.error().ends_with('.')) << read.error();
      return;
    }
    const auto& e = read->event->event;
    const bool sound = hashes_match(e);
    ++(sound ? harmless : unlike);
    if (sound) {
      EXPECT_TRUE(same_event(e, original->event) || same_event(e, another->event));
    }
  });
  if (number_from_environment("TEST_SEED", 0) == 0) {
    EXPECT_GT(refused, 1000u);
    EXPECT_GT(unlike, 1000u);
    EXPECT_GT(harmless, 1000u);
  }
}

} // namespace runledger::test
