#include "tests/integration/contract_world.hpp"

#include <filesystem>

/// What a recipe may mount, as it is when a run starts.
namespace runledger::contract {

namespace {

namespace fs = std::filesystem;

/// The recipe of the tests' agent with one more folder in its sandbox.
std::string recipe_with(const world& w, const std::string& source, bool pooled = false) {
  auto out = w.recipe({}, pooled);
  const std::string before = R"("mounts":[)";
  out.insert(out.find(before) + before.size(),
             R"({"source":)" + json_quoted(source) + R"(,"target":"/share","mode":"rw"},)");
  return out;
}

} // namespace

// Goal: where a mount leads is found out anew at the start of each process, and holds for it alone.
TEST(contract_sandbox, a_mount_that_was_turned_elsewhere_is_refused) {
  auto& w = shared_world();
  const std::string share = w.folder / "share", away = share + "-away";
  fs::create_directory(share);
  const auto slug = world::unique("mounting");
  w.make_agent(slug, recipe_with(w, share));
  EXPECT_EQ(w.finish("[]", slug)["status"], "succeeded");

  fs::rename(share, away);
  fs::create_directory_symlink("/", share);
  const auto refused = w.finish("[]", slug);
  EXPECT_EQ(refused["status"], "failed") << refused.body;
  EXPECT_EQ(refused["error.code"], "sandbox_refused") << refused.body;
  EXPECT_NE(refused["error.message"].find(share), std::string::npos) << refused.body;
  EXPECT_EQ(refused["attempt"], "1") << "no further attempt can help";

  fs::remove(share);
  fs::create_directory_symlink(away, share);
  EXPECT_EQ(w.finish("[]", slug)["status"], "succeeded") << "a link that stays below the root";
  fs::remove(share);
  fs::rename(away, share);
  EXPECT_EQ(w.finish("[]", slug)["status"], "succeeded") << "without a restart";
}

// Goal: the same in a pool, whose process is started once for many runs.
TEST(contract_sandbox, a_pool_is_refused_a_mount_like_anybody) {
  auto& w = shared_world();
  const std::string share = w.folder / "pooled-share";
  fs::create_directory_symlink("/", share);
  const auto slug = world::unique("mounting");
  w.make_agent(slug, recipe_with(w, share, true));
  EXPECT_EQ(w.finish("[]", slug)["error.code"], "sandbox_refused");
  fs::remove(share);
  fs::create_directory(share);
  EXPECT_EQ(w.finish("[]", slug)["status"], "succeeded");
}

// Goal: the ledger tells what a process was protected by also where that process never said a word.
TEST(contract_sandbox, layers_of_a_process_that_dies_at_once) {
  auto& w = shared_world();
  const auto slug = world::unique("mute");
  const auto agent = w.make_agent(
      slug, R"({"harness":{"kind":"process","command":["false"]},"retry":{"max_attempts":1}})");
  const auto started = w.events_of("worker.process_started"),
             ended = w.events_of("worker.process_ended");
  EXPECT_EQ(w.finish("[]", slug)["error.code"], "harness_exited");
  EXPECT_TRUE(eventually([&] {
    return w.events_of("worker.process_started") == started + 1
           && w.events_of("worker.process_ended") > ended;
  }));
  auto asking = w.client();
  bool seen = false;
  for (const auto& worker : json_elements(asking.get("/api/v1/workers").body))
    seen = seen || json_at(worker, "layers").find("namespaces") != std::string::npos;
  EXPECT_TRUE(seen);
}

} // namespace runledger::contract
