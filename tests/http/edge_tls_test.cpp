// Goal: prove that the edge does the same over TLS: requests, large answers, streams, and a clean
// end; and that old protocol versions and plain text are refused.

#include "tests/http/edge_certificate.hpp"
#include "tests/http/edge_fixture.hpp"

#include <openssl/ssl.h>

#include <sys/socket.h>
#include <unistd.h>

namespace edge_test {
namespace {

/// Frees OpenSSL's objects.
struct freeing {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
};
template <class T>
using owned = std::unique_ptr<T, freeing>;

/// A TLS client over a raw one.
class tls_client {
public:
  explicit tls_client(std::uint16_t port, int newest = TLS1_3_VERSION)
      : raw_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_.get(), newest);
    ssl_.reset(SSL_new(context_.get()));
    timeval patience{5, 0};
    ::setsockopt(raw_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL_set_fd(ssl_.get(), raw_.fd());
    shaken_ = SSL_connect(ssl_.get()) == 1;
  }

  bool shaken() const { return shaken_; }
  void send(std::string_view bytes) {
    SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Reads until `text` shows up or the connection ends.
  bool read_until(std::string_view text) {
    while (got_.find(text) == std::string::npos) {
      char bytes[16 * 1024];
      const int n = SSL_read(ssl_.get(), bytes, sizeof bytes);
      if (n <= 0)
        return false;
      got_.append(bytes, static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Reads to the end; whether it was announced by a close_notify.
  bool ends_properly() {
    char bytes[16 * 1024];
    int n = 0;
    while ((n = SSL_read(ssl_.get(), bytes, sizeof bytes)) > 0)
      got_.append(bytes, static_cast<std::size_t>(n));
    return SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN;
  }
  const std::string& got() const { return got_; }
  void leave() { raw_.close(); }

private:
  raw_client raw_;
  owned<SSL_CTX> context_;
  owned<SSL> ssl_;
  bool shaken_ = false;
  std::string got_;
};

class edge_tls : public edge_fixture {
protected:
  edge_tls() {
    const auto base = testing::TempDir() + "edge_tls_" + std::to_string(::getpid());
    files_ = {base + ".crt", base + ".key"};
    make_certificate(files_);
  }
  ~edge_tls() override {
    std::remove(files_.certificate.c_str());
    std::remove(files_.key.c_str());
  }
  void start_tls(limits bounds = {}) {
    start(bounds);
    tls_port_ = on_edge([&] { return server_->listen("127.0.0.1", 0, files_); });
  }

  tls_files files_;
  std::uint16_t tls_port_ = 0;
};

TEST_F(edge_tls, ServesRequestsOneAfterTheOther) {
  start_tls();
  tls_client client{tls_port_};
  ASSERT_TRUE(client.shaken());
  client.send(get("/open?first") + get("/open?second"));
  EXPECT_TRUE(client.read_until("second="));
  client.send(post("/echo", std::string(100'000, 'b')));
  EXPECT_TRUE(client.read_until(std::string(100'000, 'b')));
  client.send(get("/large", "Connection: close\r\n"));
  EXPECT_TRUE(client.ends_properly());
  EXPECT_TRUE(client.got().ends_with(std::string(4 * 1024 * 1024, 'x')));
}

TEST_F(edge_tls, StreamsAndNoticesTheClientLeave) {
  start_tls();
  tls_client client{tls_port_};
  client.send(get("/stream"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_TRUE(on_edge([&] { return toy_.streams[0].send("1", "e", "data"); }));
  EXPECT_TRUE(client.read_until("id: 1\nevent: e\ndata: data\n\n"));
  client.leave();
  EXPECT_TRUE(reaches(&toy::told, 1));
}

TEST_F(edge_tls, AnswersLater) {
  start_tls();
  tls_client client{tls_port_};
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  on_edge([&] { toy_.waiting[0].json(status::ok, "{\"late\":1}"); });
  EXPECT_TRUE(client.read_until("{\"late\":1}"));
}

TEST_F(edge_tls, RefusesFramingErrorsAndEnds) {
  start_tls();
  tls_client client{tls_port_};
  client.send("GET /open HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.ends_properly());
  EXPECT_TRUE(client.got().starts_with("HTTP/1.1 400 "));
}

TEST_F(edge_tls, TooManyConnectionsAreTold) {
  start_tls({.max_connections = 1});
  tls_client first{tls_port_};
  ASSERT_TRUE(first.shaken());
  first.send(get("/open"));
  ASSERT_TRUE(first.read_until("HTTP/1.1 200 "));
  tls_client second{tls_port_};
  EXPECT_TRUE(second.ends_properly());
  EXPECT_TRUE(second.got().starts_with("HTTP/1.1 503 ")) << second.got();
  EXPECT_NE(second.got().find("too_many_connections"), std::string::npos);
}

TEST_F(edge_tls, WhoCannotBeToldIsCounted) {
  start_tls({.max_connections = 1});
  tls_client first{tls_port_};
  ASSERT_TRUE(first.shaken());
  std::vector<std::unique_ptr<raw_client>> silent; // They never shake hands.
  auto dropped = [&] { return server_->figures().dropped_over_limit > 0; };
  while (silent.size() < 200 && !on_edge(dropped))
    silent.push_back(std::make_unique<raw_client>(tls_port_));
  EXPECT_TRUE(on_edge(dropped));
  EXPECT_TRUE(silent.back()->ends());
}

TEST_F(edge_tls, RefusesOldProtocols) {
  start_tls();
  EXPECT_FALSE((tls_client{tls_port_, TLS1_1_VERSION}.shaken()));
  EXPECT_TRUE((tls_client{tls_port_, TLS1_2_VERSION}.shaken()));
}

TEST_F(edge_tls, PlainTextGetsNothing) {
  start_tls();
  raw_client client{tls_port_};
  client.send(get("/open"));
  EXPECT_EQ(client.read().status, 0);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_tls, AHandshakeThatNeverComesIsCutOff) {
  start_tls({.head_timeout = std::chrono::milliseconds{50}});
  EXPECT_TRUE((raw_client{tls_port_}.ends()));
}

TEST_F(edge_tls, AMissingCertificateIsAnErrorAtTheStart) {
  start();
  EXPECT_THROW(on_edge([&] {
                 server_->listen("127.0.0.1", 0, {"/nowhere.crt", "/nowhere.key"});
               }),
               boost::system::system_error);
}

} // namespace
} // namespace edge_test
