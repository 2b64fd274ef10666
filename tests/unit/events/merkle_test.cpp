#include "events/merkle.hpp"

#include "tests/support/seeds.hpp"
#include "tests/support/vectors.hpp"

namespace runledger::test {

namespace {

using namespace merkle;

/// RFC 6962, section 2.1, word for word.
digest naive_root(std::span<const digest> leaves) {
  if (leaves.empty())
    return sha256({});
  if (leaves.size() == 1)
    return leaf_hash(leaves[0]);
  std::size_t k = 1;
  while (2 * k < leaves.size())
    k *= 2;
  return node_hash(naive_root(leaves.first(k)), naive_root(leaves.subspan(k)));
}

std::vector<digest> some_leaves(std::size_t count) {
  std::vector<digest> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(sha256(std::to_string(i)));
  return out;
}

digest other(digest d) {
  d.bytes[7] ^= 1;
  return d;
}

// Goal: leaves, roots, peaks and paths are those of the published vectors, which another
// implementation computed.
TEST(merkle, matches_the_vectors) {
  auto vectors = event_vectors();
  auto given = *vectors.root().find("tree_heads");
  auto leaves = hashes(given, "leaves"), roots = hashes(given, "roots");
  ASSERT_EQ(leaves, some_leaves(7));
  frontier edge;
  tree whole;
  for (std::size_t n = 0; n <= leaves.size(); ++n) {
    EXPECT_EQ(edge.root(), roots[n]) << n;
    EXPECT_EQ(whole.root(n), roots[n]) << n;
    if (n < leaves.size()) {
      edge.add(leaves[n]);
      whole.add(leaves[n]);
    }
  }
  EXPECT_EQ(edge.peaks(), hashes(given, "frontier"));
  std::size_t i = 0;
  for (auto path : given.find("inclusion")->children()) {
    EXPECT_EQ(whole.inclusion(i, leaves.size()), hashes(path)) << i;
    EXPECT_TRUE(verify_inclusion(leaves[i], i, leaves.size(), hashes(path), roots.back())) << i;
    ++i;
  }
}

// Goal: the frontier, the whole tree and the RFC's own definition agree at every size, and a
// frontier goes on from its peaks alone.
TEST(merkle, agrees_with_the_definition_at_every_size) {
  auto leaves = some_leaves(300);
  frontier edge;
  tree whole;
  for (std::size_t n = 1; n <= leaves.size(); ++n) {
    edge.add(leaves[n - 1]);
    whole.add(leaves[n - 1]);
    auto root = naive_root(std::span{leaves}.first(n));
    ASSERT_EQ(edge.root(), root) << n;
    ASSERT_EQ(whole.root(n), root) << n;
    auto again = frontier::from(n, edge.peaks());
    ASSERT_TRUE(again);
    ASSERT_EQ(*again, edge);
    ASSERT_FALSE(frontier::from(n + (n % 2 == 0 ? 1 : 2), edge.peaks()) == edge);
  }
  EXPECT_EQ(whole.root(123), naive_root(std::span{leaves}.first(123)));
}

// Goal: every leaf of every tree has a path that proves it, and the same path proves nothing else:
// no other leaf, place, size or root, and not with a hash more, less or changed.
TEST(merkle, proves_inclusion_and_nothing_else) {
  auto leaves = some_leaves(33);
  tree whole;
  for (const auto& leaf : leaves)
    whole.add(leaf);
  for (std::size_t n = 1; n <= leaves.size(); ++n)
    for (std::size_t i = 0; i < n; ++i) {
      auto path = whole.inclusion(i, n);
      auto root = whole.root(n);
      ASSERT_TRUE(verify_inclusion(leaves[i], i, n, path, root)) << i << " of " << n;
      ASSERT_FALSE(verify_inclusion(other(leaves[i]), i, n, path, root));
      ASSERT_FALSE(verify_inclusion(leaves[i], i, n, path, other(root)));
      ASSERT_FALSE(verify_inclusion(leaves[i], n, n, path, root));
      if (n > 1) {
        ASSERT_FALSE(verify_inclusion(leaves[i], i == 0 ? 1 : i - 1, n, path, root));
      }
      for (auto& hash : path) {
        hash = other(hash);
        ASSERT_FALSE(verify_inclusion(leaves[i], i, n, path, root));
        hash = other(hash);
      }
      path.push_back(root);
      ASSERT_FALSE(verify_inclusion(leaves[i], i, n, path, root));
      path.pop_back();
      if (!path.empty()) {
        path.pop_back();
        ASSERT_FALSE(verify_inclusion(leaves[i], i, n, path, root));
      }
    }
}

// Goal: an earlier tree is proved to be a prefix of a later one; a tree that is none is not.
TEST(merkle, proves_consistency_and_nothing_else) {
  auto leaves = some_leaves(40);
  tree whole, changed;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    whole.add(leaves[i]);
    changed.add(i == 0 ? other(leaves[i]) : leaves[i]);
  }
  for (std::size_t n = 1; n <= leaves.size(); ++n)
    for (std::size_t old = 1; old <= n; ++old) {
      auto path = whole.consistency(old, n);
      auto root = whole.root(n), before = whole.root(old);
      ASSERT_TRUE(verify_consistency(old, before, n, root, path)) << old << " of " << n;
      ASSERT_FALSE(verify_consistency(old, changed.root(old), n, root, path));
      ASSERT_FALSE(verify_consistency(old, before, n, changed.root(n), path));
      ASSERT_FALSE(verify_consistency(old, changed.root(old), n, changed.root(n), path) && old < n
                   && changed.consistency(old, n) != path);
      for (auto& hash : path) {
        hash = other(hash);
        ASSERT_FALSE(verify_consistency(old, before, n, root, path));
        hash = other(hash);
      }
      path.push_back(root);
      ASSERT_FALSE(verify_consistency(old, before, n, root, path));
    }
  EXPECT_TRUE(verify_consistency(0, sha256({}), 40, whole.root(40), {}));
  EXPECT_FALSE(verify_consistency(41, whole.root(40), 40, whole.root(40), {}));
}

} // namespace

} // namespace runledger::test
