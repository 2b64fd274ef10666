#include "http/key_ring.hpp"

#include <gtest/gtest.h>
#include <set>

namespace runledger::http {
namespace {

struct test_clock final : wall_clock {
  timestamp time = from_ms(1'000'000);
  timestamp now() const override { return time; }
};

known_key key_of(const std::string& text, const char* id, std::uint8_t scopes = 1) {
  return {key_id{id}, workspace_id{"w"}, scopes, sha256(text), std::nullopt};
}

std::string who(key_ring& ring, const std::string& text) {
  const auto found = ring.authenticate("Bearer " + text, {});
  return found ? (*found)->key_id : found.error().detail;
}

// Goal: keys have the form that is documented, and a change of one character is told.
TEST(key_text, tells_typos) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto text = make_key_text();
    ASSERT_EQ(text.size(), 47u);
    ASSERT_TRUE(text.starts_with("rlk_"));
    ASSERT_EQ(
        text.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 4),
        std::string::npos);
    ASSERT_TRUE(is_key_text(text));
    ASSERT_TRUE(seen.insert(text).second);
    for (std::size_t at = 4; at < text.size(); ++at) {
      auto typo = text;
      typo[at] = typo[at] == 'x' ? 'y' : 'x';
      ASSERT_FALSE(is_key_text(typo)) << typo;
    }
  }
  EXPECT_FALSE(is_key_text("rlk_"));
}

// Goal: the checksum is the documented one (CRC-32 of the 37 characters, base 62, six digits).
TEST(key_text, has_the_documented_checksum) {
  const auto zeros = make_key_text([](unsigned char* to, std::size_t n) {
    std::fill(to, to + n, static_cast<unsigned char>(0));
  });
  // zlib.crc32(b"0" * 37) == 0xcc2719d4
  EXPECT_EQ(zeros, "rlk_" + std::string(37, '0') + "3jnQlY");
}

// Goal: before the keys are known nobody is told that a key is wrong.
TEST(key_ring, is_not_ready_at_first) {
  test_clock clock;
  key_ring ring{clock};
  EXPECT_EQ(ring.authenticate({}, "x").error().why, fault::not_ready);
  ring.open();
  EXPECT_EQ(ring.authenticate({}, "x").error().why, fault::unauthorized);
}

// Goal: a key opens from its creation to its revocation or its end, in either header field.
TEST(key_ring, opens_and_closes) {
  test_clock clock;
  key_ring ring{clock};
  ring.open();
  const auto text = make_key_text();
  auto key = key_of(text, "key_1", 2);
  key.expires_at = clock.time + std::chrono::seconds{10};
  EXPECT_EQ(who(ring, text), "The API key is not known.");
  ring.add(key);
  EXPECT_EQ(who(ring, text), "key_1");
  EXPECT_EQ((*ring.authenticate({}, text))->key_id, "key_1");
  EXPECT_TRUE(allows((*ring.authenticate({}, text))->scopes, scope::read));
  EXPECT_FALSE(allows((*ring.authenticate({}, text))->scopes, scope::admin));
  clock.time += std::chrono::seconds{10};
  EXPECT_EQ(who(ring, text), "The API key has expired.");
  clock.time -= std::chrono::seconds{1};
  ring.remove(key_id{"key_1"});
  EXPECT_EQ(who(ring, text), "The API key is not known.");
  auto typo = text;
  typo.back() = typo.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(who(ring, typo), "The API key is mistyped: its checksum is wrong.");
}

// Goal: a list that is older than an answer neither takes a new key away nor brings a revoked one
// back.
TEST(key_ring, loads_lists_that_may_be_old) {
  test_clock clock;
  key_ring ring{clock};
  ring.open();
  const auto old = key_of("old-key-old-key-", "key_1"),
             revoked = key_of("revoked-revoked-", "key_2");
  const auto as_of = ring.generation();
  const std::vector<known_key> list{old, revoked}; // Read now, loaded later.
  ring.add(key_of("new-key-new-key-", "key_3"));
  ring.remove(key_id{"key_2"});
  ring.load(list, as_of);
  EXPECT_EQ(who(ring, "old-key-old-key-"), "key_1");
  EXPECT_EQ(who(ring, "revoked-revoked-"), "The API key is not known.");
  EXPECT_EQ(who(ring, "new-key-new-key-"), "key_3");
  ring.load({}, ring.generation()); // Revoked by somebody whose answer was lost.
  EXPECT_EQ(who(ring, "old-key-old-key-"), "The API key is not known.");
}

// Goal: whether there is an admin key that opens is told by scope and time.
TEST(key_ring, has_admin) {
  test_clock clock;
  key_ring ring{clock};
  ring.add(key_of("reader-reader-re", "key_1", 1));
  EXPECT_FALSE(ring.has_admin());
  auto admin = key_of("admin-admin-admi", "key_2", 16);
  admin.expires_at = clock.time;
  ring.add(admin);
  EXPECT_FALSE(ring.has_admin());
  ring.add(key_of("admin-admin-adm2", "key_3", 16));
  EXPECT_TRUE(ring.has_admin());
}

} // namespace
} // namespace runledger::http
