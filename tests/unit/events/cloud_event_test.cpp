#include "events/cloud_event.hpp"

#include "events/json.hpp"
#include "tests/support/log_writers.hpp"

#include <gtest/gtest.h>

namespace runledger::test {

// Goal: an event as one line of JSON has every attribute of docs/events.md, and its payload.
TEST(cloud_event, has_all_attributes_on_one_line) {
  stream_maker maker{session_name(1), 3};
  auto r = maker.next("[1,\n 2.50]");
  r->offset = 7;
  std::string text;
  append_cloud_event_json(text, *r);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto document = json::parse(text);
  ASSERT_TRUE(document) << text;
  const auto root = document->root();
  const auto of = [&](const char* name) {
    const auto found = root.find(name);
    return found ? std::string{found->is_string() ? found->string() : found->raw()} : "(absent)";
  };
  EXPECT_EQ(of("specversion"), "1.0");
  EXPECT_EQ(of("id"), session_name(1) + ":1");
  EXPECT_EQ(of("source"), "/runledger/default");
  EXPECT_EQ(of("type"), "dev.runledger.session.turn_accepted.v1");
  EXPECT_EQ(of("subject"), session_name(1));
  EXPECT_EQ(of("time"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(of("datacontenttype"), "application/json");
  EXPECT_EQ(of("sequence"), "1");
  EXPECT_EQ(of("partitionkey"), session_name(1));
  EXPECT_EQ(of("causationid"), "cmd_01");
  EXPECT_EQ(of("correlationid"), "req_01");
  EXPECT_EQ(of("principal"), "key_01");
  EXPECT_EQ(of("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_EQ(of("datahash"), to_hex(r->event.datahash));
  EXPECT_EQ(of("prevhash"), std::string(64, '0'));
  EXPECT_EQ(of("eventhash"), to_hex(r->event.eventhash));
  EXPECT_EQ(of("partition"), "0");
  EXPECT_EQ(of("offset"), "7");
  EXPECT_EQ(of("epoch"), "3");
  EXPECT_EQ(of("data"), "{\"n\":[1,  2.50]}");
}

// Goal: absent attributes are left out, and a payload that is no JSON does not break the line.
TEST(cloud_event, leaves_out_what_is_absent) {
  stream_maker maker{session_name(1), 3};
  maker.attributes().traceparent.clear();
  auto r = maker.next("1");
  r->event.data = "{not json\n";
  std::string text;
  append_cloud_event_json(text, *r);
  const auto document = json::parse(text);
  ASSERT_TRUE(document) << text;
  EXPECT_FALSE(document->root().find("traceparent"));
  EXPECT_EQ(document->root().find("data")->string(), "{not json\n");
}

} // namespace runledger::test
