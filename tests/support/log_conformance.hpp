#pragma once

#include "events/codec.hpp"
#include "events/tree_head.hpp"
#include "tests/support/log_conformance_fixture.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

/// What every back end of the ledger promises (events/log/event_log.hpp), as one suite. A back
/// end's test file names a fixture and instantiates:
///
///   struct my_ledger { event_log& log(); };  // A fresh, empty one; hashes of appends are
///   verified. INSTANTIATE_TYPED_TEST_SUITE_P(my, log_conformance, my_ledger);
namespace runledger::test {

// Goal: what was accepted is read back to the last attribute, by stream and by partition.
TYPED_TEST_P(log_conformance, gives_back_what_it_accepted) {
  stream_maker s{session_name(1), this->claim()};
  auto first = s.next("\"\\u00e4 \xc3\xa4 \\n\"", true, 1'700'000'060'000), second = s.next("2");
  auto a = *first, b = *second;
  this->expect_accepted({first, second});
  auto by_stream = this->stream(session_name(1));
  ASSERT_EQ(by_stream.size(), 2u);
  expect_same(*by_stream[0], a);
  expect_same(*by_stream[1], b);
  auto all = read_all(this->log(), 1000, this->home());
  ASSERT_EQ(all.size(), 4u); // Opened, claimed, and ours.
  expect_same(*all[2], a);
  expect_same(*all[3], b);
  EXPECT_EQ(all[3]->partition, this->home());
  EXPECT_EQ(by_stream[1]->offset, all[3]->offset);
}

// Goal: offsets grow, the end is one past the last, and reading at the end gives nothing.
TYPED_TEST_P(log_conformance, numbers_the_partition) {
  const auto home = this->home();
  EXPECT_EQ(this->log().end_offset(home), 0);
  stream_maker s{session_name(1), this->claim()};
  for (int i = 0; i < 5; ++i)
    this->expect_accepted({s.next(std::to_string(i))});
  auto all = read_all(this->log(), 3, home);
  ASSERT_EQ(all.size(), 7u);
  for (std::size_t i = 1; i < all.size(); ++i)
    EXPECT_GT(all[i]->offset, all[i - 1]->offset);
  const auto end = this->log().end_offset(home);
  EXPECT_EQ(end, all.back()->offset + 1);
  EXPECT_TRUE(this->log().read_partition(home, end, 10)->empty());
  EXPECT_TRUE(this->log().read_partition(home, end + 100, 10)->empty());
  auto middle = this->log().read_partition(home, all[4]->offset, 2);
  ASSERT_EQ(middle->size(), 2u);
  EXPECT_EQ(middle->at(0)->event.id(), all[4]->event.id());
}

// Goal: a stream is read from any seq, with a limit, and an unknown one is empty.
TYPED_TEST_P(log_conformance, reads_a_stream_in_parts) {
  stream_maker s{session_name(1), this->claim()};
  for (int i = 0; i < 5; ++i)
    this->expect_accepted({s.next(std::to_string(i))});
  auto part = this->stream(session_name(1), 3, 2);
  ASSERT_EQ(part.size(), 2u);
  EXPECT_EQ(part[0]->event.seq, 3u);
  EXPECT_EQ(part[1]->event.seq, 4u);
  EXPECT_EQ(this->stream(session_name(1), 0).size(), 5u);
  EXPECT_TRUE(this->stream(session_name(1), 6).empty());
  EXPECT_TRUE(this->stream(session_name(1), 600).empty());
  EXPECT_TRUE(this->stream(session_name(2)).empty());
}

// Goal: the head is that of the last accepted event.
TYPED_TEST_P(log_conformance, knows_the_head) {
  auto epoch = this->claim();
  stream_maker s{session_name(1), epoch};
  EXPECT_FALSE(this->log().head(stream_id{session_name(1)})->has_value());
  this->expect_accepted({s.next()});
  s.attributes().time += std::chrono::seconds{5};
  this->expect_accepted({s.next("2")});
  auto head = this->log().head(stream_id{session_name(1)});
  ASSERT_TRUE(head && *head);
  EXPECT_EQ((*head)->seq, 2u);
  EXPECT_EQ((*head)->hash, s.head().hash);
  EXPECT_EQ((*head)->partition_key, session_name(1));
  EXPECT_EQ((*head)->time, s.head().time);
}

// Goal: writing the same event again, the last or an earlier one, is accepted and changes nothing.
TYPED_TEST_P(log_conformance, takes_a_repeat_as_done) {
  stream_maker s{session_name(1), this->claim()};
  auto a = s.next("1"), b = s.next("2"), c = s.next("3");
  this->expect_accepted({a, b, c});
  auto end = this->end();
  auto copy = [](const auto& r) { return std::make_shared<record>(*r); };
  this->expect_accepted({copy(c)});
  this->expect_accepted({copy(a)});
  this->expect_accepted({copy(a), copy(b), copy(c)});
  EXPECT_EQ(this->end(), end);
  EXPECT_EQ(this->stream(session_name(1)).size(), 3u);
  this->expect_accepted({copy(c), s.next("4")}); // A cut request, sent again with its rest.
  EXPECT_EQ(this->stream(session_name(1)).size(), 4u);
}

// Goal: a repeat that was written under an earlier epoch is still the same event.
TYPED_TEST_P(log_conformance, takes_a_repeat_after_a_new_claim) {
  stream_maker s{session_name(1), this->claim()};
  auto a = s.next("1");
  this->expect_accepted({a});
  this->claim("node-2");
  this->expect_accepted({std::make_shared<record>(*a)});
  EXPECT_EQ(this->stream(session_name(1)).size(), 1u);
}

// Goal: of two writers that make the very same event one is told that it was written, because
// that one does what follows from it.
TYPED_TEST_P(log_conformance, refuses_a_repeat_by_another_writer) {
  auto old_epoch = this->claim();
  stream_maker s{session_name(1), this->claim("node-2")};
  auto a = s.next("1"), b = s.next("2");
  this->expect_accepted({a, b});
  auto by_the_old_one = [&](const auto& r) {
    auto out = std::make_shared<record>(*r);
    out->epoch = old_epoch;
    return out;
  };
  this->expect_refused({by_the_old_one(b)}, verdict::wrong_epoch);
  this->expect_refused({by_the_old_one(a)}, verdict::wrong_epoch);
  this->expect_accepted({std::make_shared<record>(*b)});
}

// Goal: another event at a place that is taken is refused, wherever that place is.
TYPED_TEST_P(log_conformance, refuses_another_event_at_the_same_place) {
  stream_maker s{session_name(1), this->claim()};
  auto at_first = s;
  this->expect_accepted({s.next("1")});
  auto at_second = s;
  this->expect_accepted({s.next("2")});
  this->expect_refused({at_second.next("9")}, verdict::stale_seq);
  this->expect_refused({at_first.next("9")}, verdict::stale_seq);
  auto events = this->stream(session_name(1));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1]->event.data, "{\"n\":2}");
}

// Goal: no place is left out.
TYPED_TEST_P(log_conformance, refuses_a_gap) {
  stream_maker s{session_name(1), this->claim()};
  auto lost = s.next("1");
  this->expect_refused({s.peek("2")}, verdict::gap);
  this->expect_accepted({lost});
  s.next("2");
  this->expect_refused({s.next("3")}, verdict::gap);
}

// Goal: only the holder of the last claim writes; one before and one after it do not.
TYPED_TEST_P(log_conformance, refuses_every_other_epoch) {
  auto old = this->claim("node-1");
  auto current = this->claim("node-2");
  EXPECT_EQ(current, old + 1);
  this->expect_refused({stream_maker{session_name(1), old}.next()}, verdict::wrong_epoch);
  this->expect_refused({stream_maker{session_name(1), 0}.next()}, verdict::wrong_epoch);
  this->expect_refused({stream_maker{session_name(1), current + 1}.next()}, verdict::wrong_epoch);
  this->expect_accepted({stream_maker{session_name(1), current}.next()});
}

// Goal: of two claims of one epoch the first wins; a claim skips no epoch.
TYPED_TEST_P(log_conformance, gives_equal_claims_to_the_first) {
  auto epoch = this->claim();
  auto own = partition_stream(this->log().partition_name(0));
  auto head = this->log().head(own);
  ASSERT_TRUE(head && *head);
  auto make_claim = [&](std::uint64_t claimed, const char* node) {
    envelope e;
    e.stream = own;
    e.partition_key = own.value;
    e.type = full_type("partition.claimed", 1);
    e.workspace.value = system_workspace;
    e.time = this->clock_.now();
    e.data = "{\"epoch\":" + std::to_string(claimed) + ",\"node\":\"" + node + "\"}";
    return make_record(**head, e, claimed, false);
  };
  this->expect_refused({make_claim(epoch + 2, "x")}, verdict::wrong_epoch);
  this->expect_refused({make_claim(epoch, "x")}, verdict::wrong_epoch);
  this->expect_accepted({make_claim(epoch + 1, "first")});
  EXPECT_EQ(append_one(this->log(), {make_claim(epoch + 1, "second")}).outcome,
            append_outcome::rejected);
  EXPECT_EQ(this->log().partition_state(0).epoch, epoch + 1);
  EXPECT_EQ(this->stream(own.value).back()->event.data,
            "{\"epoch\":" + std::to_string(epoch + 1) + ",\"node\":\"first\"}");
}

// Goal: the first taker founds the partition, each taker gets the next epoch and the same ledger.
TYPED_TEST_P(log_conformance, is_taken_with_rising_epochs) {
  auto first = take_partition(this->log(), 0, "a", this->clock_, this->ids_);
  auto second = take_partition(this->log(), 0, "b", this->clock_, this->ids_);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->epoch, 1u);
  EXPECT_EQ(second->epoch, 2u);
  EXPECT_FALSE(first->ledger.empty());
  EXPECT_EQ(first->ledger, second->ledger);
  EXPECT_EQ(second->head.seq, 3u);
  auto state = this->log().partition_state(0);
  EXPECT_EQ(state.epoch, 2u);
  const auto count = this->log().partition_name(0).count;
  EXPECT_EQ(state.partition_count, count);
  auto own = this->stream(partition_stream(this->log().partition_name(0)).value);
  ASSERT_EQ(own.size(), 3u);
  EXPECT_EQ(own[0]->epoch, 0u);
  EXPECT_EQ(own[0]->event.data, "{\"partitions\":" + std::to_string(count)
                                    + ",\"partitioner\":\"murmur2\",\"ledger\":\"" + first->ledger
                                    + "\"}");
  EXPECT_EQ(own[2]->event.data, "{\"epoch\":2,\"node\":\"b\"}");
  EXPECT_EQ(own[2]->event.workspace.value, "system");
}

// Goal: a ledger that was founded with another number of partitions is not taken.
TYPED_TEST_P(log_conformance, is_not_taken_with_another_partition_count) {
  auto own = partition_stream(this->log().partition_name(0));
  stream_maker s{own.value, 0};
  s.attributes().type = full_type("partition.opened", 1);
  auto opened = s.next();
  opened->event.data = "{\"partitions\":7,\"partitioner\":\"murmur2\",\"ledger\":\"L\"}";
  seal(opened->event);
  this->expect_accepted({opened});
  auto taken = take_partition(this->log(), 0, "a", this->clock_, this->ids_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::wrong_partition_count);
  EXPECT_NE(taken.error().detail.find("7 partitions"), std::string::npos);
}

// Goal: a stream's partition key is the stream itself, in its first event and in later ones.
TYPED_TEST_P(log_conformance, refuses_another_partition_key) {
  stream_maker s{session_name(1), this->claim()};
  s.attributes().partition_key = session_name(2);
  this->expect_refused({s.peek()}, verdict::wrong_partition);
  s.attributes().partition_key = session_name(1);
  this->expect_accepted({s.next()});
  auto moved = s.next("2");
  moved->event.partition_key = session_name(2);
  seal(moved->event);
  this->expect_refused({moved}, verdict::wrong_partition);
}

// Goal: a run lives where its session lives, and only a run whose id follows from that session and
// its command.
TYPED_TEST_P(log_conformance, refuses_a_run_that_is_not_its_sessions) {
  auto epoch = this->claim();
  auto run = derive_run_id(session_id{session_name(1)}, command_id{"cmd_A"}).value;
  stream_maker s{run, epoch};
  s.attributes().partition_key = session_name(2);
  s.attributes().causation_id = "cmd_A";
  this->expect_refused({s.peek()}, verdict::wrong_partition);
  s.attributes().partition_key = session_name(1);
  s.attributes().causation_id = "cmd_B";
  this->expect_refused({s.peek()}, verdict::wrong_partition);
  s.attributes().causation_id = "cmd_A";
  this->expect_accepted({s.next()});
  s.attributes().causation_id = "cmd_C"; // Later events have causes of their own.
  this->expect_accepted({s.next()});
}

// Goal: an event that follows another history than the accepted one is refused.
TYPED_TEST_P(log_conformance, refuses_a_broken_chain) {
  stream_maker s{session_name(1), this->claim()};
  auto first = s.next();
  first->event.prevhash = sha256("x");
  seal(first->event);
  this->expect_refused({first}, verdict::broken_chain);
  stream_maker t{session_name(1), this->log().partition_state(0).epoch};
  this->expect_accepted({t.next()});
  t.head().hash = sha256("y");
  this->expect_refused({t.next()}, verdict::broken_chain);
}

// Goal: contents that do not match their hashes are refused.
TYPED_TEST_P(log_conformance, refuses_wrong_hashes) {
  stream_maker s{session_name(1), this->claim()};
  auto data = s.peek();
  data->event.data += ' ';
  this->expect_refused({data}, verdict::bad_hash);
  auto header = s.peek();
  header->event.principal = "key_02";
  this->expect_refused({header}, verdict::bad_hash);
  auto hash = s.peek();
  hash->event.eventhash.bytes[31] ^= 1;
  this->expect_refused({hash}, verdict::bad_hash);
  this->expect_accepted({s.next()});
}

// Goal: in a group each request stands for itself, except after a refused one on the same stream.
TYPED_TEST_P(log_conformance, refuses_one_request_of_a_group) {
  auto epoch = this->claim();
  stream_maker a{session_name(1), epoch}, b{session_name(2), epoch}, c{session_name(3), epoch};
  auto old = b;
  old.epoch(epoch - 1);
  auto refused = old.next("9");
  old.epoch(epoch);
  auto after = old.next("10");
  auto results = append_group(
      this->log(), {{a.next()}, {refused}, {c.next("1"), c.next("2")}, {after}, {c.next("3")}});
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].outcome, append_outcome::accepted);
  EXPECT_EQ(results[1].outcome, append_outcome::rejected);
  EXPECT_EQ(results[1].why, verdict::wrong_epoch);
  EXPECT_EQ(results[2].outcome, append_outcome::accepted);
  EXPECT_EQ(results[3].outcome, append_outcome::rejected);
  EXPECT_EQ(results[3].why, verdict::gap);
  EXPECT_EQ(results[4].outcome, append_outcome::accepted);
  EXPECT_EQ(this->stream(session_name(1)).size(), 1u);
  EXPECT_TRUE(this->stream(session_name(2)).empty());
  EXPECT_EQ(this->stream(session_name(3)).size(), 3u);
  this->expect_accepted({b.next()});
}

// Goal: two different events for one place in one group: the first wins; the same one twice is one.
TYPED_TEST_P(log_conformance, decides_between_requests_of_one_group) {
  auto epoch = this->claim();
  stream_maker a{session_name(1), epoch};
  auto rival = a;
  auto first = a.next("1");
  auto results = append_group(
      this->log(), {{first}, {rival.next("2")}, {std::make_shared<record>(*first)}, {a.next("3")}});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].outcome, append_outcome::accepted);
  EXPECT_EQ(results[1].why, verdict::stale_seq);
  EXPECT_EQ(results[2].outcome, append_outcome::accepted);
  EXPECT_EQ(results[3].outcome, append_outcome::accepted);
  EXPECT_EQ(this->stream(session_name(1)).size(), 2u);
}

// Goal: of a refused request nothing is written, also if its first events were good.
TYPED_TEST_P(log_conformance, writes_nothing_of_a_refused_request) {
  auto epoch = this->claim();
  stream_maker a{session_name(1), epoch};
  this->expect_accepted({a.next("1", true, 5)});
  auto broken = a;
  auto good = broken.next("2", false), bad = broken.next("3");
  bad->event.prevhash = {};
  seal(bad->event);
  this->expect_refused({good, bad}, verdict::broken_chain);
  EXPECT_EQ(this->stream(session_name(1)).size(), 1u);
  EXPECT_EQ(this->unfinished().size(), 1u);
  this->expect_accepted({a.next("2")});
  EXPECT_EQ(this->stream(session_name(1)).size(), 2u);
}

// Goal: one request is one stream.
TYPED_TEST_P(log_conformance, refuses_two_streams_in_one_request) {
  auto epoch = this->claim();
  stream_maker a{session_name(1), epoch}, b{session_name(2), epoch};
  this->expect_refused({a.peek(), b.peek()}, verdict::wrong_partition);
  EXPECT_TRUE(this->stream(session_name(1)).empty());
}

// Goal: nothing to write is done without a word.
TYPED_TEST_P(log_conformance, takes_empty_groups_and_requests) {
  this->claim();
  auto end = this->end();
  auto told = std::make_shared<std::promise<bool>>();
  this->log().append({}, [told](const auto& results) { told->set_value(results.empty()); });
  auto answer = told->get_future();
  ASSERT_EQ(answer.wait_for(std::chrono::seconds{30}), std::future_status::ready);
  EXPECT_TRUE(answer.get());
  EXPECT_EQ(append_one(this->log(), {}).outcome, append_outcome::accepted);
  EXPECT_EQ(this->end(), end);
}

// Goal: the unfinished streams are those whose last event says so, by name, with its due time.
TYPED_TEST_P(log_conformance, lists_unfinished_work) {
  auto epoch = this->claim();
  auto due = [&] {
    std::map<std::string, std::optional<std::int64_t>> out;
    for (const auto& u : this->unfinished())
      out[u.stream.value] = u.due_ms;
    return out;
  };
  using expected = std::map<std::string, std::optional<std::int64_t>>;
  stream_maker a{session_name(1), epoch}, b{session_name(2), epoch}, c{session_name(3), epoch};
  EXPECT_EQ(due(), (expected{}));
  this->expect_accepted({a.next("1", true, 5)});
  this->expect_accepted({b.next("1", true)});
  this->expect_accepted({c.next("1", false, 7)}); // Not open: the due time does not count.
  EXPECT_EQ(due(), (expected{{session_name(1), 5}, {session_name(2), std::nullopt}}));
  this->expect_accepted({a.next("2", true, 9), a.next("3", true)});
  this->expect_accepted({b.next("2", true, 11)});
  EXPECT_EQ(due(), (expected{{session_name(1), std::nullopt}, {session_name(2), 11}}));
  this->expect_accepted({c.next("2", true), c.next("3", false)});
  this->expect_accepted({a.next("4", false)});
  EXPECT_EQ(due(), (expected{{session_name(2), 11}}));
  append_group(this->log(), {{a.next("5", true, 1)}, {b.next("3", false)}, {c.next("4", true, 2)}});
  EXPECT_EQ(due(), (expected{{session_name(1), 1}, {session_name(3), 2}}));
}

// Goal: the unfinished streams of a partition are read page by page.
TYPED_TEST_P(log_conformance, pages_unfinished_work) {
  auto epoch = this->claim();
  const auto names = this->neighbours(3);
  for (const auto& name : names)
    this->expect_accepted({stream_maker{name, epoch}.next("1", true)});
  const auto& log = this->log();
  EXPECT_EQ(log.unfinished(this->home(), {}, 1)->front().stream.value, names[0]);
  auto rest = log.unfinished(this->home(), stream_id{names[0]}, 10);
  ASSERT_EQ(rest->size(), 2u);
  EXPECT_EQ(rest->front().stream.value, names[1]);
  EXPECT_TRUE(log.unfinished(this->home(), stream_id{names[2]}, 10)->empty());
}

// Goal: the listener is called when the events can be read, and no more once it was taken away.
TYPED_TEST_P(log_conformance, tells_the_listener) {
  stream_maker a{session_name(1), this->claim()};
  std::atomic<int> calls{0};
  std::atomic<std::int64_t> seen{0};
  this->log().on_append([&] {
    ++calls;
    seen = this->log().end_offset(this->home());
  });
  this->expect_accepted({a.next()});
  EXPECT_GE(calls, 1);
  EXPECT_EQ(seen, this->log().end_offset(this->home()));
  this->log().on_append({});
  auto before = calls.load();
  this->expect_accepted({a.next()});
  EXPECT_EQ(calls, before);
}

// Goal: readers in other threads see a growing prefix while a writer appends.
TYPED_TEST_P(log_conformance, is_read_while_it_is_written) {
  constexpr int groups = 150, width = 8;
  auto epoch = this->claim();
  std::atomic<bool> writing{true};
  auto& log = this->log();
  const auto home = this->home();
  const auto names = this->neighbours(width);
  auto follow_end = [&](std::size_t step) {
    std::map<stream_id, std::uint64_t> last;
    std::int64_t at = 0;
    for (bool again = true; again;) {
      again = writing || at < log.end_offset(home);
      auto some = log.read_partition(home, at, step);
      ASSERT_TRUE(some);
      for (const auto& r : *some) {
        ASSERT_GE(r->offset, at);
        at = r->offset + 1;
        ASSERT_EQ(r->event.seq, ++last[r->event.stream]);
        ASSERT_TRUE(r->damage.empty());
      }
      auto stream = log.read_stream(stream_id{names[3]}, 1, 1000);
      ASSERT_TRUE(stream);
      for (std::size_t i = 0; i < stream->size(); ++i)
        ASSERT_EQ(stream->at(i)->event.seq, i + 1);
    }
    EXPECT_EQ(last[stream_id{names.back()}], groups);
  };
  std::thread one{follow_end, 7}, two{follow_end, 1000};
  std::vector<stream_maker> streams;
  for (const auto& name : names)
    streams.emplace_back(name, epoch);
  for (int i = 0; i < groups; ++i) {
    std::vector<records> group;
    for (auto& s : streams)
      group.push_back({s.next(std::to_string(i))});
    for (const auto& r : append_group(log, group))
      EXPECT_EQ(r.outcome, append_outcome::accepted) << r.detail;
  }
  writing = false;
  one.join();
  two.join();
}

// Goal: one read hands out about 8 MiB at most, and reading on gives the rest.
TYPED_TEST_P(log_conformance, bounds_a_read_by_bytes) {
  auto epoch = this->claim();
  stream_maker a{session_name(1), epoch};
  auto megabyte = '"' + std::string(1 << 20, 'x') + '"';
  for (int i = 0; i < 20; ++i)
    this->expect_accepted({a.next(megabyte)});
  auto some = this->log().read_partition(this->home(), 0, 1000);
  ASSERT_TRUE(some);
  EXPECT_GE(some->size(), 8u);
  EXPECT_LE(some->size(), 12u);
  EXPECT_EQ(read_all(this->log(), 1000, this->home()).size(), 22u);
}

// Goal: the fold, applied anew to what readers get, accepts all of it and ends in the same state.
TYPED_TEST_P(log_conformance, hands_out_only_what_the_fold_accepts) {
  for (int round = 1; round <= 3; ++round) {
    auto epoch = this->claim();
    for (std::uint64_t i = 0; i < 5; ++i) {
      stream_maker s{session_name(10 * static_cast<std::uint64_t>(round) + i), epoch};
      append_group(this->log(), {{s.next("1")}, {s.peek("1")}, {s.next("2")}, {s.next("3")}});
      s.epoch(epoch - 1);
      append_one(this->log(), {s.next("4")});
    }
  }
  std::map<stream_id, stream_head> heads;
  const auto count = this->log().partition_count();
  for (std::uint32_t p = 0; p < count; ++p) {
    auto state = head_of_empty(p, this->log().partition_name(p));
    for (const auto& r : read_all(this->log(), 1000, p)) {
      auto head = heads.find(r->event.stream);
      auto v = judge(state, head == heads.end() ? nullptr : &head->second, *r);
      ASSERT_EQ(v, verdict::accepted) << r->event.id() << ' ' << to_string(v);
      advance(state, heads[r->event.stream], *r);
    }
    EXPECT_EQ(state.epoch, this->log().partition_state(p).epoch);
  }
  EXPECT_EQ(heads.size(), 15u + count);
  for (const auto& [stream, head] : heads)
    EXPECT_EQ((*this->log().head(stream))->hash, head.hash);
}

// Goal: partitions are numbered in one row, those of a topic together, and bear one ledger's id.
TYPED_TEST_P(log_conformance, names_its_partitions) {
  this->claim();
  const auto& log = this->log();
  std::set<std::string> own, ledgers;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    const auto& name = log.partition_name(p);
    ASSERT_LT(name.number, name.count);
    if (name.number > 0) {
      EXPECT_EQ(log.partition_name(p - 1),
                (topic_partition{name.topic, name.number - 1, name.count}));
    }
    auto state = log.partition_state(p);
    EXPECT_EQ(state.partition, p);
    EXPECT_EQ(state.topic, name.topic);
    EXPECT_EQ(state.number, name.number);
    EXPECT_EQ(state.partition_count, name.count);
    own.insert(partition_stream(name).value);
    auto first = this->stream(partition_stream(name).value).front();
    EXPECT_EQ(first->partition, p);
    ledgers.insert(read_opened(first->event.data)->ledger);
  }
  EXPECT_EQ(own.size(), log.partition_count());
  EXPECT_EQ(ledgers.size(), 1u);
}

// Goal: whichever partition is taken first, the ledger has one id.
TYPED_TEST_P(log_conformance, is_one_ledger_from_whatever_partition) {
  const auto last = this->log().partition_count() - 1;
  auto a = take_partition(this->log(), last, "a", this->clock_, this->ids_);
  auto b = take_partition(this->log(), 0, "b", this->clock_, this->ids_);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->ledger, b->ledger);
  EXPECT_EQ(a->partition, last);
  EXPECT_EQ(a->epoch, 1u);
}

// Goal: each kind of stream stands in the partition that its topic and key give it, a run in its
// session's, and in no other.
TYPED_TEST_P(log_conformance, puts_a_stream_in_its_partition) {
  auto epoch = this->claim();
  const auto ulid = session_name(5).substr(5);
  for (const auto& name :
       {"sess_" + ulid, "wrk_" + ulid, "ag_" + ulid, "key_" + ulid, std::string{"ws/w"},
        std::string{"ws/w/names"}, std::string{"ws/w/audit"}, std::string{"ws/w/budget"},
        std::string{"queue/w/q"}, std::string{"node/n"}}) {
    auto r = stream_maker{name, epoch}.next();
    this->expect_accepted({r});
    EXPECT_EQ(r->partition, this->home_of(name)) << name;
    auto found = read_all(this->log(), 1000, this->home_of(name));
    EXPECT_TRUE(std::ranges::any_of(found, [&](const auto& f) {
      return f->event.stream.value == name;
    })) << name;
  }
  auto run = derive_run_id(session_id{session_name(1)}, command_id{"cmd_A"}).value;
  stream_maker s{run, epoch};
  s.attributes().partition_key = session_name(1);
  s.attributes().causation_id = "cmd_A";
  auto r = s.next();
  this->expect_accepted({r});
  EXPECT_EQ(r->partition, this->home());
}

// Goal: a partition's own stream belongs to it alone; one that no partition bears is refused.
TYPED_TEST_P(log_conformance, refuses_own_streams_of_no_partition) {
  auto epoch = this->claim();
  for (const char* name :
       {"part_ledger_77", "part_other_0", "part_runs_00", "part_runledger.runs_0"})
    this->expect_refused({stream_maker{name, epoch}.next()}, verdict::wrong_partition);
}

// Goal: a claim counts in its partition and in no other; unfinished work is told by partition.
TYPED_TEST_P(log_conformance, keeps_partitions_apart) {
  auto& log = this->log();
  auto epoch = this->claim();
  std::map<std::uint32_t, std::string> sessions; // One for each partition that holds any.
  for (std::uint64_t n = 1; n < 200; ++n)
    sessions.emplace(this->home_of(session_name(n)), session_name(n));
  for (const auto& [home, name] : sessions) {
    EXPECT_EQ(this->claim_one(home, "node-2"), epoch + 1);
    this->expect_refused({stream_maker{name, epoch}.next()}, verdict::wrong_epoch);
    this->expect_accepted({stream_maker{name, epoch + 1}.next("1", true, 7)});
    ASSERT_EQ(log.unfinished(home, {}, 10)->size(), 1u);
    EXPECT_EQ(log.unfinished(home, {}, 10)->front().stream.value, name);
  }
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    EXPECT_EQ(log.partition_state(p).epoch, sessions.contains(p) ? epoch + 1 : epoch);
    EXPECT_EQ(log.unfinished(p, {}, 10)->empty(), !sessions.contains(p));
  }
}

// Goal: where a copied event stood before is kept beside it, and beside no other.
TYPED_TEST_P(log_conformance, keeps_origins) {
  stream_maker s{session_name(1), this->claim()};
  auto here = s.next(), copied = s.next();
  copied->origin = "01ARZ3NDEKTSV4RRFFQ69G5FAV:part_ledger_0:41";
  this->expect_accepted({here, copied});
  for (const auto& events :
       {this->stream(session_name(1)), *this->log().read_partition(this->home(), 2, 10)}) {
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0]->origin, "");
    EXPECT_EQ(events[1]->origin, copied->origin);
  }
}

// Goal: behind the seal of a partition nothing is accepted, and who wants to take it is told where
// the ledger goes on; other partitions go on.
TYPED_TEST_P(log_conformance, ends_with_its_seal) {
  const auto epoch = this->claim();
  const auto home = this->home();
  const auto own = partition_stream(this->log().partition_name(home));
  auto fact = encode(partition_event{partition_sealed{"kafka:b/p", "L2", 0, sha256("")}});
  auto seal =
      make_record(**this->log().head(own),
                  own_attributes(own, fact.type, fact.data, this->clock_.now()), epoch, false);
  EXPECT_FALSE(*seal_of(this->log(), home));
  this->expect_accepted({seal});
  EXPECT_TRUE(this->log().partition_state(home).sealed);
  EXPECT_EQ((*seal_of(this->log(), home))->to, "kafka:b/p");
  stream_maker s{session_name(1), epoch};
  this->expect_refused({s.next()}, verdict::wrong_epoch);
  const auto taken = take_partition(this->log(), home, "node-2", this->clock_, this->ids_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::sealed);
  EXPECT_NE(taken.error().detail.find("goes on as L2 in kafka:b/p"), std::string::npos)
      << taken.error().detail;
  for (std::uint32_t p = 0; p < this->log().partition_count(); ++p)
    if (p != home) {
      EXPECT_EQ(this->claim_one(p), epoch + 1);
    }
}

REGISTER_TYPED_TEST_SUITE_P(log_conformance, gives_back_what_it_accepted, numbers_the_partition,
                            reads_a_stream_in_parts, knows_the_head, takes_a_repeat_as_done,
                            takes_a_repeat_after_a_new_claim, refuses_a_repeat_by_another_writer,
                            refuses_another_event_at_the_same_place, refuses_a_gap,
                            refuses_every_other_epoch, gives_equal_claims_to_the_first,
                            is_taken_with_rising_epochs, is_not_taken_with_another_partition_count,
                            refuses_another_partition_key, refuses_a_run_that_is_not_its_sessions,
                            refuses_a_broken_chain, refuses_wrong_hashes,
                            refuses_one_request_of_a_group, decides_between_requests_of_one_group,
                            writes_nothing_of_a_refused_request, refuses_two_streams_in_one_request,
                            takes_empty_groups_and_requests, lists_unfinished_work,
                            tells_the_listener, is_read_while_it_is_written, bounds_a_read_by_bytes,
                            hands_out_only_what_the_fold_accepts, pages_unfinished_work,
                            names_its_partitions, is_one_ledger_from_whatever_partition,
                            puts_a_stream_in_its_partition, refuses_own_streams_of_no_partition,
                            keeps_partitions_apart, keeps_origins, ends_with_its_seal);

} // namespace runledger::test
