#include "events/tree_head.hpp"

#include "events/base64.hpp"
#include "events/codec.hpp"
#include "events/log/memory_log.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/vectors.hpp"

namespace runledger::test {

namespace {

const ed25519::private_key test_key = ed25519::private_key::from_seed(sha256("runledger test key"));

std::shared_ptr<record> some_head(std::size_t leaves = 7) {
  merkle::frontier tree;
  for (std::size_t i = 0; i < leaves; ++i)
    tree.add(sha256(std::to_string(i)));
  head_source from;
  from.ledger = "01KGBQ5V7ZC2Y3N4M5P6Q7R8S9";
  from.own = {2, sha256("claim"), "part_ledger_0", from_ms(1'700'000'000'000)};
  from.epoch = 1;
  from.node = "node-1";
  from.now = parse_rfc3339("2026-02-01T00:01:00.000Z").value();
  return make_tree_head(from, tree, 8, test_key);
}

// Goal: signed bytes and signature are those of the published vectors, which another implementation
// computed, and an auditor's line says the same as the event.
TEST(tree_head, matches_the_vectors) {
  auto vectors = event_vectors();
  auto given = *vectors.root().find("tree_heads");
  auto made = some_head();
  auto head = signed_head_of(made->event, "01KGBQ5V7ZC2Y3N4M5P6Q7R8S9");
  ASSERT_TRUE(head);
  EXPECT_EQ(signed_bytes(*head), given.find("signed_bytes")->string());
  auto line = head_from_line(given.find("head")->raw());
  ASSERT_TRUE(line);
  EXPECT_EQ(*line, *head);
  auto keys = ed25519::public_keys_from_pem(given.find("public_key")->string());
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_TRUE(is_signed_by(*head, keys->front()));
  EXPECT_EQ(keys->front(), test_key.public_part());
  EXPECT_EQ(keys->front().pem(), given.find("public_key")->string());
}

// Goal: whatever the signature covers cannot be changed.
TEST(tree_head, a_signature_covers_every_member) {
  const auto head = *signed_head_of(some_head()->event, "01KGBQ5V7ZC2Y3N4M5P6Q7R8S9");
  const auto& key = test_key.public_part();
  ASSERT_TRUE(is_signed_by(head, key));
  auto refused = [&](auto change) {
    auto changed = head;
    change(changed);
    return !is_signed_by(changed, key);
  };
  EXPECT_TRUE(refused([](auto& h) { h.ledger.back() = 'X'; }));
  EXPECT_TRUE(refused([](auto& h) { h.partition = "part_ledger_1"; }));
  EXPECT_TRUE(refused([](auto& h) { ++h.seq; }));
  EXPECT_TRUE(refused([](auto& h) { h.prevhash.bytes[0] ^= 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.time += std::chrono::milliseconds{1}; }));
  EXPECT_TRUE(refused([](auto& h) { ++h.tree_size; }));
  EXPECT_TRUE(refused([](auto& h) { h.root.bytes[31] ^= 1; }));
  EXPECT_TRUE(refused([](auto& h) { ++h.last_offset; }));
  EXPECT_TRUE(refused([](auto& h) { h.node = "node-2"; }));
  EXPECT_TRUE(refused([](auto& h) { h.key.bytes[1] ^= 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.signature[3] = h.signature[3] == 'A' ? 'B' : 'A'; }));
  EXPECT_TRUE(refused([](auto& h) { h.signature.clear(); }));
  auto stranger = ed25519::private_key::from_seed(sha256("another"));
  EXPECT_FALSE(is_signed_by(head, stranger.public_part()));
}

// Goal: an event's frontier gives back the tree, unless it does not fit size and root.
TEST(tree_head, a_frontier_continues_its_tree) {
  auto fact = std::get<tree_head>(*decode<partition_event>(some_head(11)->event));
  auto tree = tree_of(fact);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->size(), 11u);
  EXPECT_EQ(tree->root(), fact.root);
  auto bad = fact;
  bad.tree_size = 7;         // As many peaks.
  EXPECT_TRUE(tree_of(bad)); // Size alone is the signature's to protect...
  bad.tree_size = 8;
  EXPECT_FALSE(tree_of(bad));
  bad = fact;
  std::swap(bad.frontier[0], bad.frontier[1]); // ...the peaks are checked against the root.
  EXPECT_FALSE(tree_of(bad));
  bad.frontier[0] = "no hash";
  EXPECT_FALSE(tree_of(bad));
}

// Goal: a head is an event like others: chained, never before its predecessor, accepted by the
// fold.
TEST(tree_head, is_an_event_of_its_partition) {
  memory_log log;
  fixed_clock clock;
  counting_ids ids;
  auto claim = take_partition(log, 0, "node-1", clock, ids);
  ASSERT_TRUE(claim);
  merkle::frontier tree;
  tree.add(sha256("leaf"));
  head_source from{claim->ledger, claim->head, claim->epoch, "node-1", from_ms(0)};
  auto made = make_tree_head(from, tree, 2, test_key);
  EXPECT_EQ(made->event.time, claim->head.time);
  EXPECT_EQ(append_one(log, {made}).outcome, append_outcome::accepted);
}

// Goal: a line that is cut off or lacks something is told from a whole one.
TEST(tree_head, half_a_line_is_none) {
  auto line = to_line(*signed_head_of(some_head()->event, "01KGBQ5V7ZC2Y3N4M5P6Q7R8S9"));
  ASSERT_TRUE(head_from_line(line));
  for (std::size_t n = 0; n < line.size(); ++n)
    ASSERT_FALSE(head_from_line(line.substr(0, n))) << n;
  auto doc = json::parse(line);
  for (auto member : doc->root().children()) {
    auto without = line;
    auto name = '"' + std::string{member.name()} + '"';
    without.replace(without.find(name), name.size(), "\"x\"");
    EXPECT_FALSE(head_from_line(without)) << member.name();
  }
}

// Goal: keys keep their identity through PEM, and what is no Ed25519 key is refused.
TEST(ed25519_keys, go_through_pem) {
  auto made = ed25519::private_key::generate();
  auto again = ed25519::private_key::from_pem(made.pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_part(), made.public_part());
  EXPECT_NE(made.public_part(), ed25519::private_key::generate().public_part());
  auto both = "about the first\n" + made.public_part().pem() + test_key.public_part().pem();
  auto keys = ed25519::public_keys_from_pem(both);
  ASSERT_TRUE(keys);
  EXPECT_EQ(*keys, (std::vector{made.public_part(), test_key.public_part()}));
  EXPECT_FALSE(ed25519::public_keys_from_pem(""));
  EXPECT_FALSE(ed25519::public_keys_from_pem("no key"));
  auto torn = both.substr(0, both.size() - 40);
  EXPECT_FALSE(ed25519::public_keys_from_pem(torn));
  EXPECT_FALSE(ed25519::private_key::from_pem(made.public_part().pem()));
  EXPECT_FALSE(ed25519::public_key_from_der(made.public_part().der() + "x"));
}

// Goal: base64 is what RFC 4648 writes, and only that is read.
TEST(base64, is_read_as_it_is_written) {
  const std::pair<const char*, const char*> known[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (auto [bytes, text] : known) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  for (auto bad : {"Zg", "Zg=", "Zh==", "Zg==Zg==", "Z===", "====", " Zg=", "Zm9v\n", "Zm8*"})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

} // namespace

} // namespace runledger::test
