#include "http/worker_session.hpp"

#include "tests/http/route_fixture.hpp"

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

class worker_session_rules : public route_fixture {
protected:
  worker_session_rules() { session->carried_by(carrier); }

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
