#include "events/fold.hpp"

#include "events/json.hpp"
#include "tests/support/log_writers.hpp"

#include <fstream>
#include <map>
#include <sstream>

namespace runledger::test {

namespace {

constexpr const char* own_stream = "part_ledger_0";

/// A reader of one partition: the fold with its memory.
struct reader {
  partition_head state;
  std::map<stream_id, stream_head> heads;
  std::vector<const record*> accepted;

  const stream_head* head(const record& r) const {
    auto at = heads.find(r.event.stream);
    return at == heads.end() ? nullptr : &at->second;
  }
  verdict look(const record& r) const { return judge(state, head(r), r); }
  verdict read(const record& r) {
    auto v = look(r);
    if (v == verdict::accepted) {
      advance(state, heads[r.event.stream], r);
      accepted.push_back(&r);
    }
    return v;
  }
};

std::shared_ptr<record> own_event(const stream_head& head, const char* type, std::string data,
                                  std::uint64_t epoch, const char* stream = own_stream) {
  envelope e;
  e.stream.value = e.partition_key = stream;
  e.type = full_type(type, 1);
  e.workspace.value = system_workspace;
  e.time = from_ms(1'700'000'000'000);
  e.data = std::move(data);
  return make_record(head, std::move(e), epoch, false);
}

std::shared_ptr<record> opened(const stream_head& head = {}, std::uint32_t partitions = 1) {
  return own_event(head, "partition.opened",
                   "{\"partitions\":" + std::to_string(partitions)
                       + ",\"partitioner\":\"murmur2\",\"ledger\":\"L\"}",
                   0);
}

std::shared_ptr<record> claim(const stream_head& head, std::uint64_t epoch,
                              const char* node = "a") {
  return own_event(head, "partition.claimed",
                   "{\"epoch\":" + std::to_string(epoch) + ",\"node\":\"" + node + "\"}", epoch);
}

class fold_test : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_EQ(reader_.read(*opened_), verdict::accepted);
    claim_ = claim(own_head(), 1);
    ASSERT_EQ(reader_.read(*claim_), verdict::accepted);
  }
  stream_head own_head() const { return reader_.heads.at(stream_id{own_stream}); }

  reader reader_;
  std::shared_ptr<record> opened_ = opened(), claim_;
  stream_maker session_{session_name(1), 1};
};

std::string read_text(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

} // namespace

// Goal: a stream grows event by event, and every accepted event moves its head.
TEST_F(fold_test, accepts_a_stream) {
  for (int i = 1; i <= 3; ++i) {
    auto r = session_.next(std::to_string(i));
    EXPECT_EQ(reader_.read(*r), verdict::accepted);
    const auto& head = reader_.heads.at(r->event.stream);
    EXPECT_EQ(head.seq, static_cast<std::uint64_t>(i));
    EXPECT_EQ(head.hash, r->event.eventhash);
    EXPECT_EQ(head.partition_key, session_name(1));
  }
  EXPECT_EQ(reader_.state.epoch, 1u);
  EXPECT_EQ(reader_.state.partition_count, 1u);
}

// Rule 1. Goal: the head again is a repeat, another event in its place a conflict, an earlier place
// stale.
TEST_F(fold_test, tells_repeats_from_conflicts) {
  auto first = session_.next("1");
  auto rival = session_;
  auto second = session_.next("2");
  EXPECT_EQ(reader_.read(*first), verdict::accepted);
  EXPECT_EQ(reader_.read(*first), verdict::duplicate);
  EXPECT_EQ(reader_.read(*second), verdict::accepted);
  EXPECT_EQ(reader_.read(*second), verdict::duplicate);
  EXPECT_EQ(reader_.read(*rival.next("9")), verdict::stale_seq);
  EXPECT_EQ(reader_.read(*first), verdict::stale_seq);
  EXPECT_EQ(reader_.heads.at(first->event.stream).hash, second->event.eventhash);
}

// Rule 1. Goal: a repeat is one also when a copy restamped its place and epoch, and not when its
// contents were changed under its hash.
TEST_F(fold_test, knows_a_repeat_by_its_contents) {
  auto first = session_.next("1");
  EXPECT_EQ(reader_.read(*first), verdict::accepted);
  auto copy = *first;
  copy.epoch = 0;
  copy.offset = 99;
  copy.open = true;
  EXPECT_EQ(reader_.look(copy), verdict::duplicate);
  copy.event.data += ' ';
  EXPECT_EQ(reader_.look(copy), verdict::bad_hash);
}

// Rule 1. Goal: seq 0 is no place, and neither is one that leaves others out.
TEST_F(fold_test, refuses_places_that_do_not_follow) {
  auto zero = session_.peek();
  zero->event.seq = 0;
  seal(zero->event);
  EXPECT_EQ(reader_.look(*zero), verdict::stale_seq);
  session_.next();
  EXPECT_EQ(reader_.look(*session_.next()), verdict::gap);
  auto far = session_.peek();
  far->event.seq = UINT64_MAX;
  seal(far->event);
  EXPECT_EQ(reader_.look(*far), verdict::gap);
}

// Rule 1. Goal: the first event's partition key is the stream itself for every kind of stream but a
// run.
TEST_F(fold_test, refuses_a_foreign_partition_key) {
  for (std::string name : {session_name(1), std::string{"ws/default"}, std::string{"ag_1"},
                           std::string{"anything"}, std::string{"ws/default/names"}}) {
    stream_maker s{name, 1};
    EXPECT_EQ(reader_.look(*s.peek()), verdict::accepted) << name;
    s.attributes().partition_key = session_name(2);
    EXPECT_EQ(reader_.look(*s.peek()), verdict::wrong_partition) << name;
    s.attributes().partition_key.clear();
    EXPECT_EQ(reader_.look(*s.peek()), verdict::wrong_partition) << name;
  }
}

// Rule 1. Goal: a run's key is the session from which, with its cause, its id follows.
TEST_F(fold_test, checks_that_a_run_is_its_sessions) {
  auto id = derive_run_id(session_id{session_name(1)}, command_id{"cmd_A"}).value;
  auto judged = [&](const std::string& key, const std::string& cause) {
    stream_maker s{id, 1};
    s.attributes().partition_key = key;
    s.attributes().causation_id = cause;
    return reader_.look(*s.peek());
  };
  EXPECT_EQ(judged(session_name(1), "cmd_A"), verdict::accepted);
  EXPECT_EQ(judged(session_name(2), "cmd_A"), verdict::wrong_partition);
  EXPECT_EQ(judged(session_name(1), "cmd_B"), verdict::wrong_partition);
  EXPECT_EQ(judged(id, "cmd_A"), verdict::wrong_partition);
  EXPECT_EQ(judged("", ""), verdict::wrong_partition);
}

// Rule 1. Goal: later events carry the first one's key; their cause is their own.
TEST_F(fold_test, keeps_the_partition_key) {
  reader_.read(*session_.next());
  session_.attributes().causation_id = "other";
  EXPECT_EQ(reader_.read(*session_.next()), verdict::accepted);
  auto moved = session_.peek();
  moved->event.partition_key = session_name(2);
  seal(moved->event);
  EXPECT_EQ(reader_.look(*moved), verdict::wrong_partition);
}

// Rule 1. Goal: a stream is accepted in the partition that its key maps to and in no other.
TEST(fold_partitions, accept_a_stream_in_one_of_them) {
  constexpr std::uint32_t count = 5;
  for (std::uint64_t n = 0; n < 50; ++n) {
    stream_maker s{session_name(n), 3};
    auto r = s.peek();
    int accepted = 0;
    for (std::uint32_t p = 0; p < count; ++p) {
      auto state = head_of_empty(p, {"ledger", p, count});
      state.partition_count = count;
      state.epoch = 3;
      r->partition = p;
      auto v = judge(state, nullptr, *r);
      if (v == verdict::accepted) {
        ++accepted;
        EXPECT_EQ(p, partition_for(session_name(n), count));
      } else {
        EXPECT_EQ(v, verdict::wrong_partition);
      }
      r->partition = (p + 1) % count; // Stamped with another partition than it was read from.
      EXPECT_EQ(judge(state, nullptr, *r), verdict::wrong_partition);
    }
    EXPECT_EQ(accepted, 1);
  }
}

// Rule 1. Goal: a stream is accepted in its topic and in no other, at its beginning and later.
TEST(fold_topics, accept_their_streams) {
  const auto ulid = session_name(1).substr(5);
  const std::map<std::string, std::string> homes{
      {"sess_" + ulid, "runs"},        {"wrk_" + ulid, "workers"},   {"queue/w/q", "workers"},
      {"ag_" + ulid, "catalog"},       {"key_" + ulid, "catalog"},   {"ws/w", "catalog"},
      {"ws/w/names", "catalog"},       {"ws/w/audit", "catalog"},    {"node/n", "catalog"},
      {"ws/w/executor", "workspaces"}, {"ws/w/budget", "workspaces"}};
  for (const auto& [name, home] : homes)
    for (const char* topic : {"ledger", "runs", "workers", "workspaces", "catalog"}) {
      auto state = head_of_empty(7, {topic, 0, 1});
      state.partition_count = 1;
      stream_maker s{name, 0};
      auto first = s.next();
      auto second = s.next();
      first->partition = second->partition = 7;
      stream_head head;
      follow(head, *first);
      auto expected = home == topic || topic == std::string{"ledger"} ? verdict::accepted
                                                                      : verdict::wrong_partition;
      EXPECT_EQ(judge(state, nullptr, *first), expected) << name << " in " << topic;
      EXPECT_EQ(judge(state, &head, *second), expected) << name << " in " << topic;
    }
}

// Rule 1. Goal: a stream's flat partition is its place in its topic behind the topics before it.
TEST(partition_of, counts_over_all_topics) {
  const auto names = name_partitions({{"runs", 3}, {"workers", 2}, {"catalog", 4}});
  ASSERT_EQ(names.size(), 9u);
  EXPECT_EQ(names[4], (topic_partition{"workers", 1, 2}));
  for (std::uint64_t n = 0; n < 20; ++n) {
    const auto key = session_name(n);
    EXPECT_EQ(partition_of(stream_id{key}, key, names), partition_for(key, 3));
    EXPECT_EQ(partition_of(stream_id{"run_x"}, key, names), partition_for(key, 3));
    EXPECT_EQ(partition_of(stream_id{"wrk_x"}, key, names), 3 + partition_for(key, 2));
    EXPECT_EQ(partition_of(stream_id{"ag_x"}, key, names), 5 + partition_for(key, 4));
  }
  EXPECT_EQ(partition_of(stream_id{"part_catalog_2"}, "", names), 7u);
  EXPECT_EQ(partition_of(stream_id{"part_catalog_4"}, "", names), std::nullopt);
  EXPECT_EQ(partition_of(stream_id{"ws/w/budget"}, "ws/w/budget", names), std::nullopt);
}

// Rule 1. Goal: keys are spread as by Kafka's own clients (the figures of its UtilsTest).
TEST(partition_for, agrees_with_kafka) {
  struct known {
    const char* key;
    std::int32_t hash;
  };
  for (auto k : {known{"21", -973932308}, known{"foobar", -790332482},
                 known{"a-little-bit-long-string", -985981536},
                 known{"a-little-bit-longer-string", -1486304829},
                 known{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 known{"abc", 479470107}}) {
    auto positive = static_cast<std::uint32_t>(k.hash) & 0x7fffffff;
    EXPECT_EQ(partition_for(k.key, 0x80000000), positive) << k.key;
    EXPECT_EQ(partition_for(k.key, 12), positive % 12) << k.key;
  }
  EXPECT_EQ(partition_for("anything", 1), 0u);
  EXPECT_EQ(partition_for("anything", 0), 0u);
}

// Rule 2. Goal: an event follows the last accepted hash, the first one 64 zeros.
TEST_F(fold_test, refuses_a_broken_chain) {
  auto first = session_.peek();
  first->event.prevhash = first->event.eventhash;
  seal(first->event);
  EXPECT_EQ(reader_.look(*first), verdict::broken_chain);
  reader_.read(*session_.next("1"));
  for (auto wrong : {digest{}, sha256("x")}) {
    auto second = session_.peek("2");
    second->event.prevhash = wrong;
    seal(second->event);
    EXPECT_EQ(reader_.look(*second), verdict::broken_chain);
  }
}

// Rule 2. Goal: every attribute that the hash covers is covered: changing any of them is noticed,
// and what is not hashed can be restamped.
TEST_F(fold_test, hashes_every_attribute) {
  using change = void (*)(envelope&);
  const change changes[] = {
      [](envelope& e) { e.type += '2'; },
      [](envelope& e) { e.workspace.value = "other"; },
      [](envelope& e) { e.time += std::chrono::milliseconds{1}; },
      [](envelope& e) { e.causation_id.clear(); },
      [](envelope& e) { e.correlation_id += ' '; },
      [](envelope& e) { e.principal = "system"; },
      [](envelope& e) { e.traceparent.clear(); },
      [](envelope& e) { e.data += '\n'; },
      [](envelope& e) { e.datahash.bytes[0] ^= 1; },
      [](envelope& e) { e.eventhash.bytes[31] ^= 128; },
      // Two attributes whose values run together alike.
      [](envelope& e) { std::swap(e.causation_id, e.correlation_id); },
      // Data that was exchanged together with its own hash, but not the header's.
      [](envelope& e) { e.datahash = sha256(e.data = "{}"); },
  };
  for (auto apply : changes) {
    auto r = session_.peek();
    EXPECT_EQ(reader_.look(*r), verdict::accepted);
    apply(r->event);
    EXPECT_EQ(reader_.look(*r), verdict::bad_hash);
  }
  auto r = session_.peek();
  r->offset = 77;
  r->open = true;
  r->due_ms = 1;
  EXPECT_EQ(reader_.look(*r), verdict::accepted);
}

// Rule 2. Goal: a node skips the hashes of its own events and nothing else.
TEST_F(fold_test, judges_its_own_events_alike_but_for_hashes) {
  auto bad = session_.peek();
  bad->event.data += ' ';
  EXPECT_EQ(judge_own(reader_.state, nullptr, *bad), verdict::accepted);
  EXPECT_EQ(judge(reader_.state, nullptr, *bad), verdict::bad_hash);
  bad->epoch = 2;
  EXPECT_EQ(judge_own(reader_.state, nullptr, *bad), verdict::wrong_epoch);
}

// Rule 3. Goal: the writer's epoch equals the current one; lower and higher ones are refused.
TEST_F(fold_test, refuses_every_other_epoch) {
  reader_.read(*claim(own_head(), 2));
  for (std::uint64_t epoch : {0, 1, 3, 4}) {
    session_.epoch(epoch);
    EXPECT_EQ(reader_.look(*session_.peek()), verdict::wrong_epoch) << epoch;
  }
  session_.epoch(2);
  EXPECT_EQ(reader_.look(*session_.peek()), verdict::accepted);
}

// Rule 3. Goal: a claim is the current epoch + 1 in its hashed data and beside it; of equal claims
// the first wins.
TEST_F(fold_test, takes_the_next_claim_only) {
  for (std::uint64_t epoch : {0, 1, 3, 4})
    EXPECT_EQ(reader_.look(*claim(own_head(), epoch)), verdict::wrong_epoch) << epoch;
  auto lying = claim(own_head(), 2);
  lying->epoch = 1;
  EXPECT_EQ(reader_.look(*lying), verdict::wrong_epoch);
  auto wordless = own_event(own_head(), "partition.claimed", "{}", 2);
  EXPECT_EQ(reader_.look(*wordless), verdict::wrong_epoch);
  auto first = claim(own_head(), 2, "a"), second = claim(own_head(), 2, "b");
  EXPECT_EQ(reader_.read(*first), verdict::accepted);
  EXPECT_NE(reader_.read(*second), verdict::accepted);
  EXPECT_EQ(reader_.read(*first), verdict::duplicate);
  EXPECT_EQ(reader_.state.epoch, 2u);
}

// Rule 3. Goal: a partition is founded once, at the beginning of its own stream, and only then
// claimed.
TEST(fold_founding, happens_once_and_first) {
  reader r;
  EXPECT_EQ(r.read(*claim({}, 1)), verdict::wrong_epoch);
  auto late = opened();
  late->epoch = 1;
  EXPECT_EQ(r.read(*late), verdict::wrong_epoch);
  auto first = opened({}, 1);
  ASSERT_EQ(r.read(*first), verdict::accepted);
  EXPECT_EQ(r.read(*first), verdict::duplicate);
  EXPECT_EQ(r.look(*opened(r.heads.at(stream_id{own_stream}), 7)), verdict::wrong_epoch);
  EXPECT_EQ(r.look(*opened({}, 7)), verdict::wrong_epoch);
  EXPECT_EQ(r.state.partition_count, 1u);
  auto taken = claim(r.heads.at(stream_id{own_stream}), 1);
  EXPECT_EQ(r.read(*taken), verdict::accepted);
}

// Rule 3. Goal: only the partition's own stream governs it: neither a claim in another stream nor
// another partition's stream counts.
TEST_F(fold_test, is_governed_by_its_own_stream_alone) {
  for (const char* stream : {"sess_01HF7YAT000000000000000000", "part_ledger_1", "part_ledger_00",
                             "part_ledger_", "part_ledger_10", "part_runs_0"}) {
    auto intruder = own_event({}, "partition.claimed", "{\"epoch\":2,\"node\":\"x\"}", 2, stream);
    EXPECT_EQ(reader_.look(*intruder), verdict::wrong_partition) << stream;
  }
  auto founding = own_event({}, "partition.opened", "{\"partitions\":7}", 0, "part_ledger_1");
  EXPECT_NE(reader_.look(*founding), verdict::accepted);
  auto other = own_event({}, "partition.sealed", "{}", 1, "part_ledger_1");
  EXPECT_EQ(reader_.look(*other), verdict::wrong_partition);
}

// Rule 4. Goal: for every sequence of up to five records out of a small hostile set the fold agrees
// with a slow reading of the rules, its accepted part folds to itself, and a repeat changes
// nothing.
class fold_exhaustive : public testing::Test {
protected:
  void SetUp() override {
    reader base;
    pool_.push_back(opened());
    base.read(*pool_[0]);
    auto own = base.heads.at(stream_id{own_stream});
    pool_.push_back(claim(own, 1, "a"));
    auto rival = claim(own, 1, "b");
    stream_head after = own;
    follow(after, *pool_[1]);
    pool_.push_back(claim(after, 2, "b"));
    pool_.push_back(rival);
    stream_maker s{session_name(1), 1};
    auto zombie = s;
    pool_.push_back(s.next("1"));
    pool_.push_back(s.peek("2"));
    s.epoch(2);
    pool_.push_back(s.peek("3"));
    zombie.epoch(2);
    pool_.push_back(zombie.next("4"));
  }

  /// The rules as they stand in the text, from the whole history each time.
  static bool acceptable(const std::vector<const record*>& history, const record& r) {
    std::uint64_t epoch = 0, last_seq = 0;
    bool founded = false;
    digest last_hash;
    for (const auto* h : history) {
      founded = founded || h->event.type.find("opened") != std::string::npos;
      if (h->event.type.find("claimed") != std::string::npos)
        ++epoch;
      if (h->event.stream == r.event.stream) {
        last_seq = h->event.seq;
        last_hash = h->event.eventhash;
      }
    }
    if (r.event.seq != last_seq + 1 || r.event.prevhash != last_hash)
      return false;
    if (r.event.type.find("opened") != std::string::npos)
      return !founded;
    if (r.event.type.find("claimed") != std::string::npos)
      return founded && r.epoch == epoch + 1;
    return r.epoch == epoch;
  }

  void check(const std::vector<std::size_t>& sequence) {
    reader all;
    for (auto i : sequence) {
      const auto& r = *pool_[i];
      bool expected = acceptable(all.accepted, r);
      auto v = all.read(r);
      ASSERT_EQ(v == verdict::accepted, expected) << to_string(v) << " for record " << i;
      ASSERT_NE(all.look(r), verdict::accepted);
    }
    reader again;
    for (const auto* r : all.accepted)
      ASSERT_EQ(again.read(*r), verdict::accepted);
    ASSERT_EQ(again.state.epoch, all.state.epoch);
    for (const auto& [stream, head] : all.heads)
      ASSERT_EQ(again.heads.at(stream).hash, head.hash);
  }

  void extend(std::vector<std::size_t>& sequence, std::size_t length) {
    check(sequence);
    if (sequence.size() == length || HasFatalFailure())
      return;
    for (std::size_t i = 0; i < pool_.size(); ++i) {
      sequence.push_back(i);
      extend(sequence, length);
      sequence.pop_back();
    }
  }

  std::vector<std::shared_ptr<record>> pool_;
};
TEST_F(fold_exhaustive, agrees_with_the_rules_on_all_short_histories) {
  std::vector<std::size_t> sequence;
  extend(sequence, 5);
}
TEST_F(fold_exhaustive, agrees_with_the_rules_once_the_partition_is_taken) {
  std::vector<std::size_t> sequence{0, 1};
  extend(sequence, 6);
}

// Rule 7. Goal: an event's time is raised to its predecessor's when it is made; the fold does not
// ask.
TEST_F(fold_test, leaves_time_to_the_writer) {
  reader_.read(*session_.next());
  auto first = session_.head().time;
  session_.attributes().time -= std::chrono::hours{1};
  auto second = session_.next();
  EXPECT_EQ(second->event.time, first);
  second->event.time -= std::chrono::hours{2};
  seal(second->event);
  EXPECT_EQ(reader_.look(*second), verdict::accepted);
}

// Goal: the hashes are those of the published vectors, which another implementation computed.
TEST(envelope_vectors, match) {
  auto text = read_text(RUNLEDGER_SOURCE_DIR "/docs/events-vectors.json");
  auto doc = json::parse(text);
  ASSERT_TRUE(doc);
  auto vectors = doc->root().find("vectors");
  ASSERT_TRUE(vectors);
  ASSERT_EQ(vectors->size(), 3u);
  for (auto v : vectors->children()) {
    auto given = *v.find("envelope");
    auto get = [&](const char* name) { return std::string{given.find(name)->string()}; };
    envelope e;
    e.stream.value = get("subject");
    e.seq = std::stoull(get("sequence"));
    e.type = get("type");
    e.workspace.value = get("source").substr(std::strlen("/runledger/"));
    e.partition_key = get("partitionkey");
    e.time = parse_rfc3339(get("time")).value();
    e.causation_id = get("causationid");
    e.correlation_id = get("correlationid");
    e.principal = get("principal");
    e.traceparent = get("traceparent");
    e.data = v.find("data")->string();
    e.prevhash = digest_from_hex(get("prevhash")).value();
    seal(e);
    std::string header;
    append_canonical_header(header, e);
    EXPECT_EQ(header, v.find("canonical_header")->string());
    EXPECT_EQ(to_hex(e.datahash), get("datahash"));
    EXPECT_EQ(to_hex(e.eventhash), get("eventhash"));
    EXPECT_EQ(e.id(), get("id"));
  }
}

// Rule 1. Goal: `partition.sealed` ends its partition: neither the next claim nor an event of the
// current epoch is accepted behind it; it counts in the partition's own stream alone.
TEST_F(fold_test, accepts_nothing_behind_a_seal) {
  constexpr const char* data = "{\"to\":\"kafka:b/p\",\"ledger\":\"L2\",\"events\":0}";
  auto elsewhere = own_event({}, "partition.sealed", data, 1, "ws/default");
  EXPECT_EQ(reader_.look(*elsewhere), verdict::wrong_partition);
  EXPECT_EQ(reader_.look(*own_event(own_head(), "partition.sealed", data, 0)),
            verdict::wrong_epoch);
  auto seal = own_event(own_head(), "partition.sealed", data, 1);
  ASSERT_EQ(reader_.read(*seal), verdict::accepted);
  EXPECT_TRUE(reader_.state.sealed);
  EXPECT_EQ(reader_.look(*seal), verdict::duplicate);
  EXPECT_EQ(reader_.look(*claim(own_head(), 2)), verdict::wrong_epoch);
  EXPECT_EQ(reader_.look(*session_.next()), verdict::wrong_epoch);
  EXPECT_EQ(reader_.look(*own_event(own_head(), "partition.sealed", data, 1)),
            verdict::wrong_epoch);
}

} // namespace runledger::test
