#include "events/log/kafka_record.hpp"

#include "events/base64.hpp"
#include "events/cloud_event.hpp"
#include "tests/support/kafka_records.hpp"
#include "tests/support/log_writers.hpp"

#include <gtest/gtest.h>

namespace runledger::test {

namespace {

using kafka::content_mode;

constexpr content_mode both_modes[] = {content_mode::binary, content_mode::structured};

std::shared_ptr<record> sample() {
  return stream_maker{session_name(1), 3}.next("[1,\n 2.50]", true, 1'700'000'001'000);
}

/// A record with one change must be refused for the expected reason.
void expect_refused(content_mode mode, const std::function<void(kafka_record&)>& change,
                    const std::string& reason) {
  auto r = written(*sample(), mode);
  change(r);
  const auto read = r.decode();
  ASSERT_FALSE(read) << reason;
  EXPECT_EQ(read.error(), reason);
}

} // namespace

// Goal: in binary mode every attribute is a header of its name, what stands beside the envelope
// too, and the value is the payload.
TEST(kafka_record, binary_mode_as_documented) {
  const auto r = sample();
  const auto& e = r->event;
  const auto out = written(*r, content_mode::binary, "01ARZ3NDEKTSV4RRFFQ69G5FAV/part_ledger_0/7");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"content-type", "application/json"},
      {"ce_specversion", "1.0"},
      {"ce_id", session_name(1) + ":1"},
      {"ce_source", "/runledger/default"},
      {"ce_type", "dev.runledger.session.turn_accepted.v1"},
      {"ce_subject", session_name(1)},
      {"ce_time", "2023-11-14T22:13:20.000Z"},
      {"ce_sequence", "1"},
      {"ce_partitionkey", session_name(1)},
      {"ce_causationid", "cmd_01"},
      {"ce_correlationid", "req_01"},
      {"ce_principal", "key_01"},
      {"ce_traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
      {"ce_datahash", to_hex(e.datahash)},
      {"ce_prevhash", std::string(64, '0')},
      {"ce_eventhash", to_hex(e.eventhash)},
      {"runledger_epoch", "3"},
      {"runledger_open", "true"},
      {"runledger_due_ms", "1700000001000"},
      {"runledger_origin", "01ARZ3NDEKTSV4RRFFQ69G5FAV/part_ledger_0/7"},
  };
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& header : out.headers)
    found.emplace_back(header.name, header.value.value_or("(null)"));
  EXPECT_EQ(found, expected);
  EXPECT_EQ(out.key, session_name(1));
  EXPECT_EQ(out.value, "{\"n\":[1,\n 2.50]}");
}

// Goal: in structured mode the value is one CloudEvent in JSON that ends with the payload's bytes.
TEST(kafka_record, structured_mode_as_documented) {
  const auto r = sample();
  const auto out = written(*r, content_mode::structured);
  std::string attributes;
  append_cloud_event_attributes(attributes, r->event);
  EXPECT_EQ(out.value, attributes + ",\"data\":{\"n\":[1,\n 2.50]}}");
  ASSERT_EQ(out.headers.size(), 4u);
  EXPECT_EQ(out.headers[0].name, "content-type");
  EXPECT_EQ(out.headers[0].value, "application/cloudevents+json");
  EXPECT_EQ(out.headers[1].name, "runledger_epoch");
}

// Goal: what was written is read back, absent attributes and payloads that are no JSON included.
TEST(kafka_record, is_read_back) {
  for (const auto mode : both_modes)
    for (const std::string data : {"{}", "", " {}", "{}\n", "{\"data\":1,\"x\":{\"data\":\"\"}}",
                                   "1},\"data\":{", "\xFF\xFE", "{\"a\":1,\"a\":2}"}) {
      auto r = sample();
      r->event.data = data;
      r->event.causation_id = r->event.correlation_id = r->event.principal = "";
      r->event.traceparent = "";
      r->due_ms.reset();
      seal(r->event);
      const auto read = written(*r, mode).decode();
      ASSERT_TRUE(read) << read.error();
      EXPECT_TRUE(same_event(read->event->event, r->event)) << data;
      EXPECT_TRUE(hashes_match(read->event->event));
      EXPECT_EQ(read->event->epoch, 3u);
      EXPECT_TRUE(read->event->open);
      EXPECT_FALSE(read->event->due_ms);
      EXPECT_EQ(read->origin, "");
    }
}

// Goal: a writer's records do not depend on what it wrote before.
TEST(kafka_record, one_writer_writes_many) {
  for (const auto mode : both_modes) {
    kafka::record_writer writer{mode};
    stream_maker maker{session_name(1), 3};
    for (int i = 0; i < 3; ++i) {
      const auto r = maker.next(std::string(static_cast<std::size_t>(i) * 1000, '1') + "2");
      const auto out = kafka_record{writer.write(*r, i == 1 ? "somewhere" : "")};
      const auto read = out.decode();
      ASSERT_TRUE(read) << read.error();
      EXPECT_TRUE(same_event(read->event->event, r->event));
      EXPECT_EQ(read->origin, i == 1 ? "somewhere" : "");
    }
  }
}

// Goal: headers of others are ignored, also extensions of CloudEvents that are not ours.
TEST(kafka_record, ignores_what_others_add) {
  for (const auto mode : both_modes) {
    auto r = written(*sample(), mode);
    r["trace"] = std::nullopt;
    r.headers.push_back({"trace", "again"});
    r["ce_other"] = "\xFF";
    EXPECT_TRUE(r.decode());
  }
}

// Goal: a record that is not ours is refused with what is wrong.
TEST(kafka_record, refuses_what_is_not_ours) {
  const auto binary = [](auto change, const char* reason) {
    expect_refused(content_mode::binary, change, reason);
  };
  binary([](auto& r) { r.value.reset(); }, "The record has no value.");
  binary([](auto& r) { r.key.reset(); }, "The record's key is not the attribute `partitionkey`.");
  binary([](auto& r) { r.key = session_name(2); },
         "The record's key is not the attribute `partitionkey`.");
  binary([](auto& r) { r.headers.clear(); },
         "The header `content-type` is neither `application/json` nor"
         " `application/cloudevents+json`.");
  binary([](auto& r) { r.headers.push_back({"ce_id", "x"}); }, "The header `ce_id` stands twice.");
  binary([](auto& r) { r.headers.push_back(r.headers[0]); },
         "The header `content-type` stands twice.");
  binary(
      [](auto& r) {
        r.headers.push_back({"runledger_epoch", "3"});
      },
      "The header `runledger_epoch` stands twice.");
  binary(
      [](auto& r) {
        r["ce_other"] = "a";
        r.headers.push_back({"ce_other", "a"});
      },
      "The header `ce_other` stands twice.");
  binary([](auto& r) { r["ce_type"] = std::nullopt; }, "The header `ce_type` has no value.");
}

// Goal: an attribute is read in the one form in which it is written.
TEST(kafka_record, refuses_other_forms_of_attributes) {
  const auto refused = [](const char* header, const std::vector<std::string>& values,
                          const char* reason) {
    for (const auto& value : values)
      expect_refused(
          content_mode::binary, [&](auto& r) { r[header] = value; }, reason);
  };
  refused("ce_specversion", {"1.1"}, "The attribute `specversion` is not `1.0`.");
  refused("ce_sequence", {"0", "01", "+1", "-1", "1 ", "1.0", "9223372036854775808"},
          "The attribute `sequence` is no number from 1 to 9223372036854775807.");
  refused("ce_id", {session_name(1) + ":2", session_name(1), ":1", session_name(1) + "::1"},
          "The attribute `id` is not `<subject>:<sequence>`.");
  refused("ce_source", {"/runledger/", "/runledger", "default", "/RUNLEDGER/default"},
          "The attribute `source` is not `/runledger/<workspace>`.");
  refused("ce_time",
          {"2023-11-14T22:13:20Z", "2023-11-14t22:13:20.000Z", "2023-11-14T23:13:20.000+01:00",
           "2023-11-14T22:13:60.000Z", "2023-02-30T22:13:20.000Z", "yesterday"},
          "The attribute `time` is no time like `2026-01-31T12:00:00.000Z`.");
  refused("ce_datahash", {std::string(64, 'A'), std::string(63, 'a'), std::string(65, 'a')},
          "The attribute `datahash` is not 64 lower-case hex digits.");
  refused("ce_principal", {""}, "The attribute `principal` is empty.");
  refused("ce_principal", {"a\nb", "\x7F", "\xC2\x85", "\xC3", "\xED\xA0\x80"},
          "The attribute `principal` has a control character or is not in UTF-8.");
  expect_refused(
      content_mode::binary,
      [](auto& r) { std::erase_if(r.headers, [](auto& h) { return h.name == "ce_type"; }); },
      "The attribute `type` is missing.");
}

// Goal: likewise what stands beside the envelope.
TEST(kafka_record, refuses_other_forms_of_what_stands_beside) {
  const auto refused = [](const char* header, const std::vector<std::string>& values,
                          const char* reason) {
    for (const auto mode : both_modes)
      for (const auto& value : values)
        expect_refused(
            mode, [&](auto& r) { r[header] = value; }, reason);
  };
  refused("runledger_epoch", {"", "-1", "03", "x", "9223372036854775808"},
          "The header `runledger_epoch` is missing or no number from 0 to 9223372036854775807.");
  refused("runledger_open", {"", "1", "True"},
          "The header `runledger_open` is missing or neither `true` nor `false`.");
  refused("runledger_due_ms", {"", "1.5", "-0", "1e3"},
          "The header `runledger_due_ms` is no number of milliseconds since 1970.");
  refused("runledger_origin", {"", "\n", "\xFF"},
          "The header `runledger_origin` is empty, has a control character or is not in UTF-8.");
}

// Goal: an event in JSON is read in the one form in which it is written.
TEST(kafka_record, refuses_other_forms_of_json) {
  const auto strange = "The value is no event in JSON as it is written.";
  const auto replaced = [&](const std::string& what, const std::string& by, const char* reason) {
    expect_refused(
        content_mode::structured,
        [&](kafka_record& r) {
          const auto at = r.value->find(what);
          ASSERT_NE(at, std::string::npos) << what;
          r.value->replace(at, what.size(), by);
        },
        reason);
  };
  replaced("{\"specversion\"", "{ \"specversion\"", strange);
  replaced("\"type\":", "\"more\":\"x\",\"type\":", strange);
  replaced("session.turn_accepted", "session.turn\\u005faccepted", strange);
  replaced("\"sequence\":\"1\"", "\"sequence\":1", "The attribute `sequence` is missing.");
  replaced("\"principal\":\"key_01\"", "\"principal\":null", strange);
  replaced(",\"data\":", ", \"data\":", strange);
  replaced(",\"data\":", ",\"data_base64\":", strange);
  replaced("2.50]}}", "2.50]} ", strange);
  replaced("{\"specversion\"", "[\"specversion\"",
           "The value is no JSON: The text is not valid JSON.");
  expect_refused(
      content_mode::structured, [](auto& r) { *r.value = ""; }, strange);
  expect_refused(
      content_mode::structured,
      [](auto& r) { r["content-type"] = "application/cloudevents-batch+json"; },
      "The header `content-type` is neither `application/json` nor"
      " `application/cloudevents+json`.");
}

} // namespace runledger::test
