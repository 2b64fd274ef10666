#include "http/worker_session.hpp"

#include "events/log/file_blob_store.hpp"
#include "events/log/memory_log.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace runledger::http {
namespace {

/// Keeps what it was told.
struct noted_carrier final : message_carrier {
  void send(std::string message) override { said.push_back(std::move(message)); }
  void close(std::string reason) override { closed = std::move(reason); }
  void go_on() override {}
  std::size_t unsent() const override { return 0; }
  std::vector<std::string> said;
  std::string closed;
};

struct worker_session_rules : ::testing::Test {
  worker_session_rules() { session->carried_by(carrier); }

  test::temp_folder folder;
  memory_log log;
  std::unique_ptr<file_blob_store> blobs = std::move(*file_blob_store::open(folder / "blobs"));
  views::view_runner views{log, {.path = folder / "views.db"}};
  net::io_context io{1};
  test::hand_clock clock;
  key_ring keys{clock};
  url_signer signer{std::string(64, 's')};
  route_context context{io, log, *blobs, views, clock, keys, signer, folder.path()};
  noted_carrier carrier;
  std::shared_ptr<worker_session> session =
      std::make_shared<worker_session>(context, request_context{});
};

constexpr std::string_view any_message = R"({"type":"worker.slots","slots":1})";

// Goal: a key that was revoked while its connection lives is refused by name, so that the worker
// does not come again.
TEST_F(worker_session_rules, a_revoked_key_is_refused) {
  bool allowed = true;
  session->allowed_while([&] { return allowed; });
  EXPECT_TRUE(session->take(any_message));
  allowed = false;
  EXPECT_FALSE(session->take(any_message));
  ASSERT_EQ(carrier.said.size(), 1u);
  EXPECT_NE(carrier.said[0].find(R"("unauthorized")"), std::string::npos) << carrier.said[0];
  EXPECT_EQ(carrier.closed, "unauthorized");
}

// Goal: where nobody can tell which keys were revoked nothing more is taken from a worker, whatever
// its key seems to be; it is not refused, for it may come again.
TEST_F(worker_session_rules, without_knowledge_of_keys_nothing_is_taken) {
  bool served = true, asked = false;
  session->served_while([&] { return served; });
  session->allowed_while([&] { return asked = true; });
  EXPECT_TRUE(session->take(any_message));
  EXPECT_EQ(carrier.closed, "");
  served = asked = false;
  EXPECT_FALSE(session->take(any_message));
  EXPECT_FALSE(asked);
  EXPECT_TRUE(carrier.said.empty());
  EXPECT_EQ(carrier.closed, "nobody can tell now which keys were revoked");
}

} // namespace
} // namespace runledger::http
