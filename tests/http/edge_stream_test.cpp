// Goal: prove that event streams have the right form, notice both ends, stay bounded with a client
// that reads slowly, and that the server drains.

#include "tests/http/edge_fixture.hpp"

#include <sys/socket.h>

namespace edge_test {
namespace {

class edge_stream : public edge_fixture {
protected:
  /// A client with an open stream, its head read.
  raw_client subscribe() {
    auto client = connect();
    client.send(get("/stream", "Accept: text/event-stream\r\n"));
    EXPECT_TRUE(reaches(&toy::arrived, ++subscribed_));
    EXPECT_TRUE(client.read_until("\r\n\r\n"));
    return client;
  }
  bool send(std::string_view id, std::string_view event, std::string_view data) {
    return on_edge([&] { return toy_.streams.back().send(id, event, data); });
  }

private:
  int subscribed_ = 0;
};

TEST_F(edge_stream, HasTheFormOfEventStreams) {
  start();
  auto client = connect();
  client.send(get("/stream"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_TRUE(send("1", "run_status", R"({"a":1})"));
  EXPECT_TRUE(send("", "", "two\nlines\r\nand a third"));
  on_edge([&] { toy_.streams.back().close(); });
  const auto got = client.read();
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_EQ(got.header("X-Accel-Buffering"), "no");
  EXPECT_TRUE(got.complete);
  EXPECT_EQ(got.body, "retry: 1000\n\nid: 1\nevent: run_status\ndata: {\"a\":1}\n\n"
                      "data: two\ndata: lines\ndata: and a third\n\n");
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(toy_.told, 0) << "the producer closed it itself";
}

TEST_F(edge_stream, IsDelimitedByTheEndForHttp10) {
  start();
  auto client = connect();
  client.send("GET /stream HTTP/1.0\r\nX-API-Key: reader\r\n\r\n");
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_TRUE(send("1", "", "x"));
  ASSERT_TRUE(client.read_until("retry: 1000\n\nid: 1\ndata: x\n\n"));
  EXPECT_EQ(client.pending().find("chunked"), std::string::npos);
  on_edge([&] { toy_.streams.clear(); }); // Destroying the handle closes too.
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_stream, HeadOpensNothing) {
  start();
  auto client = connect();
  client.send("HEAD /stream HTTP/1.1\r\nHost: toy\r\nX-API-Key: reader\r\n\r\n");
  EXPECT_EQ(client.read(true).header("Content-Type"), "text/event-stream");
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_FALSE(on_edge([&] { return toy_.streams.back().is_open(); }));
  EXPECT_EQ(on_edge([&] { return server_->figures().streams_open; }), 0u);
}

TEST_F(edge_stream, CommentsWhileNothingHappens) {
  start({.stream_comment_interval = std::chrono::milliseconds{20}});
  auto client = subscribe();
  EXPECT_TRUE(client.read_until(": keep-alive\n\n"));
  client.more();
  EXPECT_TRUE(client.read_until(": keep-alive\n\n"));
}

TEST_F(edge_stream, NoticesThatTheClientLeft) {
  start();
  auto client = subscribe();
  client.close();
  ASSERT_TRUE(reaches(&toy::told, 1));
  EXPECT_FALSE(send("1", "", "x"));
  EXPECT_EQ(on_edge([&] { return server_->figures().streams_open; }), 0u);
  EXPECT_EQ(on_edge([&] { return server_->figures().connections_open; }), 0u);
}

TEST_F(edge_stream, CutsOffASlowReaderAndNobodyElse) {
  start();
  auto slow = subscribe();
  auto quick = subscribe();
  const std::string data(10'000, 'x');
  int sent = 0;
  bool open = true;
  std::size_t most = 0;
  while (open && sent < 10'000) { // Sockets' own buffers take a few megabytes.
    open = on_edge([&] { return toy_.streams[0].send(std::to_string(sent + 1), "", data); });
    sent += open ? 1 : 0;
    most = std::max(most, on_edge([&] { return toy_.streams[0].buffered(); }));
  }
  EXPECT_FALSE(open);
  EXPECT_LE(most, 256u * 1024 + data.size());
  ASSERT_TRUE(reaches(&toy::told, 1));
  EXPECT_EQ(on_edge([&] { return server_->figures().streams_overrun; }), 1u);
  // What the slow one got ends with a whole id from which it can resume: no event was left out
  // before it.
  std::string got;
  for (std::string piece = slow.more(); !piece.empty(); piece = slow.more())
    got += piece;
  int last = 0;
  for (int id = 1; got.find("id: " + std::to_string(id) + "\n") != std::string::npos; ++id)
    last = id;
  EXPECT_GT(last, 0);
  EXPECT_LE(last, sent);
  EXPECT_EQ(got.find("id: " + std::to_string(last + 1) + "\n"), std::string::npos);
  EXPECT_TRUE(on_edge([&] { return toy_.streams[1].send("9", "", "still here"); }));
  EXPECT_TRUE(quick.read_until("still here"));
}

TEST_F(edge_stream, AStalledReaderIsCutOffWithoutFurtherEvents) {
  start({.write_timeout = std::chrono::milliseconds{50},
         .stream_buffer = 64 * 1024 * 1024,
         .stream_comment_interval = std::chrono::milliseconds{20}});
  auto client = subscribe();
  EXPECT_TRUE(send("1", "", std::string(32 * 1024 * 1024, 'x')));
  EXPECT_TRUE(reaches(&toy::told, 1));
}

TEST_F(edge_stream, OneEventMayExceedTheBuffer) {
  start({.stream_buffer = 1000});
  auto client = subscribe();
  ASSERT_TRUE(eventually([&] { return toy_.streams[0].buffered() == 0; }));
  EXPECT_TRUE(send("1", "", std::string(1'000'000, 'y')));
  EXPECT_TRUE(client.read_until(std::string(1'000'000, 'y')));
}

// Goal: who has only a little to read yet is not cut off because the next event is a large one.
TEST_F(edge_stream, ALargeEventMayFollowASmallOne) {
  start();
  auto client = subscribe();
  const std::string data(10'000, 'x');
  while (on_edge([&] { return toy_.streams[0].buffered(); }) == 0) // The sockets' buffers fill up.
    ASSERT_TRUE(send("1", "", data));
  EXPECT_TRUE(send("2", "", std::string(256 * 1024, 'y')));
  EXPECT_TRUE(client.read_until(std::string(256 * 1024, 'y')));
}

/// Sends pages of events, the next one only when the stream is writable.
class pager {
public:
  pager(sse_stream& to, int pages) : to_(to), pages_(pages) {}
  void next() {
    if (page_ == pages_)
      return to_.close();
    ++page_;
    for (int i = 0; i < 100; ++i)
      sent_ += to_.send(std::to_string(page_ * 100 + i), "", std::string(1000, 'z')) ? 1 : 0;
    to_.when_writable([this] { next(); });
  }
  int sent() const { return sent_; }

private:
  sse_stream& to_;
  int pages_, page_ = 0, sent_ = 0;
};

TEST_F(edge_stream, APagingProducerGoesAsFastAsItsClient) {
  start();
  auto client = subscribe();
  pager producer{toy_.streams[0], 300};
  on_edge([&] { producer.next(); });
  std::size_t got = 0;
  for (std::string piece = client.more(); !piece.empty(); piece = client.more())
    got += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), 'z'));
  EXPECT_EQ(on_edge([&] { return producer.sent(); }), 30'000);
  EXPECT_EQ(got, 30'000'000u);
}

TEST_F(edge_stream, WhatTheClientSaysDuringAStreamIsIgnored) {
  start();
  auto client = subscribe();
  client.send(std::string(100'000, '?'));
  EXPECT_TRUE(send("1", "", "x"));
  EXPECT_TRUE(client.read_until("data: x\n\n"));
}

class edge_drain : public edge_stream {
protected:
  void drain(std::chrono::milliseconds patience) {
    on_edge([&] { server_->drain(patience, [this](bool clean) { result_.set_value(clean); }); });
  }
  bool drained() { return done_.wait_for(std::chrono::seconds{5}) == std::future_status::ready; }

  std::promise<bool> result_;
  std::future<bool> done_ = result_.get_future();
};

TEST_F(edge_drain, LetsRequestsInFlightFinish) {
  start();
  auto idle = connect(), busy = connect(), streaming = subscribe();
  EXPECT_EQ(idle.ask(get("/open")).status, 200);
  busy.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 2));
  drain(std::chrono::seconds{60});
  EXPECT_TRUE(idle.ends());
  EXPECT_TRUE(streaming.read_until("0\r\n\r\n"));
  EXPECT_TRUE(streaming.ends());
  EXPECT_TRUE(reaches(&toy::told, 1));
  EXPECT_FALSE(connect().connected()) << "the listener is still open";
  on_edge([&] { toy_.waiting[0].json(status::ok, "{}"); });
  const auto got = busy.read();
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Connection"), "close");
  EXPECT_TRUE(busy.ends());
  idle.close();
  busy.close();
  streaming.close();
  ASSERT_TRUE(drained());
  EXPECT_TRUE(done_.get());
}

TEST_F(edge_drain, CutsOffWhatTakesTooLong) {
  start();
  auto busy = connect();
  busy.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  drain(std::chrono::milliseconds{50});
  ASSERT_TRUE(drained());
  EXPECT_FALSE(done_.get());
  EXPECT_TRUE(busy.ends());
  EXPECT_EQ(on_edge([&] { return server_->figures().connections_open; }), 0u);
}

TEST_F(edge_drain, WithNothingOpenEndsAtOnce) {
  start();
  drain(std::chrono::seconds{60});
  ASSERT_TRUE(drained());
  EXPECT_TRUE(done_.get());
}

TEST_F(edge_drain, LastAnswersComeBeforeIt) {
  start();
  auto idle = connect(), client = connect(), streaming = subscribe();
  EXPECT_EQ(idle.ask(get("/open")).status, 200);
  on_edge([&] { server_->close_after_answers(); });
  for (auto* each : {&client, &idle}) {
    const auto got = each->ask(get("/open"));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.header("Connection"), "close");
    EXPECT_TRUE(each->ends());
  }
  EXPECT_TRUE(send("1", "", "x"));
  EXPECT_TRUE(streaming.read_until("data: x\n\n"));
}

// Goal: who comes while each answer is the last of its connection gets one.
TEST_F(edge_drain, LastAnswersGoToNewConnectionsToo) {
  start();
  on_edge([&] { server_->close_after_answers(); });
  for (int i = 0; i < 2; ++i) {
    auto client = connect();
    const auto got = client.ask(get("/open"));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.header("Connection"), "close");
    EXPECT_TRUE(client.ends());
  }
}

// Goal: who had connected before the listener was closed is answered, and not reset.
TEST_F(edge_drain, AnswersWhoCameJustBefore) {
  start();
  std::optional<raw_client> sent, silent;
  on_edge([&] { // So that nobody accepts meanwhile.
    sent.emplace(connect());
    sent->send(get("/open"));
    silent.emplace(connect());
    server_->drain(std::chrono::seconds{60}, [this](bool clean) { result_.set_value(clean); });
  });
  const auto got = sent->read();
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Connection"), "close");
  EXPECT_EQ(silent->ask(get("/open")).status, 200);
  sent->close();
  silent->close();
  auto idle = connect();
  EXPECT_FALSE(idle.connected());
  ASSERT_TRUE(drained());
  EXPECT_TRUE(done_.get());
}

TEST_F(edge_drain, StopAcceptingLeavesConnectionsAlone) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/open")).status, 200);
  on_edge([&] { server_->stop_accepting(); });
  EXPECT_FALSE(connect().connected());
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

} // namespace
} // namespace edge_test
