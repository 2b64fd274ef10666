// The edge with one trivial route, for a comparison with bare_beast: guard, router, authentication,
// limits, deadlines and counters are all there.
//
//   edge_bench --port 18082 --seconds 30     (port 0: any free one, printed on the first line)

#include "http/net.hpp"
#include "http/server.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

using namespace runledger::http;

constexpr route routes[] = {
    {verb::get, "/livez",
     [](route_context&, const request&, reply answer) {
       answer.json(status::ok, R"({"status":"ok"})");
     },
     scope::none, body_kind::none, access::open},
    {verb::get, "/api/v1/runs/{id}",
     [](route_context&, const request&, reply answer) {
       answer.json(status::ok, R"({"status":"ok"})");
     }},
};

/// Knows one key.
class one_key : public authenticator {
public:
  runledger::result<principal_ptr, auth_refusal> authenticate(std::string_view authorization,
                                                              std::string_view api_key) override {
    if (presented_key(authorization, api_key) == "secret")
      return who_;
    return auth_refusal{"unknown key"};
  }

private:
  principal_ptr who_ = std::make_shared<principal>(principal{"key_1", "default", scope::read});
};

} // namespace

int main(int argc, char** argv) {
  unsigned short port = 0;
  int seconds = 30;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (argv[i] == std::string_view{"--port"})
      port = static_cast<unsigned short>(std::atoi(argv[i + 1]));
    else if (argv[i] == std::string_view{"--seconds"})
      seconds = std::atoi(argv[i + 1]);
  }
  net::io_context io{1};
  one_key who;
  int nothing = 0; // The handlers look at no context, and the product owns its type.
  server edge{io, {}, routes, who, reinterpret_cast<route_context&>(nothing)};
  std::printf("listening on %u\n", edge.listen("127.0.0.1", port));
  std::fflush(stdout);
  net::steady_timer end{io, std::chrono::seconds{seconds}};
  end.async_wait([&io](const error_code&) { io.stop(); });
  io.run();
}
