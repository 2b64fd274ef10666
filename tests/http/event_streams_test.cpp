#include "http/routes/table.hpp"
#include "http/server.hpp"
#include "tests/http/edge_client.hpp"
#include "tests/http/route_fixture.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>
#include <random>
#include <thread>

namespace runledger::http {
namespace {

using edge_test::raw_client;

/// Lets everybody in who names a key.
struct open_door final : authenticator {
  result<principal_ptr, auth_refusal> authenticate(std::string_view, std::string_view) override {
    return std::make_shared<const principal>(principal{"key_1", "default", scope::admin});
  }
};

/// One event as it came over the wire.
struct sse_event {
  std::string id, type, data;
};

/// Reads an event stream; every wait ends after five seconds.
class sse_client {
public:
  sse_client(std::uint16_t port, const std::string& target, const std::string& last_id = {})
      : raw_(port) {
    raw_.send("GET " + target + " HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n"
              + (last_id.empty() ? "" : "Last-Event-ID: " + last_id + "\r\n") + "\r\n");
  }
  /// The head of the answer.
  std::string head() {
    while (wire_.find("\r\n\r\n") == wire_.npos)
      if (!fill())
        break;
    return wire_.substr(0, wire_.find("\r\n\r\n"));
  }
  /// The next event; nothing when the stream ended or nothing came for five seconds.
  std::optional<sse_event> next() {
    for (;;) {
      take_bytes();
      const auto end = text_.find("\n\n");
      if (end != text_.npos) {
        auto block = text_.substr(0, end);
        text_.erase(0, end + 2);
        if (auto event = parse(block))
          return event;
        continue;
      }
      if (!fill())
        return std::nullopt;
    }
  }
  void close() { raw_.close(); }

private:
  bool fill() {
    const auto bytes = raw_.more();
    wire_ += bytes;
    return !bytes.empty();
  }
  /// Moves what came over the wire into `text_`, without head and chunk framing.
  void take_bytes() {
    const auto& all = wire_;
    if (at_ == 0) {
      const auto end = all.find("\r\n\r\n");
      if (end == all.npos)
        return;
      at_ = end + 4;
    }
    for (;;) {
      const auto line = all.find("\r\n", at_);
      if (line == all.npos)
        return;
      const auto size = std::stoul(all.substr(at_, line - at_), nullptr, 16);
      if (all.size() < line + 2 + size + 2)
        return;
      text_ += all.substr(line + 2, size);
      at_ = line + 2 + size + 2;
      if (size == 0)
        return;
    }
  }
  static std::optional<sse_event> parse(const std::string& block) {
    sse_event out;
    bool data = false;
    for (std::size_t at = 0; at < block.size();) {
      const auto end = std::min(block.find('\n', at), block.size());
      const auto line = block.substr(at, end - at);
      if (line.starts_with("id: "))
        out.id = line.substr(4);
      else if (line.starts_with("event: "))
        out.type = line.substr(7);
      else if (line.starts_with("data: ")) {
        out.data = line.substr(6);
        data = true;
      }
      at = end + 1;
    }
    return data ? std::optional{out} : std::nullopt;
  }

  raw_client raw_;
  std::string wire_;   // Everything that came.
  std::size_t at_ = 0; // What was taken from it.
  std::string text_;
};

/// The real routes over a ledger in memory and its views; no engine behind them.
class event_streams : public route_fixture {
protected:
  void start(limits bounds = {}) {
    views.on_change([this](const views::change_set& what) {
      if (auto* hub = hub_.load())
        hub->changed(what);
    });
    views.start();
    std::promise<void> ready;
    views.when_ready([&] { ready.set_value(); });
    ready.get_future().get();
    context.reader = std::move(*views::view_reader::open(folder / "views.db", log, blobs.get()));
    context.queries = std::make_unique<query_pool>(folder / "views.db", log, *blobs, 2);
    context.streams = std::make_unique<sse_hub>(io, *context.queries);
    hub_ = context.streams.get();
    context.at = stage::serving;
    edge = std::make_unique<server>(io, bounds, route_table(), door, context);
    port = edge->listen("127.0.0.1", 0);
    thread = std::thread{[this] {
      auto guard = net::make_work_guard(io);
      io.run();
    }};
  }
  ~event_streams() override {
    if (!thread.joinable())
      return;
    net::post(io, [this] {
      edge.reset();
      io.stop();
    });
    thread.join();
    context.queries->stop();
    views.stop();
    hub_ = nullptr;
    io.restart();
    io.poll();
    context.streams.reset();
  }

  /// A session with a run that has begun. Items: user_message, run_status.
  std::pair<session_id, run_id> begin_session() {
    const auto session = facts.fresh_session();
    const auto run = facts.fresh_run(session);
    facts.write_session(session, facts.turn(run));
    run::started started;
    started.session = session;
    facts.write_run(session, run, started);
    return {session, run};
  }
  /// Adds an item `log` with `bytes` of text.
  void write_log(const session_id& session, const run_id& run, std::size_t bytes = 10) {
    run::logged line;
    line.level = "info";
    line.message = std::string(bytes, 'x');
    facts.write_run(session, run, line);
  }
  void end_run(const session_id& session, const run_id& run) {
    run::succeeded end;
    end.attempt = 1;
    facts.write_run(session, run, end);
  }
  std::string session_target(const session_id& s) {
    return "/api/v1/sessions/" + s.value + "/events";
  }
  std::string log_target(const run_id& r) { return "/api/v1/runs/" + r.value + "/log/events"; }

  std::size_t open_streams() {
    std::promise<std::size_t> count;
    net::post(io, [&] { count.set_value(context.streams->open_streams()); });
    return count.get_future().get();
  }
  bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until)
        return false;
      std::this_thread::yield();
    }
    return true;
  }

  test::history facts{log};
  open_door door;
  std::atomic<sse_hub*> hub_ = nullptr;
  std::unique_ptr<server> edge;
  std::uint16_t port = 0;
  std::thread thread;
};

// Goal: while items arrive, a client that comes and goes at any moment gets each once, in order.
TEST_F(event_streams, has_no_gap_and_no_duplicate_across_reconnects) {
  start();
  const auto [session, run] = begin_session();
  constexpr std::uint64_t items = 3000; // And three that every session here has.
  std::vector<std::future<std::vector<std::string>>> clients;
  for (unsigned seed = 1; seed <= 4; ++seed)
    clients.push_back(std::async(std::launch::async, [&, seed] {
      std::mt19937 random{seed};
      std::vector<std::string> got;
      while (got.size() < items + 3) {
        sse_client client{port, session_target(session), got.empty() ? "" : got.back()};
        for (auto left = random() % 400; left > 0 && got.size() < items + 3; --left) {
          const auto event = client.next();
          if (!event)
            return got;
          got.push_back(event->id);
        }
        client.close();
      }
      return got;
    }));
  for (std::uint64_t i = 0; i < items; ++i)
    write_log(session, run, i % 100);
  end_run(session, run);
  for (auto& client : clients) {
    const auto got = client.get();
    ASSERT_EQ(got.size(), items + 3);
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i], std::to_string(i + 1));
  }
  EXPECT_TRUE(eventually([&] { return open_streams() == 0; }));
}

// Goal: a client that does not read is cut off, costs little memory until then, and resumes where
// it was.
TEST_F(event_streams, cuts_a_slow_reader_and_lets_it_resume) {
  limits bounds;
  bounds.write_timeout = std::chrono::milliseconds{300};
  bounds.stream_comment_interval = std::chrono::milliseconds{100};
  start(bounds);
  const auto [session, run] = begin_session();
  constexpr std::size_t items = 300, bytes = 50'000;
  for (std::size_t i = 0; i < items; ++i)
    write_log(session, run, bytes);
  sse_client slow{port, session_target(session)};
  ASSERT_TRUE(eventually([&] { return open_streams() == 1; }));
  ASSERT_TRUE(eventually([&] { return open_streams() == 0; })); // Cut.
  std::size_t got = 0;
  while (const auto event = slow.next())
    ASSERT_EQ(event->id, std::to_string(++got)); // What was on its way.
  EXPECT_GT(got, 0u);
  EXPECT_LT(got, items);
  sse_client again{port, session_target(session), std::to_string(got)};
  while (got < items + 2) {
    const auto event = again.next();
    ASSERT_TRUE(event);
    ASSERT_EQ(event->id, std::to_string(++got));
  }
}

// Goal: a run's stream ends with the run, a session's with the session; what each shows is right.
TEST_F(event_streams, end_with_their_subject) {
  start();
  const auto [session, run] = begin_session();
  sse_client run_stream{port, log_target(run)}, session_stream{port, session_target(session)};
  EXPECT_NE(run_stream.head().find("text/event-stream"), std::string::npos);
  EXPECT_EQ(run_stream.next()->type, "run_status"); // Without the user's message.
  EXPECT_EQ(session_stream.next()->type, "user_message");
  EXPECT_EQ(session_stream.next()->type, "run_status");
  end_run(session, run);
  const auto last = run_stream.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->id, "3");
  EXPECT_NE(last->data.find(R"("status":"succeeded")"), std::string::npos);
  EXPECT_FALSE(run_stream.next());
  EXPECT_EQ(session_stream.next()->id, "3");
  facts.write_session(session, session::turn_ended{run, "succeeded"});
  facts.write_session(session, session::cancel_requested{});
  facts.write_session(session, session::terminated{"cancelled on request"});
  EXPECT_EQ(session_stream.next()->type, "session_terminated");
  EXPECT_FALSE(session_stream.next());
  EXPECT_TRUE(eventually([&] { return open_streams() == 0; }));
  // Who has everything already hears nothing more, and does not wait.
  EXPECT_FALSE((sse_client{port, log_target(run), "3"}.next()));
  EXPECT_FALSE((sse_client{port, session_target(session), "4"}.next()));
}

// Goal: many idle streams wait side by side; news reach those of their session only.
TEST_F(event_streams, wait_side_by_side) {
  start();
  std::vector<std::pair<session_id, run_id>> sessions;
  std::vector<std::unique_ptr<sse_client>> streams;
  for (int i = 0; i < 300; ++i) {
    sessions.push_back(begin_session());
    streams.push_back(std::make_unique<sse_client>(port, session_target(sessions.back().first)));
  }
  for (auto& stream : streams)
    ASSERT_TRUE(stream->next() && stream->next());
  EXPECT_EQ(open_streams(), streams.size());
  for (std::size_t i = 0; i < streams.size(); i += 37) {
    write_log(sessions[i].first, sessions[i].second);
    const auto event = streams[i]->next();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->id, "3");
    EXPECT_NE(event->data.find(sessions[i].second.value), std::string::npos);
  }
}

// Goal: what is no session, no run or no place is refused before a stream begins.
TEST_F(event_streams, refuses_before_it_begins) {
  start();
  const auto [session, run] = begin_session();
  const auto status = [&](const std::string& target, const std::string& id = {}) {
    return sse_client{port, target, id}.head().substr(9, 3);
  };
  EXPECT_EQ(status("/api/v1/sessions/sess_0/events"), "404");
  EXPECT_EQ(status("/api/v1/runs/run_0/log/events"), "404");
  EXPECT_EQ(status(session_target(session), "x"), "422");
  EXPECT_EQ(status(session_target(session) + "?after=-1"), "422");
  EXPECT_EQ(status(session_target(session) + "?after=1"), "200");
}

} // namespace
} // namespace runledger::http
