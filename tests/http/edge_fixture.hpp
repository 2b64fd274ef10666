#pragma once

#include "http/net.hpp"
#include "http/server.hpp"
#include "http/trusted_proxies.hpp"
#include "tests/http/edge_client.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

/// A server of its own with toy routes, on loopback, on one thread.
namespace edge_test {

using namespace runledger::http;

/// What the toy routes work on: what they got, and what they were told to do later.
struct toy {
  std::mutex lock;
  std::condition_variable changed;
  int arrived = 0; // Requests of the routes that answer later.
  int told = 0;    // Callbacks of replies and streams.
  std::vector<reply> waiting;
  std::vector<sse_stream> streams;
  std::string file; // Path of what /file sends.
  std::string media_type = "text/plain";
  std::chrono::milliseconds extend{0};
  bool elsewhere = false; // What /entity is asked for is held by another node.

  void count(int& which) {
    std::lock_guard held{lock};
    ++which;
    changed.notify_all();
  }
};

/// Knows the keys `reader`, `writer` and `admin`.
class toy_authenticator : public authenticator {
public:
  runledger::result<principal_ptr, auth_refusal> authenticate(std::string_view authorization,
                                                              std::string_view api_key) override;
};

/// The toy routes; see the table in the .cpp.
std::span<const route> toy_routes();

class edge_fixture : public testing::Test {
protected:
  ~edge_fixture() override { stop(); }

  /// Starts the server with these limits, behind these proxies.
  void start(limits bounds = {}, const std::vector<std::string>& proxies = {});
  /// Called before the server listens, with the io_context; may be empty.
  std::function<void(net::io_context&, server&)> before_listening_;
  /// Called on the HTTP thread when the server has gone.
  std::function<void()> after_server_;
  /// Stops server and thread; also done at the end of each test.
  void stop();

  raw_client connect(const char* from = "127.0.0.1") { return raw_client{port_, from}; }
  /// One request on a connection of its own.
  response once(std::string_view bytes) { return connect().ask(bytes); }

  /// Runs `work` on the HTTP thread and returns what it returns.
  template <class Work>
  auto on_edge(Work work) {
    std::packaged_task<decltype(work())()> task{std::move(work)};
    auto done = task.get_future();
    net::post(*io_, [&task] { task(); });
    return done.get();
  }
  /// Waits until `which` of the toy reaches `count`.
  bool reaches(int toy::*which, int count);
  /// Waits until `holds`, asked on the HTTP thread, says true.
  bool eventually(std::function<bool()> holds);

  toy toy_;
  toy_authenticator keys_;
  std::unique_ptr<net::io_context> io_;
  std::unique_ptr<server> server_;
  std::uint16_t port_ = 0;
  std::vector<std::string> complaints_; // HTTP thread only.
  std::vector<std::string> clients_;    // Likewise: `client pattern status` of each answer.
  std::vector<std::string> refused_;    // Likewise: codes of refused calls.

private:
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work_;
  std::thread thread_;
};

/// `GET path` with the reader's key and keep-alive.
std::string get(std::string_view path, std::string_view more = {});
/// `POST path` with the writer's key and a JSON body.
std::string post(std::string_view path, std::string_view body, std::string_view more = {});

} // namespace edge_test
